"""What every spatial basis can do."""

from abc import ABC, abstractmethod

import numpy as np

from equiconv.errors import ShapeError
from equiconv.groups.group import Group
from equiconv.groups.irreps import rotations
from equiconv.groups.laws import Floats, Ints
from equiconv.groups.values import integer

__all__ = ["Circular", "SpatialBasis"]


def window_size(kernel_size: tuple[int, int]) -> tuple[int, int]:
    """Return ``(rows, columns)``, or raise ShapeError unless they are two positive integers."""
    sizes = [integer(size) for size in kernel_size] if isinstance(kernel_size, (tuple, list)) else []
    whole = [size for size in sizes if size is not None and size >= 1]
    if len(sizes) != 2 or len(whole) != 2:
        raise ShapeError(f"kernel_size is (rows, columns), integers >= 1; got {kernel_size!r}")
    return whole[0], whole[1]


class SpatialBasis(ABC):
    """Span the kernels of one size: ``size`` functions on the window, mixed among themselves by a group.

    Args:
        kernel_size: rows and columns of the window.
    """

    def __init__(self, kernel_size: tuple[int, int]) -> None:
        self.kernel_size = window_size(kernel_size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.kernel_size})"

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of functions."""

    @property
    @abstractmethod
    def center(self) -> int | None:
        """The function at the center of the window, which no element moves; None if there is none."""

    @abstractmethod
    def permutation(self, group: Group) -> Ints | None:
        """Element g sends function s to function ``permutation[g, s]``; None if it mixes them otherwise."""

    @abstractmethod
    def action(self, group: Group) -> Floats:
        """Return the matrices ``(order, s, s)``: element g sends function s to ``sum_t action[g, t, s] t``."""

    @abstractmethod
    def samples(self) -> Floats | None:
        """Return the functions on the pixels of the window, shape ``(s, kh*kw)``; None if they are the pixels."""

    def points(self) -> Floats:
        """Return the pixels of the window, row by row, as points (x right, y up) from its center, shape ``(p, 2)``."""
        rows, columns = (np.arange(size) - (size - 1) / 2 for size in self.kernel_size)
        return np.stack([np.tile(columns, len(rows)), np.repeat(-rows, len(columns))], -1)


class Circular(SpatialBasis):
    """Span kernels by functions that turn like circular waves: in pairs of cosine and sine of ``m`` times the angle.

    Every orthogonal transformation of the plane mixes the two functions of a pair only, so that kernels can be turned
    by any angle. A subclass says what the functions are.

    Args:
        kernel_size: rows and columns of the window, equal.

    Raises:
        ShapeError: if the window is not square.
    """

    def __init__(self, kernel_size: tuple[int, int]) -> None:
        super().__init__(kernel_size)
        rows, columns = self.kernel_size
        if rows != columns:
            raise ShapeError(f"{type(self).__name__} need a square window; got {rows}x{columns}")

    @property
    @abstractmethod
    def waves(self) -> tuple[int, ...]:
        """The frequency m >= 0 of each pair, in the order of the functions; for m = 0 it is one function."""

    @property
    def size(self) -> int:
        """The number of functions."""
        return sum(2 if m else 1 for m in self.waves)

    @property
    def center(self) -> int | None:
        """The first function, if it is of frequency 0."""
        return 0 if self.waves[0] == 0 else None

    @property
    def condition(self) -> float:
        """The condition number of the functions on the pixels; 1 if they are orthonormal, infinite if dependent."""
        values = np.linalg.svd(self.samples(), compute_uv=False)
        return float(values[0] / values[-1]) if self.size <= self.points().shape[0] and values[-1] > 1e-9 else np.inf

    def permutation(self, group: Group) -> None:
        """Return None: a rotation mixes cosine and sine."""
        return

    def action(self, group: Group) -> Floats:
        """Return the orthogonal matrices ``(order, s, s)``; the two functions of a pair mix.

        Raises:
            ShapeError: if the frequencies are too large for a continuous group.
        """
        group.check_frequency(max(self.waves))
        turn, handed = np.arctan2(group.plane[:, 1, 0], group.plane[:, 0, 0]), np.linalg.det(group.plane)
        matrices = np.zeros((group.order, self.size, self.size))
        start = 0
        for m in self.waves:
            block = rotations(m * turn)  # (order, 2, 2)
            block[:, :, 1] *= handed[:, None]  # a reflection is a turn after phi -> -phi
            end = start + (2 if m else 1)
            matrices[:, start:end, start:end] = block if m else 1.0
            start = end
        return matrices

    @abstractmethod
    def samples(self) -> Floats:
        """Return the functions on the pixels of the window, ``(s, kh*kw)``."""
