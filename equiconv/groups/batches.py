"""Many elements at once: batches that they move, and elements that are known by how they act."""

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from equiconv.errors import GroupError, ShapeError
from equiconv.groups.action import Action
from equiconv.groups.laws import Floats, Ints
from equiconv.groups.moves import INTERPOLATIONS

if TYPE_CHECKING:
    from equiconv.groups.group import Group
    from equiconv.groups.moving import MovesImages


def check_image(group: "MovesImages", x: Tensor) -> Tensor:
    """Return images, or raise ShapeError if the group does not move such."""
    if x.dim() < 3 or (group.moves_color and x.shape[-3] != 3):
        channels = "3" if group.moves_color else "C"
        raise ShapeError(f"{group!r} moves images of shape (..., {channels}, H, W); got {tuple(x.shape)}")
    if group.moves_color and not x.is_floating_point():
        raise ShapeError(f"{group!r} mixes colors of floating-point images; got {x.dtype}: x.float() / 255")
    return x


def check_batch(group: "MovesImages", x: Tensor, elements: Ints, interpolation: str) -> Ints:
    """Return elements, or raise unless the group moves such a batch of images by them, with such an interpolation."""
    if check_image(group, x).dim() < 4:
        raise ShapeError(f"a batch of images has the shape (B, ..., C, H, W); got {tuple(x.shape)}: x[None] is a batch")
    check_interpolation(interpolation)
    return check_elements(group, elements, len(x))


def check_interpolation(interpolation: str) -> None:
    """Raise ShapeError unless pixels can be interpolated so."""
    if interpolation not in INTERPOLATIONS:
        raise ShapeError(f"interpolation is one of {', '.join(INTERPOLATIONS)}; got {interpolation!r}")


def check_elements(group: "MovesImages", elements: Ints, count: int) -> Ints:
    """Return elements, or raise GroupError unless there is one for each of so many images."""
    found = np.asarray(elements)
    valid = np.issubdtype(found.dtype, np.integer) and found.shape == (count,)
    if not valid or ((found < 0) | (found >= group.order)).any():
        raise GroupError(
            f"a batch of {count} is moved by as many elements of {group!r}, integers 0 .. {group.order - 1}; "
            f"got {elements!r}"
        )
    return found


def acting_alike(group: "Group", action: Action) -> Floats:
    """Return, as ``Group.coordinates``, how elements of a finite group are made that are given by their action."""
    same = group.action.alike(action)  # (n, order)
    for h in np.flatnonzero(same.sum(1) != 1):
        found = np.flatnonzero(same[h]).tolist()
        which = f"the elements {found} of {group!r} all act" if found else f"no element of {group!r} acts"
        raise GroupError(f"{which} as its element {h}")
    return np.where(same, 1.0, 0.0)


def elements_alike(group: "Group", other: "Group") -> Floats:
    """Return of which elements of a group those of another one are made, as of ``Group.coordinates``.

    An element acts as that one which moves the plane alike, if the group moves it, and the colors, if it moves these.
    """
    still = Action.still(other.order)
    colors = other.action if group.moves_color else still
    plane = other.plane if group.moves_plane else still.plane
    return group.coordinates(Action(plane, colors.color, colors.tone))
