"""Moving images by code that shares nothing with the groups' own tables."""

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation
from torch import Tensor

from equiconv.errors import GroupError
from equiconv.groups import (
    O2,
    SO2,
    Cyclic,
    Dihedral,
    DirectProduct,
    Flip,
    Group,
    HueShift,
    Luminance,
    Saturation,
    Subgroup,
    Trivial,
    Value,
)
from equiconv.testing.tones import shifted

__all__ = ["Move", "move_image"]

Move = Callable[[Tensor, int], Tensor]


def move_image(group: Group, x: Tensor, g: int) -> Tensor:
    """Move an image by a group element, by code that does not use the tables of the group.

    Args:
        group: one of equiconv's groups, a product or a subgroup of them.
        x: images ``(..., C, H, W)``; colors are moved if C = 3.
        g: the element.

    Returns:
        The moved images. Angles off the grid are interpolated by cubic splines.

    Raises:
        GroupError: if it is not known how the group should move an image; pass ``move`` to the caller then.

    Example:
        >>> from equiconv.groups import P4
        >>> x = torch.arange(9.0).view(1, 3, 3)
        >>> torch.equal(move_image(P4(), x, 1), torch.rot90(x, 1, (-2, -1)))
        True
    """
    match group:
        case DirectProduct():
            for factor in reversed(group.factors):
                g, part = divmod(g, factor.order)
                x = move_image(factor, x, part)
            return x
        case Subgroup():
            return move_image(group.parent, x, group.elements[g])
        case Trivial():
            return x
        case Cyclic() | Dihedral() | SO2() | O2():
            return _turned_and_flipped(group, x, g)
        case Flip():
            return turned(x.flip(-2), math.degrees(2 * group.axis)) if g else x
        case HueShift():
            return hue_shifted(x, 2 * math.pi * g / group.n, group.space)
        case Saturation() | Value() | Luminance():
            axis = "saturation" if isinstance(group, Saturation) else "brightness"
            return shifted(x, group.space, axis, 2 * g / group.n)
    raise GroupError(f"it is not known how {group!r} should move an image: pass move=, a function of (image, element)")


def _turned_and_flipped(group: Cyclic | Dihedral | SO2 | O2, x: Tensor, g: int) -> Tensor:
    steps = group.steps if isinstance(group, (SO2, O2)) else group.n
    flipped, turns = divmod(g, steps)
    back = 2 * group.axis if flipped and isinstance(group, Dihedral) else 0.0  # flip, then turn by it
    y = turned(x, 360 * turns / steps - math.degrees(back))
    return y.flip(-2) if flipped else y


def turned(x: Tensor, degrees: float) -> Tensor:
    """Turn images ``(..., H, W)`` counter-clockwise about their center; angles off the grid are interpolated."""
    quarters = degrees / 90
    if x.shape[-2:] == (1, 1):
        return x
    if abs(quarters - round(quarters)) < 1e-9:
        return torch.rot90(x, round(quarters), (-2, -1))
    y = ndimage.rotate(x.numpy(), degrees, axes=(-1, -2), reshape=False, order=3)
    return torch.from_numpy(np.ascontiguousarray(y)).to(x.dtype)


def hue_shifted(x: Tensor, angle: float, space: str = "rgb") -> Tensor:
    """Turn the hues of RGB images ``(..., 3, H, W)`` from red to green; other images stay.

    Args:
        x: the images.
        angle: in radians.
        space: the color space; in ``"rgb"`` colors turn about the gray axis.
    """
    if x.shape[-3] != 3:
        return x
    if space != "rgb":
        return shifted(x, space, "hue", angle / (2 * math.pi))
    matrix = Rotation.from_rotvec(angle * np.ones(3) / math.sqrt(3)).as_matrix()
    return torch.tensordot(torch.from_numpy(matrix).to(x.dtype), x.movedim(-3, 0), 1).movedim(0, -3)
