"""Nonlinearities."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from equiconv.errors import FieldTypeError
from equiconv.groups.field_type import FieldType
from equiconv.groups.representation import Representation
from equiconv.layers.layer import FieldLayer, check_function, shown

__all__ = ["Pointwise"]


class Pointwise(FieldLayer):
    """Apply a function to every entry, where the type allows it.

    The stock activations, such as ``nn.ReLU``, compute the same on a tensor; they cannot know its type, so they break
    fields that are not permuted, without a word. This layer refuses them.

    Equivariance:
        ``f(in_type.transform(x, g)) == in_type.transform(f(x), g)``: exact for every group if the entries of a field
        are permuted (trivial, regular, quotient and their sums; images under ``HueShift(3)``).

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
