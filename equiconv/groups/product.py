"""Direct products of groups."""

import math
import operator
from fractions import Fraction
from functools import cached_property, reduce
from typing import NoReturn

import numpy as np

from equiconv.errors import GroupError
from equiconv.groups import irreps, laws
from equiconv.groups.group import Group
from equiconv.groups.laws import Floats
from equiconv.groups.representation import Representation
from equiconv.groups.values import enclosed


class DirectProduct(Group):
    """Combine groups whose elements commute as they act: made by the ``*`` operator.

    Element ``(a, b, ...)`` has the index ``(a * order_b + b) * ...``: the last factor runs fastest.

    Args:
        *groups: at least two groups.

    Raises:
        GroupError: if two of them do not commute as they act on the plane or the colors.
    """

    def __init__(self, *groups: Group) -> None:
        for a, b in ((a, b) for i, a in enumerate(groups) for b in groups[:i]):
            _check_commuting(b, a)
        if sum(group.max_frequency is not None for group in groups) > 1:
            raise GroupError(f"a product has one continuous factor at most; got {' * '.join(map(enclosed, groups))}")
        self._factors = groups
        orders = [group.order for group in groups]
        parts = np.array(np.unravel_index(np.arange(math.prod(orders)), orders))  # (factor, order)
        table = np.ravel_multi_index(
            tuple(group.table[part[:, None], part] for group, part in zip(groups, parts, strict=True)), orders
        )
        action = reduce(operator.matmul, [group.action[part] for group, part in zip(groups, parts, strict=True)])
        super().__init__(table, plane=action.plane, color=action.color, tone=action.tone)

    @property
    def arguments(self) -> tuple[Group, ...]:
        """The factors."""
        return self._factors

    @property
    def factors(self) -> tuple[Group, ...]:
        """The groups of which this one is the product."""
        return self._factors

    @property
    def max_frequency(self) -> int | None:
        """The largest frequency of the irreps of the continuous factor; None if there is none."""
        return next((m for factor in self._factors if (m := factor.max_frequency) is not None), None)

    @property
    def connected(self) -> tuple[int, ...]:
        """The elements that are reached from the identity without a jump: those of the continuous factor."""
        parts = np.ix_(*(factor.connected for factor in self._factors))
        return tuple(np.ravel_multi_index(parts, [factor.order for factor in self._factors]).ravel().tolist())

    def check_frequency(self, m: int) -> None:
        """Raise ShapeError if kernels of the angular frequency m are too fine for the tables of a factor."""
        for factor in self._factors:
            factor.check_frequency(m)

    def sampled(self, n: int) -> Group:
        """Return the product with its continuous factor replaced by its finite subgroup with n rotations."""
        return reduce(operator.mul, [factor.sampled(n) for factor in self._factors])

    @cached_property
    def regular(self) -> Representation:
        """The representation on functions on the group; with a continuous factor, on those that are band-limited."""
        if self.max_frequency is None:
            return super().regular
        return self._named(reduce(irreps.outer, [factor.regular.rho for factor in self._factors]), "regular")

    def _irreps(self) -> list[Floats]:
        return reduce(irreps.product_irreps, [[irrep.rho for irrep in group.irreps] for group in self._factors])

    def __repr__(self) -> str:
        return " * ".join(map(enclosed, self._factors))


def multiplied(a: Group, b: Group) -> Group:
    """Return the direct product of two groups; one with a single element changes nothing."""
    factors = [factor for factor in a.factors + b.factors if factor.order > 1]
    if len(factors) > 1:
        return DirectProduct(*factors)
    return factors[0] if factors else a


def _check_commuting(a: Group, b: Group) -> None:
    for what, dim in (("plane", 2), ("color", 3)):
        first, second = getattr(a, what)[list(a.generators)], getattr(b, what)[list(b.generators)]
        forth = first[:, None] @ second[None]
        back = second[None] @ first[:, None]
        if not np.allclose(forth, back, atol=laws.TOLERANCE):
            _refuse(a, b, f"they do not commute as they act on the {what}{_hint(a, b) if dim == 2 else ''}")
    if not a.action.commutes_with(b.action, a.generators, b.generators):
        _refuse(a, b, 'colors that are moved by matrices and by shifts do not commute; HueShift(n, space="hsv") shifts')
    try:
        a.tone.shared_model(b.tone)
    except GroupError as error:
        _refuse(a, b, str(error))


def _refuse(a: Group, b: Group, why: str) -> NoReturn:
    raise GroupError(f"{a!r} and {b!r} have no direct product: {why}") from None


def _hint(a: Group, b: Group) -> str:
    """Return the name of the smallest dihedral group, or O(2), that holds two planar groups, if there is one."""
    frequencies = [m for group in (a, b) if (m := group.max_frequency) is not None]
    if frequencies:
        return f"; O2({max(frequencies)}) holds both"
    matrices = np.concatenate([a.plane, b.plane])
    turns = np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]) / (2 * np.pi)  # of a mirror: twice that of its line
    mirrors = np.linalg.det(matrices) < 0
    first = float(turns[mirrors][0])
    turns[mirrors] -= first
    for n in range(1, 361):
        if np.allclose(turns * n, np.round(turns * n), atol=laws.TOLERANCE):
            return f"; Dihedral({n}{_axis(first * n % 1, n)}) holds both"
    return ""


def _axis(part: float, n: int) -> str:
    """Return a mirror line, as part of the angle pi/n between two of them, as an argument; nothing for the x axis."""
    if min(part, 1 - part) < laws.TOLERANCE:
        return ""
    ratio = Fraction(part / n).limit_denominator(360)
    if abs(float(ratio) - part / n) > laws.TOLERANCE:
        return f", {math.pi * part / n:.10g}"
    return f", {'' if ratio.numerator == 1 else f'{ratio.numerator} * '}pi / {ratio.denominator}"
