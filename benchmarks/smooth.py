"""A trial basis: rings of circular harmonics that fade towards the border of the window, high frequencies weaker."""

import numpy as np

from equiconv.bases import Circular
from equiconv.groups.laws import Floats

__all__ = ["SmoothRings"]

WIDTH = 0.6  # pixels
POINT = 0.005  # pixels: the width of a ring that only the center sees
DECAY = 0.5  # the norms fall as (1 + m) to this power


class SmoothRings(Circular):
    """Take Gaussian rings of one width, a pixel apart, times a window that is zero where the kernel ends.

    The value at radius r is ``(1 - (2r / (k + 1))^2) exp(-(r - ring)^2 / (2 width^2))`` times ``cos(m phi)`` and
    ``sin(m phi)``. The first ring is the center: its pixel alone, where there is one. Ring i has the frequencies up to
    i, the last ring one more. A function of frequency m has a norm proportional to ``(1 + m)^-1/2``; the mean of the
    squared norms is 1.

    Args:
        kernel_size: rows and columns of the window, equal.

    Example:
        >>> SmoothRings((5, 5)).waves
        (0, 0, 0, 1, 1, 2, 3)
    """

    def __init__(self, kernel_size: tuple[int, int]) -> None:
        super().__init__(kernel_size)
        side = kernel_size[0]
        count = (side + 1) // 2
        self.rings = np.linspace(0, (side - 1) / 2, count)
        self.widths = np.array([POINT if side % 2 else WIDTH] + [WIDTH] * (count - 1))
        frequencies = [*range(count - 1), count if side > 1 else 0]
        self._parts = [(m, i) for m in range(count + 1) for i, highest in enumerate(frequencies) if m <= highest]

    @property
    def waves(self) -> tuple[int, ...]:
        """The frequency of each pair."""
        return tuple(m for m, _ in self._parts)

    def samples(self) -> Floats:
        """Return the functions on the pixels of the window, ``(s, kh*kw)``."""
        x, y = self.points().T
        radius, angle = np.hypot(x, y), np.arctan2(y, x)
        window = np.maximum(1 - (2 * radius / (self.kernel_size[0] + 1)) ** 2, 0)
        apart = (radius - self.rings[:, None]) / self.widths[:, None]
        profiles = window * np.exp(-(apart**2) / 2)  # (rings, p)
        found = []
        for m, ring in self._parts:
            waves = np.stack([np.cos(m * angle), np.sin(m * angle)]) * (radius > 1e-9) if m else np.ones((1, 1))
            pair = profiles[ring] * waves  # (1 or 2, p)
            found.append(pair / np.sqrt((1 + m) ** (2 * DECAY) * (pair**2).sum() / len(pair)))
        samples = np.concatenate(found)
        return samples * np.sqrt(len(samples) / (samples**2).sum())
