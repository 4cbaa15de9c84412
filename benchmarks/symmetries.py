"""The groups whose equivariance is measured, and which of their elements."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from equiconv.groups import SO2, Cyclic, Dihedral, Group, Representation
from equiconv.groups.irreps import rotations
from equiconv.groups.laws import Floats

__all__ = ["SYMMETRIES", "Symmetry"]

STEPS = 24  # the elements of SO(2) that are measured
FREQUENCY = 2  # the largest frequency of its fields: all that a 3x3 kernel of e2cnn makes of an image


@dataclass(frozen=True)
class Symmetry:
    """Hold a group, the representation of the hidden fields, and the elements that are measured.

    Args:
        group: the group.
        hidden: the representation of the fields; there are four of them in every layer.
        planes: how the elements move the plane, ``(n, 2, 2)``.
        rho: how they move a field, ``(n, d, d)``.
    """

    group: Group
    hidden: Representation
    planes: Floats
    rho: Floats

    @property
    def mirrored(self) -> list[bool]:
        """Which elements mirror the plane."""
        return (np.linalg.det(self.planes) < 0).tolist()

    @property
    def degrees(self) -> list[float]:
        """By how many degrees the elements turn, before rows are flipped if they mirror; from 0 to 360."""
        angles = np.arctan2(self.planes[:, 1, 0] * np.linalg.det(self.planes), self.planes[:, 0, 0])
        return np.rad2deg(angles).round(6).__mod__(360).tolist()

    @property
    def on_grid(self) -> list[bool]:
        """Which elements send pixels to pixels."""
        return [degrees % 90 == 0 for degrees in self.degrees]


def _finite(group: Group) -> Symmetry:
    return Symmetry(group, group.regular, group.plane, group.regular.rho)


def _continuous(group: SO2) -> Symmetry:
    angles = 2 * np.pi * np.arange(STEPS) / STEPS
    hidden = group.irrep(0)
    for k in range(1, FREQUENCY + 1):
        hidden = hidden + group.irrep(k)
    return Symmetry(group, hidden, rotations(angles), np.stack([hidden.at(angle) for angle in angles]))


SYMMETRIES: dict[str, Callable[[], Symmetry]] = {
    "C4": lambda: _finite(Cyclic(4)),
    "C8": lambda: _finite(Cyclic(8)),
    "C16": lambda: _finite(Cyclic(16)),
    "D4": lambda: _finite(Dihedral(4)),
    "D8": lambda: _finite(Dihedral(8)),
    "SO2": lambda: _continuous(SO2(FREQUENCY)),
}
