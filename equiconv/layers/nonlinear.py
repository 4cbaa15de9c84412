"""Nonlinearities for fields whose entries a group mixes: through their norm, a gate, or samples on the group."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equiconv.errors import FieldTypeError
from equiconv.groups.field_type import FieldType, as_type
from equiconv.groups.laws import Floats
from equiconv.groups.representation import Representation
from equiconv.layers.layer import FieldLayer, check_function, shown

__all__ = ["FourierActivation", "GatedActivation", "NormActivation", "NormPool"]

TINY = 1e-12  # added to squared norms, so that their root has a derivative at zero


def _norms(fields: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Return the norm of each summand of the fields (b, n, d, h, w), ``(b, n, summands, h, w)``."""
    parts = [part.square().sum(2) for part in fields.split(sizes, 2)]
    return (torch.stack(parts, 2) + TINY).sqrt()


class NormActivation(FieldLayer):
    """Scale each summand of a field by a function of its norm: ``v -> f(|v| - b) v / |v|``.

    Equivariance:
        ``f(in_type.transform(x, g)) == in_type.transform(f(x), g)``: exact for every group and type, since orthogonal
        matrices keep norms.

    Args:
        in_type: any field type.
        function: of the norm, such as ``torch.relu`` (soft threshold) or ``torch.sigmoid``.
        bias: learn the threshold b, one for each field and summand; it starts at 0.

    Raises:
        FieldTypeError: if the function is not callable.

    Example:
        >>> import torch
        >>> from equiconv.groups import Cyclic
        >>> NormActivation(4 * Cyclic(8).irrep(1))(torch.randn(1, 4, 2, 5, 5)).shape
        torch.Size([1, 4, 2, 5, 5])

    Source:
        Worrall et al., Harmonic Networks (CVPR 2017), section 4.3; Weiler and Cesa (NeurIPS 2019), section 2.6.
    """

    def __init__(
        self,
        in_type: FieldType | Representation,
        function: Callable[[Tensor], Tensor] = F.relu,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(in_type, in_type)
        check_function(function, "NormActivation")
        self.function = function
        self.sizes = self.in_type.representation.sizes
        self.bias = nn.Parameter(torch.zeros(self.in_type.n, len(self.sizes))) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Scale the fields of a tensor of ``in_type``; return a tensor of the same type."""
        fields = self.in_type.fields(x)  # (b, n, d, h, w)
        norms = _norms(fields, self.sizes)  # (b, n, summands, h, w)
        shifted = norms if self.bias is None else norms - self.bias[..., None, None]
        scales = (self.function(shifted) / norms).split(1, 2)
        parts = [part * scale for part, scale in zip(fields.split(self.sizes, 2), scales, strict=True)]
        return self.laid_out(torch.cat(parts, 2), x)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.in_type!r}, {shown(self.function)}, bias={self.bias is not None}"


class GatedActivation(FieldLayer):
    """Multiply each field by the sigmoid of a gate, an invariant that comes with it.

    Equivariance:
        ``f(in_type.transform(x, g)) == out_type.transform(f(x), g)``: exact for every group and type.

    Args:
        out_type: any field type, ``n * representation``.

    Attributes:
        in_type: ``n * (group.trivial + representation)``: each field with its gate in front.

    Example:
        >>> from equiconv.groups import Cyclic
        >>> GatedActivation(4 * Cyclic(8).irrep(1)).in_type
        4 * (Cyclic(8).trivial + Cyclic(8).irrep(1))

    Source:
        Weiler et al., 3D Steerable CNNs (NeurIPS 2018), section 4.4; Weiler and Cesa (NeurIPS 2019), section 2.6.
    """

    def __init__(self, out_type: FieldType | Representation) -> None:
        out_type = as_type(out_type)
        gated = out_type.group.trivial + out_type.representation
        super().__init__(out_type.n * gated, out_type)

    def forward(self, x: Tensor) -> Tensor:
        """Gate a tensor of ``in_type``; return a tensor of ``out_type``."""
        fields = self.in_type.fields(x)  # (b, n, 1 + d, h, w)
        return self.laid_out(torch.sigmoid(fields[:, :, :1]) * fields[:, :, 1:], x)

    def extra_repr(self) -> str:
        """Return the argument."""
        return repr(self.out_type)


class FourierActivation(FieldLayer):
    """Apply a pointwise function to fields whose entries are Fourier coefficients of functions on the group.

    The field is sampled on all elements (an inverse Fourier transform), the function applied to every sample, and the
    result transformed back; frequencies that the representation does not have are dropped.

    Equivariance:
        ``f(in_type.transform(x, g)) == in_type.transform(f(x), g)``: exact for every finite group.

    Args:
        in_type: fields of a representation that is a part of the regular one: each irrep at most as often as there.
        function: a function of a tensor that acts on every entry alone.

    Raises:
        FieldTypeError: if an irrep occurs too often, or the function is not callable.

    Example:
        >>> import torch
        >>> from equiconv.groups import Cyclic
        >>> group = Cyclic(8)
        >>> layer = FourierActivation(4 * (group.irrep(0) + group.irrep(1) + group.irrep(2)), torch.nn.functional.elu)
        >>> layer(torch.randn(1, 4, 5, 6, 6)).shape
        torch.Size([1, 4, 5, 6, 6])

    Source:
        Cohen et al., Spherical CNNs (ICLR 2018), section 4; Cesa et al., A Program to Build E(n)-Equivariant Steerable
        CNNs (ICLR 2022), section 5.
    """

    samples: Tensor

    def __init__(self, in_type: FieldType | Representation, function: Callable[[Tensor], Tensor] = F.relu) -> None:
        super().__init__(in_type, in_type)
        check_function(function, "FourierActivation")
        self.function = function
        self.add_table("samples", _samples(self.in_type.representation))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the function to a tensor of ``in_type``; return a tensor of the same type."""
        self.settle(x.device)
        values = torch.einsum("gd,bndhw->bnghw", self.samples, self.in_type.fields(x))
        return self.laid_out(torch.einsum("gd,bnghw->bndhw", self.samples, self.function(values)), x)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.in_type!r}, {shown(self.function)}"


def _samples(representation: Representation) -> Floats:
    """Return the isometry ``(order, d)`` from fields to functions on the group that every element commutes with."""
    group = representation.group
    indices, basis = representation.decompose()
    regular_indices, regular_basis = group.regular.decompose()
    starts = np.cumsum([0, *(group.irreps[k].dim for k in regular_indices)])
    free = list(range(len(regular_indices)))
    columns: list[int] = []
    for k in indices:
        place = next((i for i in free if regular_indices[i] == k), None)
        if place is None:
            raise FieldTypeError(
                f"{representation!r} has {group.irreps[k]!r} {indices.count(k)} times, the regular representation "
                f"{regular_indices.count(k)} times: a function on the group has no room for more; use several fields"
            )
        free.remove(place)
        columns.extend(range(starts[place], starts[place + 1]))
    return regular_basis[:, columns] @ basis.T


class NormPool(FieldLayer):
    """Take the norm of each summand of a field: invariant features, without a loss of position.

    Equivariance:
        ``pool(in_type.transform(x, g))`` is ``pool(x)`` with its pixels moved by g: exact for every group and type.

    Args:
        in_type: any field type.

    Shapes:
        Input: a tensor of ``in_type``. Output: ``(B, n * summands, H, W)``.

    Example:
        >>> from equiconv.groups import Cyclic
        >>> NormPool(4 * (Cyclic(8).irrep(0) + Cyclic(8).irrep(1))).out_type
        8 * Cyclic(8).trivial
    """

    def __init__(self, in_type: FieldType | Representation) -> None:
        in_type = as_type(in_type)
        sizes = in_type.representation.sizes
        super().__init__(in_type, in_type.n * len(sizes) * in_type.group.trivial)
        self.sizes = sizes

    def forward(self, x: Tensor) -> Tensor:
        """Return the norms of a tensor of ``in_type``, ``(B, n * summands, H, W)``."""
        norms = _norms(self.in_type.fields(x), self.sizes)  # (b, n, summands, h, w)
        return self.laid_out(norms.flatten(1, 2)[:, :, None], x)

    def extra_repr(self) -> str:
        """Return the argument."""
        return repr(self.in_type)
