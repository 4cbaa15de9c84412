"""How the colors of test images are changed, as cameras and editors do: by code that shares nothing with the groups.

All take images ``(B, 3, S, S)`` in [0, 1] and return such images. A change is in percent; 0 changes nothing.
"""

import torch
from torch import Tensor

__all__ = ["exposed", "gamma_corrected", "saturation_scaled", "saturation_shifted", "value_shifted", "warmed"]


def saturation_scaled(x: Tensor, percent: int) -> Tensor:
    """Scale the saturation of HSV, and cut it off at 1; grays stay gray, and -100 makes all gray."""
    value, chroma = _value(x), _chroma(x)
    factor = torch.minimum(torch.full_like(value, 1 + percent / 100), _over(value, chroma))  # (b, 1, h, w)
    return value - factor * (value - x)


def saturation_shifted(x: Tensor, percent: int) -> Tensor:
    """Add to the saturation of HSV, and cut it off at 0 and 1; grays, of the hue 0, become red if it grows."""
    value, chroma = _value(x), _chroma(x)
    below = _over(value - x, chroma)  # (b, 3, h, w): 0 in the largest channel, 1 in the smallest
    red = torch.tensor([0.0, 1.0, 1.0], dtype=x.dtype, device=x.device).view(3, 1, 1)
    below = torch.where(chroma > 0, below, red)
    saturation = (_over(chroma, value, 0) + percent / 100).clamp(0, 1)
    return value - value * saturation * below


def exposed(x: Tensor, percent: int) -> Tensor:
    """Scale the value of HSV, and cut it off at 1; hue and saturation stay."""
    value = _value(x)
    return x * torch.minimum(torch.full_like(value, 1 + percent / 100), _over(torch.ones_like(value), value))


def value_shifted(x: Tensor, percent: int) -> Tensor:
    """Add to the value of HSV, and cut it off at 0 and 1; hue and saturation stay, so that black becomes gray."""
    value = _value(x)
    return (value + percent / 100).clamp(0, 1) * torch.where(value > 0, _over(x, value), 1)


def gamma_corrected(x: Tensor, percent: int) -> Tensor:
    """Raise all values to the power of 3 to a part of 1: from 1/3, which lightens, to 3, which darkens."""
    return x.clamp(0, 1) ** 3.0 ** (percent / 100)


def warmed(x: Tensor, percent: int) -> Tensor:
    """Set another white balance: 100 doubles red and halves blue in linear light, -100 the reverse; cut off at 1."""
    gain = 2.0 ** (percent / 100)
    gains = torch.tensor([gain, 1.0, 1 / gain], dtype=x.dtype, device=x.device).view(3, 1, 1)
    light = torch.where(x > 0.04045, ((x + 0.055) / 1.055) ** 2.4, x / 12.92) * gains  # IEC 61966-2-1, sRGB
    light = light.clamp(0, 1)
    return torch.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)


def _value(x: Tensor) -> Tensor:
    """Return the largest channel, ``(B, 1, S, S)``."""
    return x.amax(-3, keepdim=True)


def _chroma(x: Tensor) -> Tensor:
    """Return the largest channel less the smallest, ``(B, 1, S, S)``."""
    return _value(x) - x.amin(-3, keepdim=True)


def _over(x: Tensor, y: Tensor, otherwise: float = float("inf")) -> Tensor:
    """Return x over y, and something else where y is 0."""
    return torch.where(y > 0, x / torch.where(y > 0, y, 1), otherwise)
