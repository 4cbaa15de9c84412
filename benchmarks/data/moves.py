"""How test images are moved: by code that shares nothing with the groups of the library."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["hue_shifted", "rotated"]


def rotated(x: Tensor, degrees: int) -> Tensor:
    """Turn images counter-clockwise: quarter turns move pixels, the rest of the angle is interpolated bilinearly."""
    quarters = (degrees + 45) // 90
    return torch.rot90(_interpolated(x, math.radians(degrees - 90 * quarters)), quarters, (-2, -1))


def _interpolated(x: Tensor, angle: float) -> Tensor:
    if angle == 0:
        return x
    c, s = math.cos(angle), math.sin(angle)
    matrix = torch.tensor(
        [[c, -s, 0.0], [s, c, 0.0]], dtype=x.dtype, device=x.device
    )  # where a pixel comes from, y pointing down
    grid = F.affine_grid(matrix.expand(len(x), 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def hue_shifted(x: Tensor, degrees: int) -> Tensor:
    """Shift the hue as HSV has it, red towards green; multiples of 120 degrees permute the channels."""
    if degrees % 120 == 0:
        return x.roll(degrees // 120, dims=-3)
    value = x.amax(-3, keepdim=True)
    chroma = value - x.amin(-3, keepdim=True)
    hue = _hue(x, value, chroma) + degrees / 60  # (b, 1, h, w), in sixths of a turn
    places = torch.tensor([5, 3, 1], dtype=x.dtype, device=x.device).view(3, 1, 1)
    place = (hue + places) % 6  # (b, 3, h, w)
    return value - chroma * torch.minimum(place, 4 - place).clamp(0, 1)


def _hue(x: Tensor, value: Tensor, chroma: Tensor) -> Tensor:
    """Return the hue in sixths of a turn; 0 of gray pixels."""
    red, green, blue = x.split(1, -3)
    scale = torch.where(chroma > 0, chroma, 1)
    others = torch.where(value == green, 2 + (blue - red) / scale, 4 + (red - green) / scale)
    return torch.where(chroma > 0, torch.where(value == red, (green - blue) / scale, others), 0)
