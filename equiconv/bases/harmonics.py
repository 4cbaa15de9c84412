"""Kernels made of rings of circular harmonics."""

import math
from collections.abc import Sequence
from typing import Self

import numpy as np

from equiconv.bases.basis import Circular
from equiconv.errors import ShapeError
from equiconv.groups.laws import Floats
from equiconv.groups.values import integer

__all__ = ["Harmonics"]

UNSEEN = 1e-2  # the norm on the pixels below which a function is left out
NEW = 1e-2  # how much of a pair has to be new, for a complete basis to take it


class Harmonics(Circular):
    """Take rings of circular harmonics: ``exp(-(r - ring)^2 / (2 width^2))`` times ``cos(m phi)`` and ``sin(m phi)``.

    At the center only frequency 0 is finite. Every function has norm 1 on the pixels, cosine and sine together;
    neighboring rings overlap, and ``condition`` tells how far the whole is from orthonormal. Radii are in pixels of the
    window: a dilated kernel has as many functions as any other.

    Equivariance:
        Exact for every angle on the continuous plane. On pixels exact for quarter turns and flips along the axes and
        diagonals; other angles are approximate, since kernel and image are only known there.

    Args:
        kernel_size: rows and columns of the window, equal.
        rings: the radii, in pixels; None takes ``(kernel_size + 1) // 2`` of them from 0 to ``(kernel_size - 1) // 2``.
        widths: the Gaussian width of each ring, in pixels; None takes 0.6, for the last ring 0.4, for radius 0 0.005.
        frequencies: the largest frequency on each ring; None takes 0 at the center, 2r for odd and 2r - 1 for even
            radii r, at most 2 at the border of the window.
        max_frequency: the largest frequency on any ring; None sets no bound.

    Raises:
        ShapeError: if the window is not square, the three lists do not fit each other, or no function is seen by any
            pixel.

    Example:
        >>> Harmonics((5, 5)).size
        11
        >>> Harmonics((5, 5), max_frequency=1).size
        7

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
        max_frequency: int | None = None,
    ) -> None:
        super().__init__(kernel_size)
        side = kernel_size[0]
        self.rings = _listed(rings, _default_rings(side))
        last = len(self.rings) - 1
        default_widths = [0.005 if r == 0 else 0.4 if i == last else 0.6 for i, r in enumerate(self.rings)]
        self.widths = _listed(widths, default_widths)
        self.frequencies = _listed(frequencies, [_default_frequency(r, side) for r in self.rings])
        self._check_lists()
        if max_frequency is not None:
            if (bound := integer(max_frequency)) is None or bound < 0:
                raise ShapeError(f"max_frequency is an integer >= 0; got {max_frequency!r}")
            self.frequencies = tuple(min(f, bound) for f in self.frequencies)
        self._parts = self._seen_parts()
        if not self._parts:
            raise ShapeError(f"no pixel of a {side}x{side} window sees the rings {self.rings}; choose other rings")

    @classmethod
    def e2cnn(cls, kernel_size: tuple[int, int]) -> Self:
        """Return the harmonics that e2cnn takes by default.

        Args:
            kernel_size: rows and columns of the window, equal.
        """
        return cls(kernel_size)

    @classmethod
    def complete(cls, kernel_size: tuple[int, int]) -> Self:
        """Return harmonics that span every kernel of the window, as pixels do; for k > 3 a few more than there are.

        There is a ring at each distance of a pixel from the center, with the lowest frequencies that are needed. Narrow
        rings and high frequencies turn worse, at angles off the grid, than the usual choice.

        Args:
            kernel_size: rows and columns of the window, equal.

        Example:
            >>> Harmonics((3, 3)).size, Harmonics.complete((3, 3)).size
            (6, 9)
        """
        side = kernel_size[0]
        width = 0.4 if side <= 3 else 0.05  # wider rings of larger windows see each other's pixels, and depend
        offsets = np.arange(side) - (side - 1) / 2
        rings = np.unique(np.hypot(*np.meshgrid(offsets, offsets)).round(9)).tolist()
        widths, frequencies = [width] * len(rings), [0] * len(rings)
        spanned = cls(kernel_size, rings=rings, widths=widths, frequencies=frequencies).samples()
        for m in range(1, side**2):
            for i in (i for i, ring in enumerate(rings) if ring > 0 and frequencies[i] == m - 1):
                pair = cls(kernel_size, rings=[rings[i]], widths=[width], frequencies=[m]).samples()[-2:]
                more = np.concatenate([spanned, pair])
                if np.linalg.matrix_rank(more, NEW) > np.linalg.matrix_rank(spanned, NEW):
                    frequencies[i], spanned = m, more
        return cls(kernel_size, rings=rings, widths=widths, frequencies=frequencies)

    def _check_lists(self) -> None:
        lengths = {len(values) for values in (self.rings, self.widths, self.frequencies)}
        whole = all((integer(f) or 0) >= 0 and integer(f) is not None for f in self.frequencies)
        if len(lengths) != 1 or not self.rings or not whole or min(self.rings) < 0 or min(self.widths) <= 0:
            raise ShapeError(
                "rings (>= 0), widths (> 0) and frequencies (integers >= 0) have one entry for each ring; got "
                f"{self.rings}, {self.widths}, {self.frequencies}"
            )

    def _seen_parts(self) -> list[tuple[int, int, float]]:
        """Return (frequency, ring, norm on the pixels) of what pixels see, by frequency and ring."""
        points, parts = self.points(), []
        for m in range(max(self.frequencies) + 1):
            values = self._raw(points, m)  # (rings, 1 or 2, p)
            norms = np.sqrt(np.einsum("rcp,rcp->r", values, values) / values.shape[1])
            parts += [(m, i, norms[i]) for i, f in enumerate(self.frequencies) if f >= m and norms[i] > UNSEEN]
        return parts

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

    @property
    def waves(self) -> tuple[int, ...]:
        """The frequency of each radial part."""
        return tuple(m for m, _, _ in self._parts)

    def evaluate(self, points: Floats) -> Floats:
        """Return the functions at points (x right, y up) of the plane.

        Args:
            points: in pixels from the center of the window, shape ``(p, 2)``.

        Returns:
            The values, shape ``(s, p)``.
        """
        raw = [self._raw(points, m) for m in range(max(self.frequencies) + 1)]
        return np.concatenate([raw[m][ring] / norm for m, ring, norm in self._parts])

    def samples(self) -> Floats:
        """Return the functions on the pixels of the window, ``(s, kh*kw)``."""
        return self.evaluate(self.points())


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
