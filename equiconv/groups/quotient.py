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


def induced(rho: Floats, part: "Subgroup") -> Floats:
    """Return the matrices of a group that a representation of a subgroup induces, as of ``Representation.induce``.

    Args:
        rho: the matrices of the subgroup, ``(|H|, d, d)``.
        part: the subgroup.
    """
    group, d = part.parent, rho.shape[-1]
    cosets, h = np.array(part.cosets), len(part.elements)
    place = np.empty(group.order, np.int64)
    place[cosets.ravel()] = np.arange(group.order)  # c h is number h of coset c
    to, turn = np.divmod(place[group.table[:, cosets[:, part.elements.index(0)]]], h)  # (g, c) each
    matrices = np.zeros((group.order, len(cosets), d, len(cosets), d))
    for c in range(len(cosets)):
        matrices[np.arange(group.order), to[:, c], :, c] = rho[turn[:, c]]
    size = len(cosets) * d
    return matrices.reshape(group.order, size, size)
