"""Kernels made of pixels."""

import numpy as np

from equiconv.bases.basis import SpatialBasis
from equiconv.errors import ExactnessError, ShapeError
from equiconv.groups.group import Group
from equiconv.groups.laws import Floats, Ints, permutation_matrices

__all__ = ["Pixels"]


class Pixels(SpatialBasis):
    """Take the pixels of the window themselves: every kernel, moved exactly by quarter turns and flips.

    Equivariance:
        Exact for groups that send the window to itself (``group.keeps_grid``; a quarter turn needs a square). A single
        pixel stays where it is under every group.

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

    @property
    def center(self) -> int | None:
        """The middle pixel of an odd window."""
        rows, columns = self.kernel_size
        return rows // 2 * columns + columns // 2 if rows % 2 and columns % 2 else None

    def permutation(self, group: Group) -> Ints:
        """Element g sends pixel s (row by row) to pixel ``permutation[g, s]``.

        Raises:
            ExactnessError: if the group sends pixels between pixels.
            ShapeError: if it does not map the window to itself.
        """
        if self.size > 1 and not group.keeps_grid:
            raise ExactnessError(
                f"{group!r} sends pixels between pixels, so kernels made of pixels cannot be moved exactly; use "
                "quarter turns and flips: with n = 1, 2, 4 Cyclic(n) or Dihedral(n, k * pi / 4), or Flip(k * pi / 4)"
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
        return permutation_matrices(self.permutation(group))

    def samples(self) -> None:
        """Return None: the functions are the pixels."""
        return
