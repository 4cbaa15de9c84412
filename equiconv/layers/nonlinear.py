"""Nonlinearities for fields whose entries a group mixes: through norms, or through gates."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equiconv.groups.field_type import FieldType, as_type
from equiconv.groups.representation import Representation
from equiconv.layers.layer import FieldLayer, check_flags, check_function, shown
from equiconv.layers.parts import Parts

__all__ = ["GatedActivation", "NormActivation", "NormPool", "squash"]

TINY = 1e-12  # added to squared norms, so that their root has a derivative at zero


def squash(norm: Tensor) -> Tensor:
    """Return ``t^2 / (1 + t^2)`` of a norm t: for ``NormActivation``, the nonlinearity of capsules.

    Equivariance:
        Exact on every group: a function of norms, which the group leaves alone.

    Args:
        norm: norms >= 0, any shape.

    Returns:
        Values below 1, of the same shape.

    Example:
        >>> import torch
        >>> squash(torch.tensor([0.0, 1.0, 3.0]))
        tensor([0.0000, 0.5000, 0.9000])

    Source:
        Sabour et al., Dynamic Routing Between Capsules (NeurIPS 2017), equation 1.
    """
    square = norm.square()
    return square / (1 + square)


def _norms(fields: Tensor, members: Tensor) -> Tensor:
    """Return the norm of each part of the fields (b, n, d, h, w), ``(b, n, p, h, w)``; members is ``(p, d)``.

    Of half-precision fields in single precision, in which squares neither vanish nor overflow.
    """
    wide = fields if fields.dtype == torch.float64 else fields.float()
    squares = members.to(wide.dtype) @ wide.square().flatten(3)  # (b, n, p, h*w)
    return (squares + TINY).sqrt().unflatten(3, fields.shape[3:])


def _spread(values: Tensor, members: Tensor) -> Tensor:
    """Return values of parts (b, n, p, h, w) for every entry, ``(b, n, d, h, w)``."""
    return values[:, :, members.argmax(0)]


class NormActivation(FieldLayer):
    """Scale each part of a field by a function of its norm: ``v -> f(|v| - b) v / |v|``.

    Equivariance:
        Exact on every group: ``f(in_type.transform(x, g)) == in_type.transform(f(x), g)``, since orthogonal matrices
        keep norms.

    Args:
        in_type: any field type.
        function: of the norm: ``torch.relu`` (soft threshold), ``torch.sigmoid``, ``squash``, ...
        parts: ``"summands"``, the summands of the representation; or ``"blocks"``, the blocks of entries that the group
            sends to one another: one for each coset of an induced representation.
        bias: learn the threshold b, one for each field and summand, or orbit of blocks; it starts at 0.

    Raises:
        FieldTypeError: if the function is not callable, or the parts are unknown.

    Example:
        >>> import torch
        >>> from equiconv.groups import Cyclic
        >>> NormActivation(4 * Cyclic(8).irrep(1))(torch.randn(1, 4, 2, 5, 5)).shape
        torch.Size([1, 4, 2, 5, 5])

    Source:
        Worrall et al., Harmonic Networks (CVPR 2017), section 4.3; Weiler and Cesa (NeurIPS 2019), section 2.6, also
        for induced fields.
    """

    members: Tensor
    orbits: Tensor

    def __init__(
        self,
        in_type: FieldType | Representation,
        function: Callable[[Tensor], Tensor] = F.relu,
        *,
        parts: str = "summands",
        bias: bool = True,
    ) -> None:
        super().__init__(in_type, in_type)
        check_function(function, "NormActivation")
        check_flags("NormActivation", bias=bias)
        self.function, self.parts = function, parts
        split = Parts(self.in_type.representation, parts)
        self.add_table("members", split.members)
        self.add_table("orbits", split.orbits)
        self.bias = nn.Parameter(torch.zeros(self.in_type.n, split.orbits.max() + 1)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Scale the fields of a tensor of ``in_type``; return a tensor of the same type."""
        fields = self.in_type.fields(x)  # (b, n, d, h, w)
        self.settle(x.device)
        norms = _norms(fields, self.members)  # (b, n, p, h, w)
        shifted = norms if self.bias is None else norms - self.bias[:, self.orbits, None, None]
        scales = self.function(shifted) / norms  # in half precision too large, where the norm is near zero
        return self.laid_out((_spread(scales, self.members) * fields).to(fields.dtype), x)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.in_type!r}, {shown(self.function)}, parts={self.parts!r}, bias={self.bias is not None}"


class GatedActivation(FieldLayer):
    """Multiply each part of a field by the sigmoid of a gate that comes with it.

    Equivariance:
        Exact on every group: ``f(in_type.transform(x, g)) == out_type.transform(f(x), g)``.

    Args:
        out_type: any field type, ``n * representation``.
        parts: what has a gate of its own: ``"summands"``, the summands of the representation, whose gates are
            invariant; or ``"blocks"``, the blocks of entries that the group sends to one another, as it does their
            gates: one for each coset of an induced representation.

    Attributes:
        in_type: ``n * (gates + representation)``: each field with its gates in front.

    Raises:
        FieldTypeError: if the parts are unknown.

    Example:
        >>> from equiconv.groups import Cyclic
        >>> GatedActivation(4 * Cyclic(8).irrep(1)).in_type
        4 * (Cyclic(8).trivial + Cyclic(8).irrep(1))

    Source:
        Weiler et al., 3D Steerable CNNs (NeurIPS 2018), section 4.4; Weiler and Cesa (NeurIPS 2019), section 2.6.
    """

    members: Tensor

    def __init__(self, out_type: FieldType | Representation, *, parts: str = "summands") -> None:
        out_type = as_type(out_type)
        split = Parts(out_type.representation, parts)
        super().__init__(out_type.n * (split.representation + out_type.representation), out_type)
        self.parts = parts
        self.add_table("members", split.members)

    def forward(self, x: Tensor) -> Tensor:
        """Gate a tensor of ``in_type``; return a tensor of ``out_type``."""
        self.settle(x.device)
        gates, fields = self.in_type.fields(x).split((len(self.members), self.out_type.fiber), 2)
        return self.laid_out(_spread(torch.sigmoid(gates), self.members) * fields, x)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.out_type!r}, parts={self.parts!r}"


class NormPool(FieldLayer):
    """Take the norm of each part of a field: invariant features, without a loss of position.

    Equivariance:
        Exact on every group: ``pool(in_type.transform(x, g)) == out_type.transform(pool(x), g)``. The norms of summands
        are invariant, those of blocks permuted: ``GroupPool`` makes them invariant.

    Args:
        in_type: any field type.
        parts: ``"summands"`` or ``"blocks"``, as for ``NormActivation``.

    Shapes:
        Input: a tensor of ``in_type``. Output: ``(B, n * summands, H, W)``, or ``(B, n, blocks, H, W)``.

    Raises:
        FieldTypeError: if the parts are unknown.

    Example:
        >>> from equiconv.groups import Cyclic
        >>> NormPool(4 * (Cyclic(8).irrep(0) + Cyclic(8).irrep(1))).out_type
        8 * Cyclic(8).trivial
    """

    members: Tensor

    def __init__(self, in_type: FieldType | Representation, *, parts: str = "summands") -> None:
        in_type = as_type(in_type)
        split, invariants = Parts(in_type.representation, parts), in_type.group.trivial
        moved = in_type.n * split.representation
        super().__init__(in_type, moved.channels * invariants if parts == "summands" else moved)
        self.parts = parts
        self.add_table("members", split.members)

    def forward(self, x: Tensor) -> Tensor:
        """Return the norms of a tensor of ``in_type``."""
        self.settle(x.device)
        norms = _norms(self.in_type.fields(x), self.members)  # (b, n, p, h, w)
        return self.laid_out(norms.to(x.dtype), x)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.in_type!r}, parts={self.parts!r}"
