"""Groups that shift colors along a color model, and colors of all kinds."""

import numpy as np
import torch

from equiconv.groups import (
    P4,
    Color,
    ColorModel,
    Flip,
    Group,
    HueShift,
    Luminance,
    Saturation,
    Tone,
    Value,
)
from equiconv.groups.irreps import cyclic_table
from equiconv.layers import GroupConv2d

HUES = [
    HueShift(4, "hsv"),
    HueShift(3, "hsl"),
    HueShift(5, "lab"),
    HueShift(6, "hsv") * P4(),
    Flip() * HueShift(4, "lab"),
]
INTERVALS = [
    Saturation(4),
    Saturation(3, "hsl"),
    Value(3),
    Luminance(4),
    Luminance(5, "lab"),
    Color(3, 2, 2),
    Color(2, 3, space="hsl") * P4(),
    P4() * Value(2),
]
TONED = [*HUES, *INTERVALS]


def colors(dtype=torch.float64):
    """Colors of all kinds, ``(3, 1, n)``: any, grays, black, white, the edges of the cube, and next to all of these."""
    generator = torch.Generator().manual_seed(0)
    edges = torch.cartesian_prod(*[torch.tensor([0.0, 0.5, 1.0])] * 3)
    gray = torch.linspace(0, 1, 9)[:, None].expand(-1, 3)
    near = (torch.cat([edges, gray]) + 1e-6 * torch.randn(36, 3, generator=generator)).clamp(0, 1)
    found = torch.cat([torch.rand(99, 3, generator=generator), edges, gray, near])
    return found.to(dtype).T[:, None].contiguous()


def lift(group: Group, **options) -> GroupConv2d:
    torch.manual_seed(0)
    return GroupConv2d(group.image, 2 * group.regular, 3, padding=1, **options)


class Opponent(ColorModel):
    """Hue as the angle about the gray axis, the distance from it, and the mean: what HueShift(n) turns in RGB."""

    axes = ("circle", "line", "line")
    hue = "opponent"

    def of(self, images):
        r, g, b = images.unbind(-3)
        x, y = r - (g + b) / 2, (g - b) * 3**0.5 / 2
        return torch.stack([torch.atan2(y, x) / (2 * torch.pi), torch.hypot(x, y), (r + g + b) / 3], -3)

    def images(self, coordinates):
        turn, size, mean = coordinates.unbind(-3)
        parts = [mean + size * torch.cos(2 * torch.pi * (turn - k / 3)) * 2 / 3 for k in range(3)]
        return torch.stack(parts, -3)


class Turned(Group):
    """HueShift(n) that moves the image."""

    def __init__(self, n):
        self.n = n
        super().__init__(cyclic_table(n), tone=Tone(Opponent(), np.outer(np.arange(n) / n, [1, 0, 0])))

    @property
    def arguments(self):
        return (self.n,)
