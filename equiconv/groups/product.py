"""Direct products of groups."""

import math
from functools import reduce

import numpy as np

from equiconv.errors import GroupError
from equiconv.groups import irreps, laws
from equiconv.groups.group import Group
from equiconv.groups.laws import Floats
from equiconv.groups.naming import enclosed


class DirectProduct(Group):
    """Combine groups whose elements commute as they act: made by the ``*`` operator.

    Element ``(a, b, ...)`` has the index ``(a * order_b + b) * ...``: the last factor runs fastest.

    Args:
        *groups: at least two groups.

    Raises:
        GroupError: if two of them do not commute as they act on the plane or the colors.
    """

    def __init__(self, *groups: Group) -> None:
        self._factors = groups
        orders = [group.order for group in groups]
        parts = np.array(np.unravel_index(np.arange(math.prod(orders)), orders))  # (factor, order)
        table = np.ravel_multi_index(
            tuple(group.table[part[:, None], part] for group, part in zip(groups, parts, strict=True)), orders
        )
        for a, b in ((a, b) for i, a in enumerate(groups) for b in groups[:i]):
            _check_commuting(b, a)
        plane, color = (
            reduce(np.matmul, [getattr(group, what)[part] for group, part in zip(groups, parts, strict=True)])
            for what in ("plane", "color")
        )
        super().__init__(table, plane=plane, color=color)

    @property
    def arguments(self) -> tuple[Group, ...]:
        """The factors."""
        return self._factors

    @property
    def factors(self) -> tuple[Group, ...]:
        """The groups of which this one is the product."""
        return self._factors

    def _irreps(self) -> list[Floats]:
        return reduce(irreps.product_irreps, [[irrep.rho for irrep in group.irreps] for group in self._factors])

    def __repr__(self) -> str:
        return " * ".join(map(enclosed, self._factors))


def _check_commuting(a: Group, b: Group) -> None:
    for what, dim in (("plane", 2), ("color", 3)):
        first, second = getattr(a, what)[list(a.generators)], getattr(b, what)[list(b.generators)]
        forth = first[:, None] @ second[None]
        back = second[None] @ first[:, None]
        if not np.allclose(forth, back, atol=laws.TOLERANCE):
            hint = f"; the group that both generate is {_joint_name(a, b)}" if dim == 2 else ""
            raise GroupError(
                f"{a!r} and {b!r} have no direct product: they do not commute as they act on the {what}{hint}"
            )


def _joint_name(a: Group, b: Group) -> str:
    """Return the name of the dihedral group that two planar groups generate."""
    matrices = [np.eye(2)]
    for matrix in matrices:  # grows while it is read: every product of the generators
        for generator in (*a.plane, *b.plane):
            product = matrix @ generator
            if len(matrices) <= 4 * a.order * b.order and not any(np.allclose(product, m, atol=1e-6) for m in matrices):
                matrices.append(product)
    return f"Dihedral({len(matrices) // 2})" if len(matrices) <= 4 * a.order * b.order else "all of O(2)"
