"""Continuous groups: all rotations of the plane, with and without reflections."""

from abc import abstractmethod
from functools import cached_property

import numpy as np

from equiconv.errors import GroupError, ShapeError
from equiconv.groups import irreps
from equiconv.groups.action import Action
from equiconv.groups.group import Group
from equiconv.groups.laws import Floats, snapped
from equiconv.groups.plane import Cyclic, Dihedral, Trivial
from equiconv.groups.quotient import band_limited
from equiconv.groups.representation import Representation
from equiconv.groups.values import integer

__all__ = ["O2", "SO2"]

STEPS = 96  # the tables hold multiples of this many rotations: C_2, C_3, C_4, C_6, C_8, C_12, C_16, ... are within
HIGHEST = 1000
RESOLVED = 63  # every kernel whose angular frequencies do not exceed this can be used, whatever the irreps


class Continuous(Group):
    """Hold a continuous group by the tables of a finite subgroup, C_N or D_N.

    It is so fine that what holds for its elements holds for every angle. All functions of the angle that occur are
    band-limited: an integral over the group is a mean over the tables, and ``representation.at`` interpolates exactly.
    """

    def __init__(self, max_frequency: int = 3) -> None:
        frequency = integer(max_frequency)
        if frequency is None or not 1 <= frequency <= HIGHEST:
            raise GroupError(
                f"{type(self).__name__}(max_frequency) needs an integer >= 1, at most {HIGHEST}; got {max_frequency!r}"
            )
        self._max_frequency = frequency
        finite = self.sampled(self.steps)
        super().__init__(finite.table, plane=finite.plane)

    @property
    def arguments(self) -> tuple[object, ...]:
        """The largest frequency."""
        return (self._max_frequency,)

    @property
    def max_frequency(self) -> int:
        """The largest frequency of the irreps."""
        return self._max_frequency

    @property
    def steps(self) -> int:
        """The number of rotations in the tables."""
        return STEPS * -(-(2 * self._max_frequency + RESOLVED + 1) // STEPS)

    @property
    def connected(self) -> tuple[int, ...]:
        """The rotations."""
        return tuple(range(self.steps))

    def check_frequency(self, m: int) -> None:
        """Raise ShapeError if the tables are too coarse for kernels of the angular frequency m."""
        if m + 2 * self._max_frequency >= self.steps:
            raise ShapeError(
                f"{self!r} serves kernels of angular frequencies up to {self.steps - 2 * self._max_frequency - 1}; "
                f"these have {m}: use smaller frequencies, or a group of a larger max_frequency"
            )

    @cached_property
    def regular(self) -> Representation:
        """The band-limited regular representation: functions on the group of frequencies up to ``max_frequency``.

        A field of it holds the Fourier coefficients, irrep after irrep, each as often as its dimension over that of its
        commutant.
        """
        return self._named(band_limited(self, Trivial()), "regular")

    def coordinates(self, action: Action) -> Floats:
        """Return the weights ``(n, order)`` with which the tables interpolate at elements that move as given."""
        plane, mirrored = action.plane, np.linalg.det(action.plane) < 0
        if action.mixes_colors or action.tone.moves or (mirrored.any() and self.order == self.steps):
            raise GroupError(f"{self!r} holds rotations{' and reflections' * (self.order > self.steps)} only")
        turns = np.where(mirrored[:, None, None], np.diag([1.0, -1.0]) @ plane, plane)  # flipped after the turn
        angles = np.arctan2(turns[:, 1, 0], turns[:, 0, 0])
        weights = _interpolation(angles, self.steps)
        halves = [np.where(mirrored[:, None], 0.0, weights), np.where(mirrored[:, None], weights, 0.0)]
        return np.concatenate(halves[: self.order // self.steps], axis=1)

    @abstractmethod
    def sampled(self, n: int) -> Group:
        """Return the finite subgroup with n rotations."""


class SO2(Continuous):
    """Turn the plane by any angle: SO(2), with representations of frequencies up to ``max_frequency``.

    ``irrep(k)`` turns by k times the angle. ``regular`` is band-limited, of dimension 2 max_frequency + 1.

    Equivariance:
        Layers are exact for every angle on the continuous plane; on pixels exact for quarter turns.

    Args:
        max_frequency: the largest frequency of the irreps, at least 1.

    Raises:
        GroupError: if max_frequency is not an integer from 1 to 1000.

    Example:
        >>> import math
        >>> from equiconv.groups import SO2, Cyclic
        >>> group = SO2(3)
        >>> group.regular.dim
        7
        >>> group.irrep(2).at(math.pi / 4).round(3).tolist()
        [[0.0, -1.0], [1.0, 0.0]]
        >>> group.regular.restrict(Cyclic(5)).decompose()[0]
        (0, 1, 2, 2)

    Source:
        Worrall et al., Harmonic Networks (CVPR 2017); Weiler and Cesa (NeurIPS 2019), section 2.5 and appendix F.
    """

    def _irreps(self) -> list[Floats]:
        return irreps.cyclic_irreps(self.steps)[: self.max_frequency + 1]

    def sampled(self, n: int) -> Group:
        """Return ``Cyclic(n)``."""
        return Cyclic(n)


class O2(Continuous):
    """Turn the plane by any angle and mirror it: O(2), with representations of frequencies up to ``max_frequency``.

    ``irrep(0)`` is trivial, ``irrep(1)`` the sign of reflections, ``irrep(k + 1)`` has frequency k. ``regular`` is
    band-limited, of dimension 4 max_frequency + 2. The mirror of its representations is the one that flips rows.

    Equivariance:
        Layers are exact for every angle on the continuous plane; on pixels exact for quarter turns and flips.

    Args:
        max_frequency: the largest frequency of the irreps, at least 1.

    Raises:
        GroupError: if max_frequency is not an integer from 1 to 1000.

    Example:
        >>> from equiconv.groups import O2, SO2
        >>> O2(3).regular.dim
        14
        >>> SO2(3).irrep(2).induce(O2(3)).decompose()[0]
        (3, 3)

    Source:
        Weiler and Cesa, General E(2)-Equivariant Steerable CNNs (NeurIPS 2019), section 2.5 and appendix F.
    """

    def _irreps(self) -> list[Floats]:
        return irreps.dihedral_irreps(self.steps)[: self.max_frequency + 2]

    def sampled(self, n: int) -> Group:
        """Return ``Dihedral(n)``."""
        return Dihedral(n)


def _interpolation(angles: Floats, steps: int) -> Floats:
    """Return the weights ``(n, steps)`` of trigonometric interpolation at the angles (radians)."""
    apart = angles[:, None] - 2 * np.pi * np.arange(steps) / steps
    waves = np.cos(np.arange(1, steps // 2 + 1)[:, None, None] * apart)  # (frequency, n, steps)
    waves[-1] /= 2  # at half of the steps, sine is not seen
    return snapped((1 + 2 * waves.sum(0)) / steps)
