"""The functions that a kernel is made of, and how a group mixes them."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from equiconv.errors import ExactnessError, ShapeError
from equiconv.groups.group import Group
from equiconv.groups.irreps import rotations
from equiconv.groups.laws import Floats, Ints, permutation_matrices
from equiconv.groups.values import integer

__all__ = ["Harmonics", "Pixels", "SpatialBasis"]

UNSEEN = 1e-2  # the norm on the pixels below which a function is left out


class SpatialBasis(ABC):
    """Span the kernels of one size: ``size`` functions on the window, mixed among themselves by a group.

    Args:
        kernel_size: rows and columns of the window.
    """

    def __init__(self, kernel_size: tuple[int, int]) -> None:
        sizes = [integer(size) for size in kernel_size] if isinstance(kernel_size, (tuple, list)) else []
        if len(sizes) != 2 or any(size is None or size < 1 for size in sizes):
            raise ShapeError(f"kernel_size is (rows, columns), integers >= 1; got {kernel_size!r}")
        self.kernel_size = kernel_size

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.kernel_size})"

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
        return permutation_matrices(self.permutation(group))

    def samples(self) -> None:
        """Return None: the functions are the pixels."""
        return


class Harmonics(SpatialBasis):
    """Take rings of circular harmonics: ``exp(-(r - ring)^2 / (2 width^2))`` times ``cos(m phi)`` and ``sin(m phi)``.

    Every orthogonal transformation of the plane mixes cosine and sine of one frequency only, so that kernels can be
    turned by any angle. At the center only frequency 0 is finite. Every function has norm 1 on the pixels, cosine and
    sine together; neighboring rings overlap, and ``condition`` tells how far the whole is from orthonormal.

    Equivariance:
        Exact for every angle on the continuous plane. On pixels exact for quarter turns and flips along the axes and
        diagonals; other angles are approximate, since kernel and image are only known there.

    Args:
        kernel_size: rows and columns of the window, equal.
        rings: the radii, in pixels; None takes ``(kernel_size + 1) // 2`` of them from 0 to ``(kernel_size - 1) // 2``.
        widths: the Gaussian width of each ring, in pixels; None takes 0.6, for the last ring 0.4, for radius 0 0.005.
        frequencies: the largest frequency on each ring; None takes 0 at the center, 2r for odd and 2r - 1 for even
            radii r, at most 2 at the border of the window.

    Raises:
        ShapeError: if the window is not square, the three lists do not fit each other, or no function is seen by any
            pixel.

    Example:
        >>> Harmonics((5, 5)).size
        11

    Source:
        Weiler and Cesa, General E(2)-Equivariant Steerable CNNs (NeurIPS 2019), section 2.7 and appendix G; the
        defaults are those of e2cnn.
    """

    def __init__(
        self,
        kernel_size: tuple[int, int],
        *,
        rings: Sequence[float] | None = None,
        widths: Sequence[float] | None = None,
        frequencies: Sequence[int] | None = None,
    ) -> None:
        super().__init__(kernel_size)
        side = kernel_size[0]
        if side != kernel_size[1]:
            raise ShapeError(f"harmonics need a square window; got {kernel_size[0]}x{kernel_size[1]}")
        self.rings = _listed(rings, _default_rings(side))
        last = len(self.rings) - 1
        default_widths = [0.005 if r == 0 else 0.4 if i == last else 0.6 for i, r in enumerate(self.rings)]
        self.widths = _listed(widths, default_widths)
        self.frequencies = _listed(frequencies, [_default_frequency(r, side) for r in self.rings])
        self._check_lists()
        self._factors = self._normalized_rings()
        if not any(len(factor) for factor in self._factors):
            raise ShapeError(f"no pixel of a {side}x{side} window sees the rings {self.rings}; choose other rings")

    def _check_lists(self) -> None:
        lengths = {len(values) for values in (self.rings, self.widths, self.frequencies)}
        whole = all((integer(f) or 0) >= 0 and integer(f) is not None for f in self.frequencies)
        if len(lengths) != 1 or not self.rings or not whole or min(self.rings) < 0 or min(self.widths) <= 0:
            raise ShapeError(
                "rings (>= 0), widths (> 0) and frequencies (integers >= 0) have one entry for each ring; got "
                f"{self.rings}, {self.widths}, {self.frequencies}"
            )

    def _normalized_rings(self) -> list[Floats]:
        """Return, for each frequency, the factors of the rings that have it and that pixels see, ``(n, rings)``."""
        points, factors = self._pixels(), []
        for m in range(max(self.frequencies) + 1):
            parts = self._raw(points, m)  # (rings, parts, p)
            norms = np.sqrt(np.einsum("rcp,rcp->r", parts, parts) / parts.shape[1])
            seen = [i for i, f in enumerate(self.frequencies) if f >= m and norms[i] > UNSEEN]
            factors.append(np.eye(len(self.rings))[seen] / norms[seen, None])
        return factors

    def _pixels(self) -> Floats:
        """Return the pixels of the window, row by row, as points (x right, y up), shape ``(p, 2)``."""
        offsets = np.arange(self.kernel_size[0]) - (self.kernel_size[0] - 1) / 2
        return np.stack([np.tile(offsets, len(offsets)), np.repeat(-offsets, len(offsets))], -1)

    def _raw(self, points: Floats, m: int) -> Floats:
        """Return the rings times the harmonics of frequency m at the points, ``(rings, 1 or 2, p)``."""
        x, y = points.T
        radius, angle = np.hypot(x, y), np.arctan2(y, x)
        rings, widths = np.array(self.rings)[:, None], np.array(self.widths)[:, None]
        profile = np.exp(-((radius - rings) ** 2) / (2 * widths**2))  # (rings, p)
        if m == 0:
            return profile[:, None]
        waves = np.stack([np.cos(m * angle), np.sin(m * angle)]) * (radius > 1e-9)  # (2, p)
        return profile[:, None] * waves

    def __repr__(self) -> str:
        lists = f"rings={self.rings}, widths={self.widths}, frequencies={self.frequencies}"
        return f"Harmonics({self.kernel_size}, {lists})"

    def evaluate(self, points: Floats) -> Floats:
        """Return the functions at points (x right, y up) of the plane.

        Args:
            points: in pixels from the center of the window, shape ``(p, 2)``.

        Returns:
            The values, shape ``(s, p)``.
        """
        values = [
            np.einsum("nr,rcp->ncp", factor, self._raw(points, m)).reshape(-1, len(points))
            for m, factor in enumerate(self._factors)
        ]
        return np.concatenate(values)

    @property
    def size(self) -> int:
        """The number of functions."""
        return sum(len(factor) * (2 if m else 1) for m, factor in enumerate(self._factors))

    @property
    def condition(self) -> float:
        """The condition number of the functions on the pixels; 1 if they are orthonormal, infinite if dependent."""
        return float(np.linalg.cond(self.samples()))

    def permutation(self, group: Group) -> None:
        """Return None: a rotation mixes cosine and sine."""
        return

    def action(self, group: Group) -> Floats:
        """Return the orthogonal matrices ``(order, s, s)``; the functions of one radial part and frequency mix."""
        turn, handed = np.arctan2(group.plane[:, 1, 0], group.plane[:, 0, 0]), np.linalg.det(group.plane)
        matrices = np.zeros((group.order, self.size, self.size))
        start = 0
        for m, factor in enumerate(self._factors):
            block = rotations(m * turn)  # (order, 2, 2)
            block[:, :, 1] *= handed[:, None]  # a reflection is a turn after phi -> -phi
            block = block if m else block[:, :1, :1]
            for _ in range(len(factor)):
                end = start + block.shape[1]
                matrices[:, start:end, start:end] = block
                start = end
        return matrices

    def samples(self) -> Floats:
        """Return the functions on the pixels of the window, ``(s, kh*kw)``."""
        return self.evaluate(self._pixels())


def _listed(values: Sequence[float] | None, default: Sequence[float]) -> tuple:
    if values is None:
        return tuple(default)
    if not isinstance(values, (tuple, list)) or not all(isinstance(value, (int, float)) for value in values):
        raise ShapeError(
            f"rings, widths and frequencies are lists of numbers with one entry for each ring; got {values!r}"
        )
    return tuple(values)


def _default_rings(side: int) -> list[float]:
    """Return e2cnn's radii; for 2x2 windows, where it has none, the one on which the four pixels lie."""
    return [math.sqrt(0.5)] if side == 2 else np.linspace(0, (side - 1) // 2, (side + 1) // 2).tolist()


def _default_frequency(radius: float, side: int) -> int:
    """Return the largest frequency of e2cnn's default policy on a ring."""
    if radius == 0 or side == 2:
        return round(radius)
    return int(min(2 * radius, 2 if radius == side // 2 else 2 * radius - (radius + 1) % 2))
