"""Functions on the cosets of a subgroup."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from equiconv.groups import irreps
from equiconv.groups.laws import Floats, permutation_matrices

if TYPE_CHECKING:
    from equiconv.groups.group import Group
    from equiconv.groups.subgroup import Subgroup


def on_cosets(part: "Subgroup") -> Floats:
    """Return how a group permutes the cosets of a subgroup, ordered by their smallest element, ``(order, c, c)``."""
    group, cosets = part.parent, np.array(part.cosets)
    number = np.empty(group.order, np.int64)
    number[cosets] = np.arange(len(cosets))[:, None]  # number[g]: the coset that holds g
    return permutation_matrices(number[group.table[:, cosets[:, 0]]])


def band_limited(group: "Group", subgroup: "Group | Iterable[int]") -> Floats:
    """Return the sum of all irreps, each as often as it occurs in the functions on the cosets, ``(order, d, d)``."""
    copies = [
        irrep.rho
        for irrep in group.irreps
        for _ in range(len(irrep.restrict(subgroup).fixed) // irreps.endomorphism_dim(irrep.rho))
    ]
    return irreps.direct_sum(copies)
