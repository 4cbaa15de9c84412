"""Representations seen by another group: by a subgroup, or by any group whose elements act alike."""

from collections.abc import Iterable

import numpy as np

from equiconv.errors import GroupError
from equiconv.groups.batches import elements_alike
from equiconv.groups.group import Group
from equiconv.groups.laws import snapped
from equiconv.groups.representation import Representation
from equiconv.groups.subgroup import as_subgroup, restricted
from equiconv.groups.values import enclosed


def restriction(rep: Representation, subgroup: Group | Iterable[int]) -> Representation:
    """Return a representation without the elements outside a subgroup, as ``Representation.restrict``."""
    if isinstance(subgroup, Group) and subgroup == rep.group and repr(subgroup) == repr(rep.group):
        return rep
    which = as_subgroup(subgroup)
    source, rho = restricted(rep.group, which, rep.rho)
    if not rep.is_linear:
        return _of_images(rep, source)
    name = f"{enclosed(rep)}.restrict({source!r})"
    summands = tuple(a.restrict(which) for a in rep.summands) if len(rep.summands) > 1 else ()
    return Representation(source, rho, name=name, flat=rep.flat, block=rep.block, summands=summands)


def under(rep: Representation, group: Group) -> Representation:
    """Return how another group moves the same fields, as ``Representation.under``."""
    if rep.is_identity and rep.is_linear:  # nor does the other one move it
        rho = np.tile(np.eye(rep.dim), (group.order, 1, 1))
    else:
        try:
            return rep.restrict(group)
        except GroupError:  # it is not a part of this one
            rho = snapped(np.tensordot(elements_alike(rep.group, group), rep.rho, 1))  # (g, d, d)
        if not rep.is_linear:
            return _of_images(rep, group)
    summands = tuple(a.under(group) for a in rep.summands) if len(rep.summands) > 1 else ()
    name = f"{enclosed(rep)}.under({group!r})"
    return Representation(group, rho, name=name, flat=rep.flat, block=rep.block, summands=summands)


def _of_images(rep: Representation, group: Group) -> Representation:
    """Return how a group, whose shifts are among those of ``rep``, moves the same images or coordinates."""
    return group.cover if rep.covers and not group.is_linear else group.image
