"""Nonlinearities on Fourier coefficients: through samples on the group."""

from collections import Counter
from collections.abc import Callable
from functools import reduce

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from equiconv.errors import FieldTypeError
from equiconv.groups.field_type import FieldType
from equiconv.groups.irreps import coefficient_functions
from equiconv.groups.laws import Floats
from equiconv.groups.representation import Representation
from equiconv.groups.values import integer
from equiconv.layers.layer import FieldLayer, check_function, shown

__all__ = ["FourierActivation"]


class FourierActivation(FieldLayer):
    """Apply a pointwise function to fields whose entries are Fourier coefficients of functions on the group.

    The field is sampled on all elements (an inverse Fourier transform), the function applied to every sample, and the
    result transformed back; frequencies that the representation does not have are dropped.

    Equivariance:
        Exact on finite groups: ``f(in_type.transform(x, g)) == in_type.transform(f(x), g)``. Of a continuous group
        exact for the elements that are sampled, else approximate: the more samples, the closer. ReLU on regular fields
        of ``SO2(2)`` has an error of 0.05.

    Args:
        in_type: fields of a representation that is a part of the regular one: each irrep at most as often as there.
        function: a function of a tensor that acts on every entry alone.
        samples: for a continuous group the number of rotations that are sampled, above twice the largest frequency;
            None takes four times one more than that frequency. Finite groups are sampled at all their elements.

    Raises:
        FieldTypeError: if an irrep occurs too often, the function is not callable, or the samples do not suffice.

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

    def __init__(
        self,
        in_type: FieldType | Representation,
        function: Callable[[Tensor], Tensor] = F.relu,
        *,
        samples: int | None = None,
    ) -> None:
        super().__init__(in_type, in_type)
        check_function(function, "FourierActivation")
        self.function = function
        self.rotations = sampled_rotations(self.in_type, samples)
        self.add_table("samples", fourier_samples(self.in_type.representation, self.rotations))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the function to a tensor of ``in_type``; return a tensor of the same type."""
        self.settle(x.device)
        values = torch.einsum("gd,bndhw->bnghw", self.samples, self.in_type.fields(x))
        return self.laid_out(torch.einsum("gd,bnghw->bndhw", self.samples, self.function(values)), x)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.in_type!r}, {shown(self.function)}, samples={self.rotations}"


def sampled_rotations(in_type: FieldType, samples: int | None = None) -> int | None:
    """Return how many rotations are sampled; None for a finite group."""
    largest = in_type.group.max_frequency
    count = integer(samples)
    if largest is None and samples is not None:
        raise FieldTypeError(f"{in_type.group!r} is finite and sampled at all its elements; got samples={samples!r}")
    if largest is None or samples is None:
        return None if largest is None else 4 * (largest + 1)
    if count is None or count <= 2 * largest:
        raise FieldTypeError(
            f"frequencies up to {largest} need an integer of more than {2 * largest} samples; got {samples!r}"
        )
    return count


def fourier_samples(representation: Representation, rotations: int | None) -> Floats:
    """Return the isometry ``(elements, d)`` from fields to functions on the group that every element commutes with.

    Args:
        representation: a part of the regular representation.
        rotations: of a continuous group, how many rotations are sampled.
    """
    if rotations is not None:
        representation = representation.restrict(representation.group.sampled(rotations))
    if representation.is_regular:
        return np.eye(representation.dim)  # the entries are the values themselves
    factors = representation.group.factors
    if len(factors) > 1 and representation == representation.group.regular:
        parts = [fourier_samples(factor.regular, rotations) for factor in factors]
        return reduce(lambda a, b: np.einsum("gi,hj->ghij", a, b).reshape(len(a) * len(b), -1), parts)
    group, used, columns = representation.group, Counter[int](), []
    indices, basis = representation.decompose()
    for k in indices:
        copies = coefficient_functions(group.irreps[k].rho)
        if used[k] == len(copies):
            raise FieldTypeError(
                f"{representation!r} has {group.irreps[k]!r} {indices.count(k)} times, the regular representation "
                f"{len(copies)} times: a function on the group has no room for more; use several fields"
            )
        columns.append(copies[used[k]])
        used[k] += 1
    return np.concatenate(columns, axis=1) @ basis.T
