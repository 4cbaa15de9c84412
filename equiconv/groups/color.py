"""Groups that move colors."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from equiconv.errors import GroupError
from equiconv.groups import irreps
from equiconv.groups.color_models import HSL, HSV, ColorModel, Hexagon, Lab
from equiconv.groups.group import Group
from equiconv.groups.laws import Floats
from equiconv.groups.plane import check_count
from equiconv.groups.tone import Tone

__all__ = ["Color", "HueShift", "Luminance", "Saturation", "Value"]

RGB = "rgb"
MODELS: dict[str, type[ColorModel]] = {"hsv": HSV, "hsl": HSL, "lab": Lab}
HUES: dict[str, type[ColorModel]] = {"hsv": Hexagon, "hsl": Hexagon, "lab": Lab}  # what turns the hue alone
SPACES = (RGB, *HUES)
HUE, SATURATION, BRIGHTNESS = range(3)  # the axes of the models


def hue_rotations(angles: Floats) -> Floats:
    """Return the rotations ``(n, 3, 3)`` of RGB about the gray axis; a positive angle (radians) turns red to green."""
    c, s = np.cos(angles)[:, None, None], np.sin(angles)[:, None, None]
    gray = np.full((3, 3), 1 / 3)
    cross = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / np.sqrt(3)
    return c * np.eye(3) + (1 - c) * gray + s * cross


def check_space(space: object, allowed: Mapping[str, object] | tuple[str, ...], name: str) -> str:
    """Return a color space, or raise GroupError if it is none of those allowed."""
    if not isinstance(space, str) or space not in allowed:
        names = ", ".join(f'"{each}"' for each in allowed)
        raise GroupError(f"{name}: space is one of {names}; got {space!r}")
    return space


def along(axis: int, shifts: Floats) -> Floats:
    """Return shifts ``(n,)`` along one axis as those along all, ``(n, 3)``."""
    return np.where(np.arange(3) == axis, shifts[:, None], 0.0)


class HueShift(Group):
    """Shift the hue by multiples of 360/n degrees: C_n. Element s sends red towards green by s steps.

    Equivariance:
        In RGB the shift is a rotation about the gray axis, which moves kernels: exact, but colors leave the RGB cube
        unless n = 3, and HSV's hue shift differs from it between the multiples of 120 degrees. In HSV, HSL and Lab it
        moves the images in the first layer: exact for the hue shift of that space; in HSV and HSL, whose hue is the
        same, no color leaves the cube; in Lab some do.

    Args:
        n: the number of hues, at least 1.
        space: ``"rgb"``, linear; ``"hsv"`` or ``"hsl"``, the hue of image editors and of augmentations; ``"lab"``.
            Images are sRGB with values from 0 to 1; for all but Lab they may also be normalized, by one mean and one
            scale for all three channels.

    Raises:
        GroupError: if n is not a positive integer, or the space is not one of these.

    Example:
        >>> from equiconv.groups import HueShift
        >>> HueShift(3).color[1].tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
        >>> HueShift(4, space="hsv").is_linear
        False

    Source:
        Lengyel et al., Color Equivariant Convolutional Networks (NeurIPS 2023), equation 4; Yang et al., Learning Color
        Equivariant Representations (arXiv 2406.09588) for shifts of the image.
    """

    def __init__(self, n: int, space: str = RGB) -> None:
        self.n, self.space = check_count(n, "HueShift"), check_space(space, SPACES, "HueShift")
        table, turns = irreps.cyclic_table(n), np.arange(n) / n
        if space == RGB:
            super().__init__(table, color=hue_rotations(2 * np.pi * turns))
        else:
            super().__init__(table, tone=Tone(HUES[space](), along(HUE, turns)))

    @property
    def arguments(self) -> tuple[object, ...]:
        """The number of hues, and the space if it is not RGB."""
        return (self.n,) if self.space == RGB else (self.n, self.space)


class Interval(Group, ABC):
    """Shift a quantity with values from 0 to 1 by multiples of 2/n on the circle that covers the interval twice."""

    axis: ClassVar[int]
    spaces: ClassVar[tuple[str, ...]]

    @abstractmethod
    def __init__(self, n: int, space: str, truncated: bool) -> None:
        name = type(self).__name__
        self.n, self.space = check_count(n, name), check_space(space, self.spaces, name)
        if not isinstance(truncated, bool):
            raise GroupError(f"{name}: truncated is True or False; got {truncated!r}")
        self.truncated = truncated
        steps = np.arange(n) / n
        signed = np.where(steps > 0.5, steps - 1, steps) if truncated else steps  # a cut shift goes the short way
        cut = [truncated and axis == self.axis for axis in range(3)]
        tone = Tone(MODELS[space](), along(self.axis, 2 * signed), truncated=cut)
        super().__init__(irreps.cyclic_table(n), tone=tone)

    @property
    def arguments(self) -> tuple[object, ...]:
        """The number of shifts, the space if it is not the usual one, and whether the interval is truncated."""
        cut = (True,) if self.truncated else ()
        chosen = len(self.spaces) > 1 and (self.truncated or self.space != self.spaces[0])
        return (self.n, self.space, *cut) if chosen else (self.n, *cut)


class Saturation(Interval):
    """Shift the saturation by multiples of 2/n on the circle that covers its interval twice: C_n.

    Element s adds 2 s / n to the saturation; what comes out beyond 1 is reflected there, and beyond 2 starts at 0
    again: half a turn changes a saturation to 1 minus it. Value (in HSL lightness) and hue stay. Grays, which have no
    hue, become shades of red, and the hue of colors next to gray is amplified with its noise; black stays black (and in
    HSL white stays white).

    Equivariance:
        Exact on the cover, for every element. On images exact as long as no color is moved beyond an end of the
        interval or onto it, and approximate otherwise: the features of CIFAR-10 are off by 0.03 for one
        step of n = 8, by 0.4 for the worst.
        Half a turn (n = 2) stays within. With ``truncated`` nothing is exact.

    Args:
        n: the number of shifts, at least 1.
        space: ``"hsv"`` or ``"hsl"``, in which saturation is another quantity. Images are RGB with values from 0 to 1.
        truncated: cut off at the ends of the interval instead of covering it. No group acts so: it is there to compare.

    Raises:
        GroupError: if n is not a positive integer, or the space or truncated is not one of these.

    Example:
        >>> import torch
        >>> from equiconv.groups import Saturation
        >>> x = torch.tensor([1.0, 0.75, 0.75]).view(3, 1, 1)
        >>> Saturation(4).transform_image(x, 1).flatten().tolist()
        [1.0, 0.25, 0.25]

    Source:
        Yang et al., A Hypertoroidal Covering for Perfect Color Equivariance (arXiv 2603.04256) for the double cover,
        and Learning Color Equivariant Representations (arXiv 2406.09588) for truncated shifts.
    """

    axis = SATURATION
    spaces = ("hsv", "hsl")

    def __init__(self, n: int, space: str = "hsv", truncated: bool = False) -> None:
        super().__init__(n, space, truncated)


class Value(Interval):
    """Shift the value of HSV by multiples of 2/n on the circle that covers its interval twice: C_n.

    Element s adds 2 s / n to the value, the largest of R, G and B; what comes out beyond 1 is reflected there, and
    beyond 2 starts at 0 again: half a turn changes a value to 1 minus it. Hue and saturation stay; black has none, and
    becomes gray.

    Equivariance:
        Exact on the cover, for every element. On images exact as long as no color is moved beyond an end of the
        interval or onto it, and approximate otherwise: the features of CIFAR-10 are off by 0.1 for one step
        of n = 8, by 0.6 for the worst.
        Half a turn (n = 2) stays within. With ``truncated`` nothing is exact.

    Args:
        n: the number of shifts, at least 1. Images are RGB with values from 0 to 1.
        truncated: cut off at the ends of the interval instead of covering it. No group acts so: it is there to compare.

    Raises:
        GroupError: if n is not a positive integer, or truncated neither True nor False.

    Example:
        >>> import torch
        >>> from equiconv.groups import Value
        >>> x = torch.tensor([0.25, 0.125, 0.0]).view(3, 1, 1)
        >>> Value(4).transform_image(x, 1).flatten().tolist()
        [0.75, 0.375, 0.0]

    Source:
        As of ``Saturation``.
    """

    axis = BRIGHTNESS
    spaces = ("hsv",)

    def __init__(self, n: int, truncated: bool = False) -> None:
        super().__init__(n, "hsv", truncated)


class Luminance(Interval):
    """Shift the lightness of HSL or Lab by multiples of 2/n on the circle that covers its interval twice: C_n.

    Element s adds 2 s / n to the lightness; what comes out beyond 1 is reflected there, and beyond 2 starts at 0 again:
    half a turn changes a lightness to 1 minus it. Hue and saturation (in Lab chroma) stay; black and white have none in
    HSL, and become gray. In Lab colors leave the RGB cube, since dark and light ones have less room for chroma.

    Equivariance:
        Exact on the cover, for every element. On images exact as long as no color is moved beyond an end of the
        interval or onto it, and approximate otherwise: the features of CIFAR-10 are off by 0.1 for one step
        of n = 8, by 0.7 for the worst.
        Half a turn (n = 2) stays within. With ``truncated`` nothing is exact.

    Args:
        n: the number of shifts, at least 1.
        space: ``"hsl"``, the mean of the largest and the smallest of R, G and B; or ``"lab"``, L* over 100. Images are
            RGB with values from 0 to 1.
        truncated: cut off at the ends of the interval instead of covering it. No group acts so: it is there to compare.

    Raises:
        GroupError: if n is not a positive integer, or the space or truncated is not one of these.

    Example:
        >>> import torch
        >>> from equiconv.groups import Luminance
        >>> x = torch.tensor([0.5, 0.25, 0.0]).view(3, 1, 1)
        >>> Luminance(4).transform_image(x, 1).flatten().tolist()
        [1.0, 0.75, 0.5]

    Source:
        As of ``Saturation``.
    """

    axis = BRIGHTNESS
    spaces = ("hsl", "lab")

    def __init__(self, n: int, space: str = "hsl", truncated: bool = False) -> None:
        super().__init__(n, space, truncated)


def Color(hue: int, saturation: int = 1, brightness: int = 1, *, space: str = "hsv") -> Group:
    """Return the product of shifts of hue, saturation and brightness in one color space.

    Args:
        hue: the number of hues.
        saturation: the number of shifts of the saturation; 1 leaves it alone.
        brightness: the number of shifts of the value, in HSL of the lightness; 1 leaves it alone.
        space: ``"hsv"`` or ``"hsl"``.

    Returns:
        ``HueShift(hue, space) * Saturation(saturation, space) * Value(brightness)``, or ``Luminance`` in HSL.

    Raises:
        GroupError: if a number is not a positive integer, or the space is none of these.

    Example:
        >>> from equiconv.groups import Color
        >>> Color(4, 3)
        HueShift(4, 'hsv') * Saturation(3)

    Source:
        As of ``Saturation``.
    """
    space = check_space(space, Saturation.spaces, "Color")
    bright = Value(brightness) if space == "hsv" else Luminance(brightness)
    return HueShift(hue, space) * Saturation(saturation, space) * bright
