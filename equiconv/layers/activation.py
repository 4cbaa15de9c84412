"""Nonlinearities."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from equiconv.errors import FieldTypeError
from equiconv.groups.field_type import FieldType, as_type
from equiconv.groups.representation import Representation
from equiconv.layers.layer import FieldLayer, check_function, shown

__all__ = ["Pointwise", "VectorFieldActivation"]


class Pointwise(FieldLayer):
    """Apply a function to every entry, where the type allows it.

    The stock activations, such as ``nn.ReLU``, compute the same on a tensor; they cannot know its type, so they break
    fields that are not permuted, without a word. This layer refuses them.

    Equivariance:
        Exact on every group: ``f(in_type.transform(x, g)) == in_type.transform(f(x), g)``. The entries of a field are
        permuted (trivial, regular, quotient and their sums; images under ``HueShift(3)``).

    Args:
        in_type: fields of a permutation representation.
        function: a function of a tensor that acts on every entry alone; a module such as ``nn.PReLU()`` is fine too, if
            it has one parameter for all entries of a field.

    Raises:
        FieldTypeError: if the group does more to the entries than to permute them, or the function is not callable.

    Example:
        >>> import torch
        >>> from equiconv.groups import P4
        >>> Pointwise(2 * P4().regular, torch.tanh)(torch.zeros(1, 2, 4, 3, 3)).shape
        torch.Size([1, 2, 4, 3, 3])
    """

    def __init__(self, in_type: FieldType | Representation, function: Callable[[Tensor], Tensor] = F.relu) -> None:
        super().__init__(in_type, in_type)
        check_function(function, "Pointwise")
        if not self.in_type.representation.is_permutation:
            raise FieldTypeError(
                f"a pointwise function breaks {self.in_type!r}: the group mixes the entries of a field; use fields "
                "whose entries are permuted, such as regular, quotient or trivial ones"
            )
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Apply the function to a tensor of ``in_type``; return a tensor of the same type."""
        self.in_type.check(x)
        return self.function(x)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.in_type!r}, {shown(self.function)}"


class VectorFieldActivation(FieldLayer):
    """Make of each regular field a vector: as long as its largest response, and pointing where that element points.

    With g the element of the largest response, the vector is relu(x_g) times ``group.plane[g]`` applied to (1, 0).
    Elements that share the largest response give the mean of their directions.

    Equivariance:
        Exact on every group: ``f(in_type.transform(x, g)) == out_type.transform(f(x), g)``, since ``plane[h g]`` is
        ``plane[h] plane[g]``. Colors are pooled over: a hue shift does not move a vector.

    Args:
        in_type: regular fields, ``n * group.regular``, of a group that moves the plane.

    Attributes:
        out_type: ``n * group.vector``.

    Raises:
        FieldTypeError: if the fields are not regular, or the group does not move the plane.

    Example:
        >>> import torch
        >>> from equiconv.groups import Cyclic
        >>> responses = torch.tensor([0.0, 0.0, 3.0, 1.0]).view(1, 1, 4, 1, 1)
        >>> VectorFieldActivation(Cyclic(4).regular)(responses).flatten().tolist()
        [-3.0, 0.0]

    Source:
        Marcos et al., Rotation Equivariant Vector Field Networks (ICCV 2017): orientation pooling.
    """

    directions: Tensor

    def __init__(self, in_type: FieldType | Representation) -> None:
        in_type = as_type(in_type)
        if not in_type.representation.is_regular:
            raise FieldTypeError(f"VectorFieldActivation needs regular fields, n * group.regular; got {in_type!r}")
        if not in_type.group.moves_plane:
            raise FieldTypeError(
                f"{in_type.group!r} does not move the plane, so no element points anywhere; use Pointwise or GroupPool"
            )
        super().__init__(in_type, in_type.n * in_type.group.vector)
        self.add_table("directions", np.ascontiguousarray(in_type.group.plane[:, :, 0]))  # (g, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the vectors ``(B, n, 2, H, W)`` of a tensor of ``in_type``."""
        fields = self.in_type.fields(x)  # (b, n, g, h, w)
        self.settle(x.device)
        largest = fields.amax(2, keepdim=True)  # (b, n, 1, h, w)
        wins = (fields == largest).to(x.dtype)
        vectors = torch.einsum("gp,bnghw->bnphw", self.directions, wins) / wins.sum(2, keepdim=True)
        return self.laid_out(F.relu(largest) * vectors, x)

    def extra_repr(self) -> str:
        """Return the argument."""
        return repr(self.in_type)
