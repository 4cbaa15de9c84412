"""Decode images, and cut squares out of them."""

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from equiconv import EquiconvError

__all__ = ["Box", "central_box", "content", "decoded", "is_jpeg", "random_box", "sizes", "square"]

Box = tuple[float, float, float, float]  # left, top, right, bottom
ATTEMPTS = 100


def is_jpeg(stored: dict[str, Any]) -> bool:
    """Say whether a stored image is a JPEG."""
    return (stored["bytes"] or b"")[:2] == b"\xff\xd8"


def content(stored: dict[str, Any]) -> bytes:
    """Return the bytes of a stored image, a dict with ``bytes`` or a ``path``."""
    return stored["bytes"] or Path(stored["path"]).read_bytes()


def decoded(stored: dict[str, Any], mode: str) -> Image.Image:
    """Return a stored image, a dict with ``bytes`` or a ``path``, in a mode of colors.

    Raises:
        EquiconvError: if it cannot be read.
    """
    with _opened(stored) as image:
        return image.convert(mode)


def sizes(stored: dict[str, Any]) -> tuple[int, int]:
    """Return width and height of a stored image, which is not decoded for it.

    Raises:
        EquiconvError: if it cannot be read.
    """
    with _opened(stored) as image:
        return image.size


@contextmanager
def _opened(stored: dict[str, Any]) -> Iterator[Image.Image]:
    try:
        with Image.open(io.BytesIO(stored["bytes"]) if stored["bytes"] else stored["path"]) as image:
            yield image
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise EquiconvError(
            f"the image {stored.get('path') or 'without a name'} cannot be decoded ({type(error).__name__}): "
            "the file is damaged; get it anew"
        ) from None


def square(image: Image.Image, box: Box, size: int) -> NDArray[np.uint8]:
    """Return a part of an image as ``(C, size, size)``: resized bilinearly, antialiased."""
    whole = box == (0, 0, size, size) == (0, 0, *image.size)
    cut = image if whole else image.resize((size, size), Image.Resampling.BILINEAR, box)
    pixels = np.asarray(cut)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))  # (C, size, size)


def central_box(width: int, height: int, share: float = 1) -> Box:
    """Return the square in the middle whose side is a share of the shorter side."""
    side = share * min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def random_box(width: int, height: int, area: tuple[float, float], aspect: tuple[float, float]) -> Box:
    """Return a random part of an image: uniform area, log-uniform aspect, uniform place; by torch's random numbers.

    Args:
        width: of the image.
        height: of the image.
        area: the range of the part's area, as a share.
        aspect: the range of its width over its height.
    """
    for _ in range(ATTEMPTS):
        draw = torch.rand(4, dtype=torch.float64).tolist()
        wanted = width * height * (area[0] + draw[0] * (area[1] - area[0]))
        ratio = aspect[0] * math.exp(draw[1] * math.log(aspect[1] / aspect[0]))
        w, h = math.sqrt(wanted * ratio), math.sqrt(wanted / ratio)
        if w <= width and h <= height:
            left, top = draw[2] * (width - w), draw[3] * (height - h)
            return left, top, left + w, top + h
    return central_box(width, height)
