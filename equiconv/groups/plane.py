"""Finite groups that move the plane."""

import math

import numpy as np

from equiconv.errors import GroupError
from equiconv.groups import irreps
from equiconv.groups.group import Group
from equiconv.groups.laws import Floats
from equiconv.groups.values import integer, is_number

__all__ = ["P4", "P4M", "Cyclic", "Dihedral", "Flip", "Trivial"]

WIDEST = 1000.0  # radians: of larger angles too few digits are left


def check_count(n: int, name: str) -> int:
    """Return ``n``, or raise GroupError unless it is a positive integer."""
    count = integer(n)
    if count is None or count < 1:
        raise GroupError(f"{name}(n) needs an integer n >= 1; got {n!r}")
    return count


def check_axis(axis: float, name: str) -> float:
    """Return the angle of a mirror line, or raise GroupError unless it is a number, NumPy's too, of a few turns."""
    angle = axis.item() if isinstance(axis, np.generic) else axis
    if not is_number(angle, -WIDEST, WIDEST):
        raise GroupError(f"{name}: axis is a finite angle in radians, {WIDEST:g} at most; got {axis!r}")
    return float(angle)


def mirror(axis: float) -> Floats:
    """Return the matrix that mirrors the plane in the line at an angle (radians) to the x axis."""
    return irreps.rotations(np.array([2 * axis]))[0] @ np.diag([1.0, -1.0])


class Trivial(Group):
    """Hold the group with one element: no symmetry but that of translations.

    Layers on it are ordinary convolutions.

    Example:
        >>> from equiconv.groups import Trivial
        >>> Trivial().order
        1
    """

    def __init__(self) -> None:
        super().__init__(np.zeros((1, 1), np.int64))

    @property
    def arguments(self) -> tuple[object, ...]:
        """No arguments."""
        return ()


class Cyclic(Group):
    """Turn the plane by multiples of 360/n degrees: C_n. Element r turns by r steps, counter-clockwise as displayed.

    Args:
        n: the number of rotations, at least 1. ``Cyclic(4)`` is p4; only n = 1, 2, 4 keep the pixel grid.

    Raises:
        GroupError: if n is not a positive integer.

    Example:
        >>> from equiconv.groups import Cyclic
        >>> Cyclic(4).plane[1].tolist()
        [[0.0, -1.0], [1.0, 0.0]]
    """

    def __init__(self, n: int) -> None:
        self.n = check_count(n, "Cyclic")
        super().__init__(irreps.cyclic_table(n), plane=irreps.rotations(2 * np.pi * np.arange(n) / n))

    @property
    def arguments(self) -> tuple[object, ...]:
        """The number of rotations."""
        return (self.n,)


class Dihedral(Group):
    """Turn and mirror the plane: D_n, of order 2n. Element ``m*n + r`` turns by r steps, then mirrors if m = 1.

    Args:
        n: the number of rotations, at least 1. ``Dihedral(4)`` is p4m; only n = 1, 2, 4 keep the pixel grid, with
            an axis that is a multiple of pi/4.
        axis: the angle of the mirror line to the x axis, in radians. The default, 0, flips rows; the other mirror lines
            are at multiples of pi/n from it.

    Raises:
        GroupError: if n is not a positive integer, or the angle is not a number from -1000 to 1000.

    Example:
        >>> from equiconv.groups import Dihedral
        >>> Dihedral(4).order, int(Dihedral(4).table[1, 4])
        (8, 7)
    """

    def __init__(self, n: int, axis: float = 0.0) -> None:
        self.n, self.axis = check_count(n, "Dihedral"), check_axis(axis, "Dihedral")
        turns = irreps.rotations(2 * np.pi * np.arange(n) / n)
        super().__init__(irreps.dihedral_table(n), plane=np.concatenate([turns, mirror(self.axis) @ turns]))

    @property
    def arguments(self) -> tuple[object, ...]:
        """The number of rotations; and the angle of the mirror line, if it is not the horizontal one."""
        return (self.n, self.axis) if self.axis else (self.n,)


class Flip(Group):
    """Mirror the plane in one line through the center; order 2.

    Args:
        axis: the angle of the mirror line to the x axis, in radians. The default, pi/2, is the vertical line: it
            exchanges left and right. 0 exchanges top and bottom. Multiples of pi/4 keep the pixel grid.

    Raises:
        GroupError: if the angle is not a number from -1000 to 1000.

    Example:
        >>> from equiconv.groups import Flip
        >>> Flip().plane[1].tolist()
        [[-1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, axis: float = math.pi / 2) -> None:
        self.axis = check_axis(axis, "Flip")
        super().__init__(irreps.cyclic_table(2), plane=np.stack([np.eye(2), mirror(self.axis)]))

    @property
    def arguments(self) -> tuple[object, ...]:
        """The angle of the mirror line; nothing for the vertical one."""
        return () if self.axis == math.pi / 2 else (self.axis,)


def P4() -> Cyclic:
    """Return ``Cyclic(4)``: the quarter turns, exact on the pixel grid.

    Example:
        >>> from equiconv.groups import P4
        >>> P4()
        Cyclic(4)
    """
    return Cyclic(4)


def P4M() -> Dihedral:
    """Return ``Dihedral(4)``: the quarter turns and mirrors, exact on the pixel grid.

    Example:
        >>> from equiconv.groups import P4M
        >>> P4M()
        Dihedral(4)
    """
    return Dihedral(4)
