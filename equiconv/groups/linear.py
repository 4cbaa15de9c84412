"""What of a group can move a kernel instead of the image."""

from functools import reduce

import numpy as np

from equiconv.groups.group import Group
from equiconv.groups.laws import Ints
from equiconv.groups.plane import Trivial
from equiconv.groups.product import DirectProduct, multiplied
from equiconv.groups.subgroup import Subgroup


class Untoned(Group):
    """Hold a group that moves images as another one does, but shifts no colors along a color model.

    Args:
        group: the other one.
    """

    def __init__(self, group: Group) -> None:
        self.group = group
        super().__init__(group.table, plane=group.plane, color=group.color)

    @property
    def arguments(self) -> tuple[object, ...]:
        """The other group."""
        return (self.group,)


def linear_part(group: Group) -> tuple[Group, Ints]:
    """Return a group and which of its elements each element of another one is, as ``Group.linear``."""
    if group.is_linear:
        return group, np.arange(group.order)
    if isinstance(group, DirectProduct):
        return _of_product(group)
    if isinstance(group, Subgroup):
        part, index = group.parent.linear
        return part, index[list(group.elements)]
    if group.moves_plane or group.action.mixes_colors:
        return Untoned(group), np.arange(group.order)
    return Trivial(), np.zeros(group.order, np.int64)


def _of_product(group: DirectProduct) -> tuple[Group, Ints]:
    places = np.unravel_index(np.arange(group.order), [factor.order for factor in group.factors])
    parts = [factor.linear for factor in group.factors]
    orders = [part.order for part, _ in parts]
    index = np.ravel_multi_index([own[place] for (_, own), place in zip(parts, places, strict=True)], orders)
    return reduce(multiplied, [part for part, _ in parts]), index
