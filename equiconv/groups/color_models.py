"""Color models: coordinates of colors, along which photometric groups shift them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

__all__ = ["HSL", "HSV", "ColorModel", "Lab"]

CIRCLE, INTERVAL, LINE = "circle", "interval", "line"

LINEAR_TO_XYZ = (  # rows X, Y, Z of linear sRGB, over the white point D65
    (0.412453 / 0.95047, 0.357580 / 0.95047, 0.180423 / 0.95047),
    (0.212671, 0.715160, 0.072169),
    (0.019334 / 1.08883, 0.119193 / 1.08883, 0.950227 / 1.08883),
)
KNEE = 6 / 29  # where the cube root of Lab goes over into a straight line


class ColorModel(ABC):
    """Describe colors by three coordinates, so that a photometric group is a shift along some of them.

    Models have no state: two of one class are equal. To add one, subclass, and give a ``Tone`` on it to a group.

    Attributes:
        axes: what each coordinate is: ``"circle"``, of period 1; ``"interval"``, from 0 to 1, which ``Tone`` covers by
            a circle of period 2; or ``"line"``, without bounds.
        hue: the name of the hue that the first coordinate is; models of the same hue turn it alike. None if it is none.
    """

    axes: ClassVar[tuple[str, str, str]]
    hue: ClassVar[str | None] = None

    @abstractmethod
    def of(self, images: Tensor) -> Tensor:
        """Return the coordinates ``(..., 3, H, W)`` of RGB images ``(..., 3, H, W)`` with values from 0 to 1."""

    @abstractmethod
    def images(self, coordinates: Tensor) -> Tensor:
        """Return the RGB images ``(..., 3, H, W)`` that have these coordinates, ``(..., 3, H, W)``."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class HSV(ColorModel):
    """Hue, saturation and value: the corners of the RGB cube as a hexagon.

    Value is the largest of R, G and B; saturation 1 minus the smallest over the largest; hue goes round the hexagon
    red, yellow, green, cyan, blue, magenta in one turn. Grays have the hue 0, and black the saturation 0 too. A pixel's
    hue does not change if its three channels are scaled alike, or a gray is added to them.

    Example:
        >>> import torch
        >>> HSV().of(torch.tensor([0.0, 0.5, 0.5]).view(3, 1, 1)).flatten().tolist()
        [0.5, 1.0, 0.5]

    Source:
        Smith, Color Gamut Transform Pairs (SIGGRAPH 1978).
    """

    axes = (CIRCLE, INTERVAL, INTERVAL)
    hue = "hexagon"

    def of(self, images: Tensor) -> Tensor:
        """Return hue (in turns), saturation and value."""
        value, chroma = images.amax(-3), images.amax(-3) - images.amin(-3)
        return torch.stack((_hexagon(images), _ratio(chroma, value), value), -3)

    def images(self, coordinates: Tensor) -> Tensor:
        """Return the images of a hue (in turns), a saturation and a value."""
        hue, saturation, value = coordinates.unbind(-3)
        chroma, away = value * saturation, [(6 * hue + k) % 6 for k in (5, 3, 1)]
        return torch.stack([value - chroma * torch.minimum(k, 4 - k).clamp(0, 1) for k in away], -3)  # (..., 3, h, w)


class HSL(ColorModel):
    """Hue, saturation and lightness: the RGB cube as a double cone with the tips black and white.

    Lightness (which the literature on color equivariance calls luminance) is the mean of the largest and the smallest
    of R, G and B; saturation their difference over the largest difference at this lightness; hue that of ``HSV``. Grays
    have the hue and the saturation 0.

    Example:
        >>> import torch
        >>> HSL().of(torch.tensor([1.0, 0.5, 0.5]).view(3, 1, 1)).flatten().tolist()
        [0.0, 1.0, 0.75]

    Source:
        Joblove and Greenberg, Color Spaces for Computer Graphics (SIGGRAPH 1978).
    """

    axes = (CIRCLE, INTERVAL, INTERVAL)
    hue = "hexagon"

    def of(self, images: Tensor) -> Tensor:
        """Return hue (in turns), saturation and lightness."""
        most, least = images.amax(-3), images.amin(-3)
        room = torch.minimum(most + least, 2 - most - least)  # the largest difference at this lightness
        return torch.stack((_hexagon(images), _ratio(most - least, room), (most + least) / 2), -3)

    def images(self, coordinates: Tensor) -> Tensor:
        """Return the images of a hue (in turns), a saturation and a lightness."""
        hue, saturation, lightness = coordinates.unbind(-3)
        half = saturation * torch.minimum(lightness, 1 - lightness)
        away = [(12 * hue + k) % 12 for k in (0, 8, 4)]
        return torch.stack([lightness - half * torch.minimum(k - 3, 9 - k).clamp(-1, 1) for k in away], -3)


class Lab(ColorModel):
    """Hue, chroma and lightness of CIE L*a*b* (D65), each over 100: the polar coordinates of a and b.

    sRGB's transfer function and the model's cube root are continued beyond the RGB cube, as odd functions and as the
    line that they are near black: every color has coordinates, also those that a turned hue brings out of the cube.

    Example:
        >>> import torch
        >>> hue, chroma, lightness = Lab().of(torch.tensor([1.0, 1.0, 0.0]).view(3, 1, 1)).flatten().tolist()
        >>> round(hue, 3), round(chroma, 3), round(lightness, 3)
        (0.286, 0.969, 0.971)

    Source:
        CIE 15:2004, Colorimetry; IEC 61966-2-1 for sRGB.
    """

    axes = (CIRCLE, LINE, INTERVAL)
    hue = "lab"

    def __init__(self) -> None:
        self._to_linear = np.linalg.inv(LINEAR_TO_XYZ).tolist()

    def of(self, images: Tensor) -> Tensor:
        """Return hue (in turns), chroma and lightness."""
        x, y, z = _bent(_mixed(_decoded(images), LINEAR_TO_XYZ)).unbind(-3)
        a, b = 5 * (x - y), 2 * (y - z)
        gray = (a == 0) & (b == 0)  # where a hue has no derivative
        chroma = torch.where(gray, 1, a * a + b * b).sqrt() * ~gray
        hue = torch.atan2(b, torch.where(gray, 1, a)) / (2 * torch.pi)
        return torch.stack((hue % 1, chroma, 1.16 * y - 0.16), -3)

    def images(self, coordinates: Tensor) -> Tensor:
        """Return the images of a hue (in turns), a chroma and a lightness."""
        hue, chroma, lightness = coordinates.unbind(-3)
        y = (lightness + 0.16) / 1.16
        x = y + chroma * torch.cos(2 * torch.pi * hue) / 5
        z = y - chroma * torch.sin(2 * torch.pi * hue) / 2
        return _encoded(_mixed(_straightened(torch.stack((x, y, z), -3)), self._to_linear))


def _hexagon(images: Tensor) -> Tensor:
    """Return the hue in turns, ``(..., h, w)``; 0 for grays."""
    r, g, b = images.unbind(-3)
    most, chroma = images.amax(-3), images.amax(-3) - images.amin(-3)
    sixths = torch.where(most == r, _ratio(g - b, chroma), _ratio(b - r, chroma) + 2)
    sixths = torch.where((most == b) & (most != r) & (most != g), _ratio(r - g, chroma) + 4, sixths)
    return torch.where(chroma == 0, 0, sixths / 6 % 1)


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """Return a quotient, and 0 with the derivative 0 where nothing is divided by."""
    nothing = whole.abs() <= torch.finfo(whole.dtype).tiny
    return torch.where(nothing, 0, part / torch.where(nothing, 1, whole))


def _mixed(colors: Tensor, matrix: Sequence[Sequence[float]]) -> Tensor:
    table = torch.tensor(matrix, dtype=colors.dtype, device=colors.device)
    return torch.einsum("ij,...jhw->...ihw", table, colors)


def _decoded(images: Tensor) -> Tensor:
    """Return linear light of sRGB."""
    size = images.abs()
    curved = ((size.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(size <= 0.04045, images / 12.92, curved * images.sign())


def _encoded(light: Tensor) -> Tensor:
    """Return sRGB of linear light."""
    size, edge = light.abs(), 0.04045 / 12.92
    curved = 1.055 * size.clamp(min=edge) ** (1 / 2.4) - 0.055
    return torch.where(size <= edge, light * 12.92, curved * light.sign())


def _bent(light: Tensor) -> Tensor:
    """Return the cube root of Lab."""
    root = light.clamp(min=KNEE**3) ** (1 / 3)
    return torch.where(light > KNEE**3, root, light / (3 * KNEE**2) + 4 / 29)


def _straightened(roots: Tensor) -> Tensor:
    """Return what has these cube roots of Lab."""
    return torch.where(roots > KNEE, roots**3, 3 * KNEE**2 * (roots - 4 / 29))
