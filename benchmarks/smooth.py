"""A trial basis: rings of circular harmonics that fade towards the border of the window, high frequencies weaker."""

import numpy as np

from equiconv.bases import Circular
from equiconv.groups.laws import Floats

__all__ = ["SmoothRings"]

WIDTH = 0.6  # pixels


class SmoothRings(Circular):
    """Take Gaussian rings of one width, a pixel apart, times a window that is zero where the kernel ends.

    The value at radius r is ``(1 - (2r / (k + 1))^2) exp(-(r - ring)^2 / (2 width^2))`` times ``cos(m phi)`` and
    ``sin(m phi)``. Ring i has the frequencies up to i, the last ring one more. A function of frequency m has a norm
    proportional to ``(1 + m)^-1/2``; the mean of the squared norms is 1.

    Args:
        kernel_size: rows and columns of the window, equal, at least 3.
        width: of the rings, in pixels.

    Example:
        >>> SmoothRings((5, 5)).waves
        (0, 0, 0, 1, 1, 2, 3)
    """

    def __init__(self, kernel_size: tuple[int, int], width: float = WIDTH) -> None:
        super().__init__(kernel_size)
        count = (kernel_size[0] + 1) // 2
        self.width = width
        self.rings = np.linspace(0, (kernel_size[0] - 1) / 2, count)
        frequencies = [*range(count - 1), count]
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
        profiles = window * np.exp(-((radius - self.rings[:, None]) ** 2) / (2 * self.width**2))  # (rings, p)
        found = []
        for m, ring in self._parts:
            waves = np.stack([np.cos(m * angle), np.sin(m * angle)]) * (radius > 1e-9) if m else np.ones((1, 1))
            pair = profiles[ring] * waves  # (1 or 2, p)
            found.append(pair / np.sqrt((1 + m) * (pair**2).sum() / len(pair)))
        samples = np.concatenate(found)
        return samples * np.sqrt(len(samples) / (samples**2).sum())
