"""The functions that a kernel is made of, and how a group mixes them."""

from abc import ABC, abstractmethod

import numpy as np

from equiconv.errors import ExactnessError, ShapeError
from equiconv.groups.group import Group
from equiconv.groups.laws import Floats, Ints

__all__ = ["Pixels", "SpatialBasis"]


class SpatialBasis(ABC):
    """Span the kernels of one size: ``size`` functions on the window, mixed among themselves by a group.

    Args:
        kernel_size: rows and columns of the window.
    """

    def __init__(self, kernel_size: tuple[int, int]) -> None:
        self.kernel_size = kernel_size

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of functions."""

    @abstractmethod
    def permutation(self, group: Group) -> Ints | None:
        """Element g sends function s to function ``permutation[g, s]``; None if it mixes them otherwise."""

    @abstractmethod
    def action(self, group: Group) -> Floats:
        """Return the matrices ``(order, s, s)``: element g sends function s to ``sum_t action[g, t, s] t``."""

    @abstractmethod
    def samples(self) -> Floats | None:
        """Return the functions on the pixels of the window, shape ``(s, kh*kw)``; None if they are the pixels."""


class Pixels(SpatialBasis):
    """Take the pixels of the window themselves: every kernel, moved exactly by quarter turns and flips.

    Equivariance:
        Exact for groups that send the window to itself (``group.keeps_grid``; a quarter turn needs a square).

    Args:
        kernel_size: rows and columns of the window.

    Example:
        >>> from equiconv.groups import Cyclic
        >>> Pixels((2, 2)).permutation(Cyclic(4))[1].tolist()
        [2, 0, 3, 1]
    """

    @property
    def size(self) -> int:
        """The number of pixels."""
        return self.kernel_size[0] * self.kernel_size[1]

    def permutation(self, group: Group) -> Ints:
        """Element g sends pixel s (row by row) to pixel ``permutation[g, s]``.

        Raises:
            ExactnessError: if the group sends pixels between pixels.
            ShapeError: if it does not map the window to itself.
        """
        if not group.keeps_grid:
            raise ExactnessError(
                f"{group!r} sends pixels between pixels, so kernels made of pixels cannot be moved exactly; use "
                "quarter turns and flips: Cyclic(n) or Dihedral(n) with n = 1, 2, 4, or Flip(k * pi / 4)"
            )
        rows, columns = self.kernel_size
        i, j = np.divmod(np.arange(self.size), columns)
        twice = np.stack([2 * j - (columns - 1), (rows - 1) - 2 * i])  # (2, s): twice (x, y) of each pixel
        x, y = np.moveaxis(group.plane @ twice, 1, 0).round().astype(np.int64)  # (order, s) each
        j, i = (x + columns - 1) // 2, (rows - 1 - y) // 2
        if not ((abs(x) < columns) & (abs(y) < rows)).all():
            raise ShapeError(f"{group!r} does not map a {rows}x{columns} window to itself; use a square window")
        return i * columns + j

    def action(self, group: Group) -> Floats:
        """Return the permutation matrices ``(order, s, s)``."""
        images = self.permutation(group)
        matrices = np.zeros((*images.shape, self.size))
        np.put_along_axis(matrices, images[:, None, :], 1.0, axis=1)
        return matrices

    def samples(self) -> None:
        """Return None: the functions are the pixels."""
        return
