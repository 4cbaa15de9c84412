"""Turn stored images, each by an angle of its own."""

import numpy as np
from numpy.typing import NDArray

from benchmarks.data.batch import Pixels

__all__ = ["disk", "turned"]

CHUNK = 1024  # images at once


def turned(images: Pixels, degrees: NDArray[np.float64]) -> NDArray:
    """Turn each image counter-clockwise about its center: bilinear, black outside; uint8 is rounded.

    It is computed in double precision, so that every machine rounds to the same values.

    Args:
        images: ``(N, C, S, S)``.
        degrees: ``(N,)``.

    Returns:
        ``(N, C, S, S)``.
    """
    made = np.empty_like(images)
    for start in range(0, len(images), CHUNK):
        part = slice(start, start + CHUNK)
        made[part] = _turned(images[part], np.deg2rad(degrees[part]))
    return made


def _turned(images: Pixels, angles: NDArray[np.float64]) -> NDArray:
    size = images.shape[-1]
    middle = (size - 1) / 2
    y, x = np.mgrid[:size, :size] - middle  # (S, S) each, y pointing down
    c, s = np.cos(angles)[:, None, None], np.sin(angles)[:, None, None]
    rows = np.clip(middle + s * x + c * y, -1, size)  # (N, S, S): where a pixel comes from
    columns = np.clip(middle + c * x - s * y, -1, size)
    padded = np.pad(images, ((0, 0), (0, 0), (1, 2), (1, 2))).transpose(0, 2, 3, 1)  # (N, S + 3, S + 3, C)
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down, right = rows - top, columns - left
    image = np.arange(len(images))[:, None, None]
    total = np.zeros((*rows.shape, images.shape[1]))  # (N, S, S, C)
    for step_down, step_right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = (down if step_down else 1 - down) * (right if step_right else 1 - right)
        total += weight[..., None] * padded[image, top + 1 + step_down, left + 1 + step_right]
    values = np.rint(total) if images.dtype == np.uint8 else total
    return values.astype(images.dtype).transpose(0, 3, 1, 2)  # (N, C, S, S)


def disk(size: int) -> NDArray[np.bool_]:
    """Return the pixels ``(S, S)`` whose centers lie in the disk that fits into a square."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return x**2 + y**2 <= (size / 2) ** 2
