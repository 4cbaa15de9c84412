"""Kernels made of rings of circular harmonics."""

from collections.abc import Sequence
from functools import partial
from typing import Self

import numpy as np

from equiconv.bases.basis import Circular, window_size
from equiconv.errors import ShapeError
from equiconv.groups.laws import Floats
from equiconv.groups.values import integer, is_number

__all__ = ["Harmonics"]

UNSEEN = 1e-2  # the norm on the pixels below which a function is left out
WIDTH = 0.6  # pixels: of a ring
POINT = 0.005  # pixels: of a ring that only the center sees
STEEPEST = 10
NEW = 1e-2  # how much of a pair has to be new, for a complete basis to take it


class Harmonics(Circular):
    """Take rings of circular harmonics: ``exp(-(r - ring)^2 / (2 width^2))`` times ``cos(m phi)`` and ``sin(m phi)``.

    At the center only frequency 0 is finite. Two things keep kernels close to what they are on the plane: the functions
    fade to zero where the window ends, and high frequencies are weaker. Radii are in pixels of the window, so that a
    dilated kernel has as many functions as any other. ``condition`` tells how far the functions are from orthonormal.

    Equivariance:
        Exact for every angle on the continuous plane. On pixels exact for quarter turns and flips along the axes and
        diagonals; other angles are approximate, since kernel and image are only known there.

    Args:
        kernel_size: rows and columns of the window, equal.
        rings: the radii, in pixels; None takes ``(kernel_size + 1) // 2`` of them from 0 to ``(kernel_size - 1) / 2``.
        widths: the Gaussian width of each ring, in pixels; None takes 0.6, and where radius 0 is a pixel that alone.
        frequencies: the largest frequency on each ring; None takes 0, 1, 2, ..., one more on the last ring.
        max_frequency: the largest frequency on any ring; None sets no bound.
        fading: whether the functions are multiplied by ``1 - (2 r / (kernel_size + 1))^2``.
        decay: a function of frequency m has a norm proportional to ``(1 + m)^-decay``; the mean of the squared norms
            on the pixels, cosine and sine together, is 1.

    Raises:
        ShapeError: if the window is not square, the three lists do not fit each other, an argument is out of range, or
            no function is seen by any pixel.

    Example:
        >>> Harmonics((5, 5)).waves
        (0, 0, 0, 1, 1, 2, 3)
        >>> Harmonics((5, 5), max_frequency=1).size
        7

    Source:
        Weiler and Cesa, General E(2)-Equivariant Steerable CNNs (NeurIPS 2019), section 2.7 and appendix G, for
        Gaussian rings with bounded frequencies. The default is chosen by ``python -m benchmarks equivariance``;
        ``Harmonics.e2cnn`` are the functions of the paper's code.
    """

    def __init__(
        self,
        kernel_size: tuple[int, int],
        *,
        rings: Sequence[float] | None = None,
        widths: Sequence[float] | None = None,
        frequencies: Sequence[int] | None = None,
        max_frequency: int | None = None,
        fading: bool = True,
        decay: float = 0.5,
    ) -> None:
        super().__init__(kernel_size)
        side = self.kernel_size[0]
        count = (side + 1) // 2
        self.rings = _listed(rings, np.linspace(0, (side - 1) / 2, count).tolist())
        self.widths = _listed(widths, [POINT if r == 0 and side % 2 else WIDTH for r in self.rings])
        last = len(self.rings) - 1
        self.frequencies = _listed(frequencies, [i + (i == last and side > 1) for i in range(last + 1)])
        self.fading, self.decay = fading, decay
        self._check(max_frequency)
        if max_frequency is not None:
            self.frequencies = tuple(min(f, max_frequency) for f in self.frequencies)
        self._parts = self._seen_parts()
        if not self._parts:
            raise ShapeError(f"no pixel of a {side}x{side} window sees the rings {self.rings}; choose other rings")

    @classmethod
    def e2cnn(cls, kernel_size: tuple[int, int]) -> Self:
        """Return the harmonics that e2cnn takes by default, each of norm 1.

        Rings are at whole radii, of width 0.6, the last one 0.4, the center alone. Ring r has frequencies up to 2 r if
        r is odd, else 2 r - 1, and at most 2 at the border of the window.

        Args:
            kernel_size: rows and columns of the window, equal; not 2x2, where no pixel lies on a ring.

        Example:
            >>> Harmonics.e2cnn((5, 5)).frequencies
            (0, 2, 2)
        """
        side = window_size(kernel_size)[0]
        rings = np.linspace(0, (side - 1) // 2, (side + 1) // 2).tolist()
        widths = [POINT if r == 0 else 0.4 if r == rings[-1] else 0.6 for r in rings]
        highest = [2 * r - (r + 1) % 2 for r in rings]
        frequencies = [int(min(f, 2) if r == side // 2 else f) if r else 0 for r, f in zip(rings, highest, strict=True)]
        return cls(kernel_size, rings=rings, widths=widths, frequencies=frequencies, fading=False, decay=0)

    @classmethod
    def complete(cls, kernel_size: tuple[int, int]) -> Self:
        """Return harmonics that span every kernel of the window, as pixels do; but for 1x1 and 3x3 they are a few more.

        There is a ring at each distance of a pixel from the center, with the lowest frequencies that are needed. Narrow
        rings and high frequencies turn worse, at angles off the grid, than the usual choice.

        Args:
            kernel_size: rows and columns of the window, equal.

        Example:
            >>> Harmonics((3, 3)).size, Harmonics.complete((3, 3)).size
            (6, 9)
        """
        side = window_size(kernel_size)[0]
        width = 0.4 if side <= 3 else 0.05  # wider rings of larger windows see each other's pixels, and depend
        offsets = np.arange(side) - (side - 1) / 2
        rings = np.unique(np.hypot(*np.meshgrid(offsets, offsets)).round(9)).tolist()
        widths, frequencies = [width] * len(rings), [0] * len(rings)
        plain = partial(cls, kernel_size, fading=False, decay=0)
        spanned = plain(rings=rings, widths=widths, frequencies=frequencies).samples()
        for m in range(1, side**2):
            for i in (i for i, ring in enumerate(rings) if ring > 0 and frequencies[i] == m - 1):
                pair = plain(rings=[rings[i]], widths=[width], frequencies=[m]).samples()[-2:]
                more = np.concatenate([spanned, pair])
                if np.linalg.matrix_rank(more, NEW) > np.linalg.matrix_rank(spanned, NEW):
                    frequencies[i], spanned = m, more
        return plain(rings=rings, widths=widths, frequencies=frequencies)

    def _check(self, max_frequency: int | None) -> None:
        lengths = {len(values) for values in (self.rings, self.widths, self.frequencies)}
        whole = all((integer(f) or 0) >= 0 and integer(f) is not None for f in self.frequencies)
        if len(lengths) != 1 or not self.rings or not whole or min(self.rings) < 0 or min(self.widths) <= 0:
            raise ShapeError(
                "rings (>= 0), widths (> 0) and frequencies (integers >= 0) have one entry for each ring; got "
                f"{self.rings}, {self.widths}, {self.frequencies}"
            )
        if max_frequency is not None and ((bound := integer(max_frequency)) is None or bound < 0):
            raise ShapeError(f"max_frequency is an integer >= 0; got {max_frequency!r}")
        if not is_number(self.decay, 0, STEEPEST) or not isinstance(self.fading, bool):
            raise ShapeError(
                f"decay is a number from 0 to {STEEPEST}, fading True or False; got {self.decay!r} and {self.fading!r}"
            )

    def _seen_parts(self) -> list[tuple[int, int, float]]:
        """Return (frequency, ring, factor) of what pixels see, by frequency and ring."""
        points, parts = self.points(), []
        for m in range(max(self.frequencies) + 1):
            values = self._raw(points, m)  # (rings, 1 or 2, p)
            norms = np.sqrt(np.einsum("rcp,rcp->r", values, values) / values.shape[1])
            seen = [i for i, f in enumerate(self.frequencies) if f >= m and norms[i] > UNSEEN]
            parts += [(m, i, (1 + m) ** -self.decay / norms[i]) for i in seen]
        each = np.array([[2 if m else 1, (1 + m) ** (-2 * self.decay)] for m, _, _ in parts]).reshape(-1, 2)
        scale = np.sqrt(each[:, 0].sum() / (each[:, 0] @ each[:, 1])) if parts else 1.0
        return [(m, i, float(factor * scale)) for m, i, factor in parts]

    def _raw(self, points: Floats, m: int) -> Floats:
        """Return the rings times the harmonics of frequency m at the points, ``(rings, 1 or 2, p)``."""
        x, y = points.T
        radius, angle = np.hypot(x, y), np.arctan2(y, x)
        rings, widths = np.array(self.rings)[:, None], np.array(self.widths)[:, None]
        profile = np.exp(-((radius - rings) ** 2) / (2 * widths**2))  # (rings, p)
        if self.fading:
            profile = profile * np.maximum(1 - (2 * radius / (self.kernel_size[0] + 1)) ** 2, 0)
        if m == 0:
            return profile[:, None]
        waves = np.stack([np.cos(m * angle), np.sin(m * angle)]) * (radius > 1e-9)  # (2, p)
        return profile[:, None] * waves

    def __repr__(self) -> str:
        lists = f"rings={self.rings}, widths={self.widths}, frequencies={self.frequencies}"
        return f"Harmonics({self.kernel_size}, {lists}, fading={self.fading}, decay={self.decay})"

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
        return np.concatenate([raw[m][ring] * factor for m, ring, factor in self._parts])

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
