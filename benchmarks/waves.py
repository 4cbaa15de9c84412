"""Images that are known at every point of the plane, so that they can be turned by any angle without interpolation."""

import numpy as np
import torch
from torch import Tensor

from equiconv.errors import EquiconvError
from equiconv.groups.laws import Floats

__all__ = ["PlaneWaves", "cropped"]

EXTENT = 65  # pixels: the diameter of the images, which vanish outside
FLAT = 0.35  # of the extent: the radius within which nothing is damped
LOWEST = 0.02  # cycles per pixel
NYQUIST = 0.5  # cycles per pixel
CHANNELS = 3
WAVES = 200


class PlaneWaves:
    """Sums of 200 plane waves for each image and channel, with standard deviation 1, times a round window.

    The frequency of a wave is uniform between 0.02 and ``highest`` cycles per pixel, its direction uniform, its
    amplitude normal, of a standard deviation that falls as 1 over the frequency does, as in natural images.

    Args:
        count: the number of images.
        highest: the largest frequency, in cycles per pixel; above 0.5, the Nyquist frequency, pixels do not see it.
        seed: of all that is random.

    Raises:
        EquiconvError: if the largest frequency is out of range.
    """

    def __init__(self, count: int, highest: float, seed: int = 0) -> None:
        if not LOWEST < highest <= NYQUIST:
            raise EquiconvError(f"--fmax is above {LOWEST} and at most {NYQUIST} cycles per pixel; got {highest}")
        generator = np.random.default_rng(seed)
        shape = (count, CHANNELS, WAVES)
        frequency = generator.uniform(LOWEST, highest, shape)
        direction, self.phase = generator.uniform(0, 2 * np.pi, (2, *shape))
        self.vector = 2 * np.pi * frequency[..., None] * np.stack([np.cos(direction), np.sin(direction)], -1)
        amplitude = generator.normal(size=shape) / frequency
        self.amplitude = amplitude / np.sqrt((amplitude**2).sum(-1, keepdims=True) / 2)

    def values(self, points: Floats) -> Floats:
        """Return the images at points (x right, y up) in pixels from the center, ``(p, 2)``: ``(count, 3, p)``."""
        count = self.amplitude.shape[:2]
        result = np.empty((*count, len(points)))
        for index in np.ndindex(count):  # one at a time: all waves at all points are too many numbers
            waves = np.cos(self.vector[index] @ points.T + self.phase[index][:, None])  # (waves, p)
            result[index] = self.amplitude[index] @ waves
        radius = np.hypot(*points.T) / EXTENT
        fading = np.clip((0.5 - radius) / (0.5 - FLAT), 0, 1)
        return result * (0.5 - 0.5 * np.cos(np.pi * fading))

    def render(self, plane: Floats, side: int) -> Tensor:
        """Return the images, moved by a matrix of the plane, on the pixels of a square, ``(count, 3, side, side)``."""
        offsets = np.arange(side) - (side - 1) / 2
        points = np.stack([np.tile(offsets, side), np.repeat(-offsets, side)], -1)  # (p, 2)
        values = self.values(points @ np.linalg.inv(plane).T)
        return torch.from_numpy(values.reshape(*values.shape[:2], side, side)).float()


def cropped(images: Tensor, side: int) -> Tensor:
    """Return the middle of square images; the sides differ by an even number of pixels."""
    start = (images.shape[-1] - side) // 2
    return images[..., start : start + side, start : start + side]
