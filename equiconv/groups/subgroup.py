"""Groups within groups."""

import math
import operator
from collections.abc import Iterable
from functools import cached_property, reduce

import numpy as np

from equiconv.errors import GroupError
from equiconv.groups import irreps, laws
from equiconv.groups.action import Action
from equiconv.groups.group import Group
from equiconv.groups.laws import Floats, snapped
from equiconv.groups.tone import Tone
from equiconv.groups.values import enclosed, is_number


class Subgroup(Group):
    """Hold a subgroup: a group of its own that knows where its elements are in its parent.

    Made by ``Group.subgroup``, which describes the arguments and errors. Of a continuous group it holds the tables, a
    finite group; ``source`` is the continuous one.
    """

    def __init__(self, parent: Group, which: Group | Iterable[int]) -> None:
        self.parent = parent
        self.which: Group | list[int]
        if isinstance(which, Group):
            self.which = which
            self.elements = _embedded(parent, which)
        else:
            self.which = [parent.check_element(g) for g in listed(which)]
            self.elements = laws.closure(parent.table, self.which)
        index = {g: i for i, g in enumerate(self.elements)}
        elements = np.array(self.elements)
        products = parent.table[np.ix_(elements, elements)]
        alike = not isinstance(which, Group) or np.array_equal(products, elements[which.table])
        if not alike or len(index) < len(elements):
            raise GroupError(f"{which!r} does not multiply as the elements of {parent!r} do")
        table = np.vectorize(index.__getitem__)(products)
        action = parent.action[elements]
        super().__init__(table, plane=action.plane, color=action.color, tone=action.tone)

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

    def _irreps(self) -> list[Floats]:
        if isinstance(self.which, Group) and self.which.max_frequency is None:
            return [irrep.rho for irrep in self.which.irreps]
        return super()._irreps()

    def __repr__(self) -> str:
        return f"{enclosed(self.parent)}.subgroup({self.which!r})"


def as_subgroup(which: Group | Iterable[int]) -> Group | list[int]:
    """Return what names a subgroup so that it can be read more than once."""
    return which if isinstance(which, Group) else listed(which)


def listed(which: Iterable[int]) -> list[int]:
    """Return the elements that generate a subgroup, or raise GroupError if they are no list."""
    if not isinstance(which, Iterable):
        raise GroupError(f"a subgroup is given by a list of elements, such as [1], or by a group; got {which!r}")
    return list(which)


def has_finite_index(group: Group, which: Group | Iterable[int]) -> bool:
    """Tell whether a subgroup has finitely many cosets: it holds every rotation of a continuous group."""
    if group.max_frequency is None:
        return True
    part = which if isinstance(which, Group) and not isinstance(which, Subgroup) else group.subgroup(which)
    weights = inclusion(group, part)
    within = np.flatnonzero((weights == 1).any(axis=0))
    return set(group.connected) <= set(within.tolist())


def restricted(group: Group, which: Group | Iterable[int], rho: Floats) -> tuple[Group, Floats]:
    """Return a subgroup and the matrices ``rho (order, d, d)`` at its elements, between the tables too."""
    if group.max_frequency is None or not isinstance(which, Group) or isinstance(which, Subgroup):
        part = group.subgroup(which)
        return part.source, rho[list(part.elements)]
    return which, snapped(np.tensordot(inclusion(group, which), rho, 1))


def inclusion(parent: Group, group: Group) -> Floats:
    """Return the weights ``(h, g)`` that make the elements h of ``group`` of those g in the tables of ``parent``.

    Every factor of ``group`` is looked for within one factor of ``parent``: an equal one, else the only one that moves
    plane and colors so; if that fails, within ``parent`` as a whole.
    """
    if group.max_frequency is not None and group.max_frequency != parent.max_frequency:
        raise GroupError(
            f"{group!r} and {parent!r} must have the same max_frequency; got {group.max_frequency} and "
            f"{parent.max_frequency}"
        )
    hosts = [_host(parent, factor) for factor in group.factors]
    if group == parent or None in hosts or _crowded(parent, group, hosts):
        return np.eye(parent.order) if group == parent else _by_action(parent, group)
    parts = np.unravel_index(np.arange(group.order), [factor.order for factor in group.factors])
    weights = np.ones((group.order, 1))
    for place, host in enumerate(parent.factors):
        inside = [(f, part) for f, part, i in zip(group.factors, parts, hosts, strict=True) if i == place]
        if len(inside) == 1 and inside[0][0] == host:
            columns = np.eye(host.order)[inside[0][1]]
        else:
            action = reduce(operator.matmul, [f.action[part] for f, part in inside], Action.still(group.order))
            columns = host.coordinates(action) if inside else np.eye(1, host.order).repeat(group.order, 0)
        weights = np.einsum("hg,hk->hgk", weights, columns).reshape(group.order, -1)
    return weights


def between(group: Group, angle: float, mirrored: bool) -> Floats:
    """Return the weights ``(order,)`` of the element of a continuous group that turns by an angle, and no color."""
    if not is_number(angle, -math.inf, math.inf) or not math.isfinite(angle):
        raise GroupError(f"an angle is a finite number in radians; got {angle!r}")
    turn = irreps.rotations(np.array([angle]))[0]
    plane = np.diag([1.0, -1.0]) @ turn if mirrored else turn
    if group.max_frequency is None:
        raise GroupError(f"{group!r} is finite: its elements are 0 .. {group.order - 1}, and rho holds their matrices")
    action, weights = Action(plane[None], np.eye(3)[None], Tone.still(1)), np.ones(1)
    for factor in group.factors:
        continuous = factor.max_frequency is not None
        column = factor.coordinates(action)[0] if continuous else np.eye(1, factor.order)[0]
        weights = np.kron(weights, column)
    return weights


def _host(parent: Group, factor: Group) -> int | None:
    """Return the place of the factor of ``parent`` that holds ``factor``; None if there is not exactly one."""
    equal = [place for place, host in enumerate(parent.factors) if host == factor]
    found = equal or [place for place, host in enumerate(parent.factors) if _holds(host, factor)]
    return found[0] if len(found) == 1 else None


def _crowded(parent: Group, group: Group, hosts: list[int | None]) -> bool:
    """Tell whether a factor of ``parent`` was taken for an equal one and for a second one too."""
    equal = [place for place, factor in zip(hosts, group.factors, strict=True) if parent.factors[place or 0] == factor]
    return any(hosts.count(place) > 1 for place in equal)


def _holds(host: Group, factor: Group) -> bool:
    try:
        host.coordinates(factor.action)
    except GroupError:
        return False
    return True


def _by_action(parent: Group, group: Group) -> Floats:
    try:
        return parent.coordinates(group.action)
    except GroupError as error:
        example = [parent.generators[-1]] if parent.generators else []
        raise GroupError(
            f"{group!r} is not a subgroup of {parent!r} that can be told by its action: {error}; "
            f"give generators, such as subgroup({example})"
        ) from None


def _embedded(parent: Group, group: Group) -> tuple[int, ...]:
    """Return the elements of ``parent`` that are those of ``group``."""
    weights = inclusion(parent, group)
    if not ((weights == 0) | (weights == 1)).all():
        raise GroupError(
            f"{group!r} is a subgroup of {parent!r}, but its elements are not among those in the tables; "
            "representation.restrict takes it nevertheless"
        )
    return tuple(weights.argmax(axis=1).tolist())
