"""Shifting hue, saturation and brightness by code that shares nothing with equiconv's color models."""

import cmath
import colorsys
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

RGB = tuple[float, float, float]
LMS = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
WHITE = np.array([0.95047, 1.0, 1.08883])


def shifted(x: Tensor, space: str, axis: str, by: float) -> Tensor:
    """Return RGB images ``(..., 3, H, W)`` with one quantity shifted, color by color; other images stay.

    Args:
        x: the images, with values from 0 to 1.
        space: ``"hsv"``, ``"hsl"`` or ``"lab"``.
        axis: ``"hue"``, in turns; ``"saturation"`` or ``"brightness"``, reflected at 0 and 1.
        by: how far.
    """
    if x.shape[-3] != 3 or by == 0:
        return x
    move = {"hsv": _hsv, "hsl": _hsl, "lab": _lab}[space]
    colors = x.movedim(-3, -1).reshape(-1, 3).tolist()
    moved = torch.tensor([move((r, g, b), axis, by) for r, g, b in colors], dtype=x.dtype)
    return moved.view(*x.movedim(-3, -1).shape).movedim(-1, -3)


def folded(value: float) -> float:
    """Return a number reflected at 0 and 1 until it lies between."""
    value = abs(value) % 2
    return 2 - value if value > 1 else value


def _cone(
    color: RGB, axis: str, by: float, to: Callable[..., RGB], back: Callable[..., RGB], order: tuple[str, str, str]
) -> RGB:
    values = dict(zip(order, to(*color), strict=True))
    values[axis] = (values[axis] + by) % 1 if axis == "hue" else folded(values[axis] + by)
    return back(*(values[name] for name in order))


def _hsv(color: RGB, axis: str, by: float) -> RGB:
    order = ("hue", "saturation", "brightness")
    return _cone(color, axis, by, colorsys.rgb_to_hsv, colorsys.hsv_to_rgb, order)


def _hsl(color: RGB, axis: str, by: float) -> RGB:
    order = ("hue", "brightness", "saturation")
    return _cone(color, axis, by, colorsys.rgb_to_hls, colorsys.hls_to_rgb, order)


def _lab(color: RGB, axis: str, by: float) -> RGB:
    linear = [_odd(v, lambda u: u / 12.92 if u <= 0.04045 else ((u + 0.055) / 1.055) ** 2.4) for v in color]
    x, y, z = [t ** (1 / 3) if t > (6 / 29) ** 3 else t * (29 / 6) ** 2 / 3 + 4 / 29 for t in LMS @ linear / WHITE]
    lightness, ab = 116 * y - 16, complex(500 * (x - y), 200 * (y - z))
    if axis == "hue":
        ab *= cmath.exp(2j * cmath.pi * by)
    else:
        lightness = 100 * folded(lightness / 100 + by)
    y = (lightness + 16) / 116
    roots = np.array([y + ab.real / 500, y, y - ab.imag / 200])
    light = np.where(roots > 6 / 29, roots**3, 3 * (6 / 29) ** 2 * (roots - 4 / 29)) * WHITE
    red, green, blue = np.linalg.solve(LMS, light).tolist()
    r, g, b = (
        _odd(v, lambda u: 12.92 * u if u <= 0.04045 / 12.92 else 1.055 * u ** (1 / 2.4) - 0.055)
        for v in (red, green, blue)
    )
    return r, g, b


def _odd(value: float, function: Callable[[float], float]) -> float:
    return function(value) if value >= 0 else -function(-value)
