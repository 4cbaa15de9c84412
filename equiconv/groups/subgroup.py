"""Groups within groups."""

from collections.abc import Iterable
from functools import cached_property

import numpy as np
from torch import Tensor

from equiconv.errors import GroupError
from equiconv.groups import laws
from equiconv.groups.group import Group
from equiconv.groups.laws import Floats
from equiconv.groups.values import enclosed


class Subgroup(Group):
    """Hold a subgroup: a group of its own that knows where its elements are in its parent.

    Made by ``Group.subgroup``, which describes the arguments and errors.
    """

    def __init__(self, parent: Group, which: Group | Iterable[int]) -> None:
        self.parent = parent
        self.which: Group | list[int]
        if isinstance(which, Group):
            self.which = which
            self.elements = _embedded(parent, which)
        else:
            if not isinstance(which, Iterable):
                raise GroupError(
                    f"a subgroup is given by a list of elements, such as [1], or by a group; got {which!r}"
                )
            self.which = [parent.check_element(g) for g in which]
            self.elements = laws.closure(parent.table, self.which)
        index = {g: i for i, g in enumerate(self.elements)}
        elements = np.array(self.elements)
        products = parent.table[np.ix_(elements, elements)]
        alike = not isinstance(which, Group) or np.array_equal(products, elements[which.table])
        if not alike or len(index) < len(elements):
            raise GroupError(f"{which!r} does not multiply as the elements of {parent!r} do")
        table = np.vectorize(index.__getitem__)(products)
        super().__init__(table, plane=parent.plane[elements], color=parent.color[elements])

    @property
    def arguments(self) -> tuple[object, ...]:
        """The parent and what describes the subgroup."""
        return self.parent, self.which

    @property
    def source(self) -> Group:
        """The group that was named to find the subgroup, else the subgroup itself."""
        return self.which if isinstance(self.which, Group) else self

    @cached_property
    def cosets(self) -> tuple[tuple[int, ...], ...]:
        """The left cosets gH in the parent, each as ``g h`` for h in ``elements``, ordered by smallest element."""
        return laws.left_cosets(self.parent.table, self.elements)

    @property
    def is_normal(self) -> bool:
        """Whether gH = Hg for every element g of the parent."""
        table, inverse, elements = self.parent.table, self.parent.inverse, list(self.elements)
        conjugates = table[table[:, elements], inverse[:, None]]
        return set(conjugates.flat) == set(elements)

    def transform_image(self, x: Tensor, g: int) -> Tensor:
        """Move an image by the element ``g``, as the parent does."""
        return self.parent.transform_image(x, self.elements[self.check_element(g)])

    def _irreps(self) -> list[Floats]:
        if isinstance(self.which, Group):
            return [irrep.rho for irrep in self.which.irreps]
        return super()._irreps()

    def __repr__(self) -> str:
        return f"{enclosed(self.parent)}.subgroup({self.which!r})"


def _embedded(parent: Group, group: Group) -> tuple[int, ...]:
    """Return the elements of ``parent`` that are those of ``group``: factors of it, or found by how they act."""
    factors = parent.factors
    if group == parent:
        return tuple(range(parent.order))
    if any(factors.count(factor) != 1 for factor in group.factors):
        return tuple(_find(parent, group, h) for h in range(group.order))
    parts = np.unravel_index(np.arange(group.order), [factor.order for factor in group.factors])
    places = {factors.index(factor): part for factor, part in zip(group.factors, parts, strict=True)}
    still = np.zeros(group.order, np.int64)
    coordinates = tuple(places.get(place, still) for place in range(len(factors)))
    return tuple(np.ravel_multi_index(coordinates, [factor.order for factor in factors]).tolist())


def _find(parent: Group, group: Group, h: int) -> int:
    """Return the element of ``parent`` that moves plane and colors as element h of ``group`` does."""
    same = np.isclose(parent.plane, group.plane[h]).all((1, 2)) & np.isclose(parent.color, group.color[h]).all((1, 2))
    found = np.flatnonzero(same)
    if len(found) == 1:
        return int(found[0])
    reason = "no element" if len(found) == 0 else f"the elements {found.tolist()} all"
    example = [parent.generators[-1]] if parent.generators else []
    raise GroupError(
        f"{group!r} is not a subgroup of {parent!r} that can be told by its action: {reason} of {parent!r} "
        f"act as element {h} of {group!r}; give generators, such as subgroup({example})"
    )
