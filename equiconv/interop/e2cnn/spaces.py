"""The groups of e2cnn as ours: elements are the same if they move the plane alike."""

import math
from typing import Any

import numpy as np

from equiconv.errors import GroupError
from equiconv.groups import O2, SO2, Cyclic, Dihedral, Flip, Group, Trivial
from equiconv.groups.irreps import rotations
from equiconv.groups.laws import Floats, snapped
from equiconv.groups.plane import mirror

CLOSE = 1e-6


def group_of(space: Any) -> Group:
    """Return the group of ours that moves the plane as an e2cnn space does.

    Args:
        space: one of ``Rot2dOnR2``, ``FlipRot2dOnR2``, ``Flip2dOnR2`` and ``TrivialOnR2``.

    Raises:
        GroupError: if it is another one.
    """
    kind, order = type(space).__name__, space.fibergroup.order()
    if kind == "TrivialOnR2" or order == 1:
        return Trivial()
    if kind == "Flip2dOnR2":
        return Flip(space.axis)
    if kind == "Rot2dOnR2":
        return Cyclic(order) if order > 0 else SO2(_max_frequency(space))
    if kind == "FlipRot2dOnR2":
        return _dihedral(order // 2, space.axis) if order > 0 else O2(_max_frequency(space))
    raise GroupError(f"from_e2cnn knows Rot2dOnR2, FlipRot2dOnR2, Flip2dOnR2 and TrivialOnR2; got {kind}")


def _max_frequency(space: Any) -> int:
    """Return the largest frequency that a continuous group of e2cnn has made irreps of."""
    return max(1, *(int(irrep.attributes["frequency"]) for irrep in space.fibergroup.irreps.values()))


def _dihedral(n: int, axis: float) -> Dihedral:
    """Return the group of n rotations and the mirrors at ``axis`` and its multiples of pi/n."""
    steps = axis * n / math.pi
    return Dihedral(n) if abs(steps - round(steps)) < CLOSE else Dihedral(n, axis)


def elements_of(space: Any, group: Group) -> list[Any]:
    """Return, for each element of our group, the element of e2cnn's that moves the plane alike."""
    theirs = space.fibergroup.elements
    if group.max_frequency is not None:
        return [_continuous_element(plane, getattr(space, "axis", None)) for plane in group.plane]
    if isinstance(group, Trivial):
        return list(theirs)
    planes = np.array([_plane(space, element) for element in theirs])
    places = [np.flatnonzero(np.isclose(planes, plane, atol=CLOSE).all((1, 2))) for plane in group.plane]
    if len(theirs) != group.order or not all(len(place) == 1 for place in places):
        raise GroupError(f"{space.name} does not move the plane as {group!r} does")
    return [theirs[int(place[0])] for place in places]


def _plane(space: Any, element: Any) -> Floats:
    """Return how an element of a finite group of e2cnn moves the plane."""
    if type(space).__name__ == "Flip2dOnR2":
        return mirror(space.axis) if element else np.eye(2)
    mirrored, step = element if isinstance(element, tuple) else (0, element)
    count = space.fibergroup.order() // (2 if isinstance(element, tuple) else 1)
    turn = rotations(np.array([2 * np.pi * step / count]))[0]
    return turn @ mirror(space.axis) if mirrored else turn


def _continuous_element(plane: Floats, axis: float | None) -> Any:
    """Return the element of SO(2), or of O(2) with its mirror at ``axis``, that moves the plane so."""
    mirrored = np.linalg.det(plane) < 0
    turn = plane @ mirror(axis or 0.0) if mirrored else plane
    angle = float(np.arctan2(turn[1, 0], turn[0, 0]) % (2 * np.pi))
    return angle if axis is None else (int(mirrored), angle)


def matrices(representation: Any, elements: list[Any]) -> Floats:
    """Return a representation of e2cnn at these elements, ``(order, d, d)``."""
    return snapped(np.array([representation(element) for element in elements], np.float64))
