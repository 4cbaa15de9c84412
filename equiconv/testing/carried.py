"""What the maps of a network are made of: how a group would move them."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equiconv.errors import FieldTypeError, GroupError, ShapeError
from equiconv.groups import FieldType, Group
from equiconv.groups.laws import Ints
from equiconv.taps import Said, Tap


class Map:
    """Know what the outputs of a layer are made of: fields of ``kind``.

    ``elements[g]`` is the element of the group of ``kind`` that moves the fields as g does; -1 if it is not known.

    Args:
        tap: an output.
        said: what the caller says of it: a type, or a function that is applied first; None takes the type of the tap.
        group: the group whose elements are asked for.

    Raises:
        ShapeError: if the output is neither maps nor vectors.
        FieldTypeError: if the caller's type does not fit.
    """

    def __init__(self, tap: Tap, said: Said | None, group: Group) -> None:
        self.name, self.first = tap.name, None if isinstance(said, FieldType) else said
        maps = self._maps(tap.value)
        kind = tap.field_type if said is None else getattr(said, "out_type", said)
        found = None
        if isinstance(kind, FieldType) and kind.channels == maps.shape[1]:
            found = moved_by(kind, group)
        if found is None and isinstance(said, FieldType):
            raise FieldTypeError(
                f"carried: {tap.name} returns {tuple(tap.value.shape)}, expected to be fields of {group!r}, of a group "
                f"that holds it or factors of it, or of a subgroup; got {said!r}"
            )
        self.kind, self.elements = found or (maps.shape[1] * group.trivial, np.arange(group.order))

    def is_changed(self, elements: NDArray[np.bool_]) -> bool:
        """Tell whether some of the elements, given by a mask ``(order,)``, are known to change the fields."""
        known = self.elements[elements & (self.elements >= 0)]
        return not np.allclose(self.kind.representation.rho[known], np.eye(self.kind.fiber))

    def read(self, value: Tensor) -> Tensor:
        """Return an output as fields ``(b, n, d, h, w)`` on the CPU; vectors have one pixel."""
        return self._maps(value).unflatten(1, (self.kind.n, self.kind.fiber))

    def _maps(self, value: Tensor) -> Tensor:
        with torch.no_grad():
            value = value if self.first is None else self.first(value)
        if value.dim() < 2 or value.dim() == 3:
            raise ShapeError(
                f"{self.name} returns {tuple(value.shape)}; expected maps (B, ..., H, W) or vectors (B, C): name the "
                "layers to be measured, or say in carried= what makes maps of this"
            )
        return (value[:, :, None, None] if value.dim() == 2 else value.flatten(1, -3)).cpu()  # (b, c, h, w)


def moved_by(kind: FieldType, group: Group) -> tuple[FieldType, Ints] | None:
    """Return a type, and the elements of its group that move it as those of a group do; None if it does not say.

    Args:
        kind: a type on any group.
        group: the group. If it has elements that move the plane, or the colors, as none of the group of the type does,
            which moves these too, then -1 stands for them: what they do is not known.
    """
    try:
        return kind.under(group), np.arange(group.order)
    except GroupError:
        pass
    try:
        part = group.subgroup(kind.group)
    except GroupError:
        return None
    elements = np.full(group.order, -1)
    elements[list(part.elements)] = np.arange(part.order)
    return kind, elements
