"""Many elements at once: batches that they move, and elements that are known by how they act."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from equiconv.errors import GroupError, ShapeError
from equiconv.groups.laws import TOLERANCE, Floats, Ints
from equiconv.groups.moves import INTERPOLATIONS

if TYPE_CHECKING:
    from equiconv.groups.group import Group


def check_image(group: "Group", x: Tensor) -> Tensor:
    """Return images, or raise ShapeError if the group does not move such."""
    if x.dim() < 3 or (group.moves_color and x.shape[-3] != 3):
        channels = "3" if group.moves_color else "C"
        raise ShapeError(f"{group!r} moves images of shape (..., {channels}, H, W); got {tuple(x.shape)}")
    if group.moves_color and not x.is_floating_point():
        raise ShapeError(f"{group!r} mixes colors of floating-point images; got {x.dtype}: x.float() / 255")
    return x


def check_batch(group: "Group", x: Tensor, elements: Ints, interpolation: str) -> Ints:
    """Return elements, or raise unless the group moves such a batch of images by them, with such an interpolation."""
    if check_image(group, x).dim() < 4:
        raise ShapeError(f"a batch of images has the shape (B, ..., C, H, W); got {tuple(x.shape)}: x[None] is a batch")
    check_interpolation(interpolation)
    return check_elements(group, elements, len(x))


def check_interpolation(interpolation: str) -> None:
    """Raise ShapeError unless pixels can be interpolated so."""
    if interpolation not in INTERPOLATIONS:
        raise ShapeError(f"interpolation is one of {', '.join(INTERPOLATIONS)}; got {interpolation!r}")


def check_elements(group: "Group", elements: Ints, count: int) -> Ints:
    """Return elements, or raise GroupError unless there is one for each of so many images."""
    found = np.asarray(elements)
    valid = np.issubdtype(found.dtype, np.integer) and found.shape == (count,)
    if not valid or ((found < 0) | (found >= group.order)).any():
        raise GroupError(
            f"a batch of {count} is moved by as many elements of {group!r}, integers 0 .. {group.order - 1}; "
            f"got {elements!r}"
        )
    return found


def move_one_by_one(group: "Group", x: Tensor, elements: Ints, interpolation: str) -> Tensor:
    """Move images by the elements one after the other, for groups that say themselves how an element moves images."""
    if interpolation != INTERPOLATIONS[0]:
        raise GroupError(f"{group!r} moves images in its own way, and takes no interpolation; got {interpolation!r}")
    places = [np.flatnonzero(elements == g) for g in range(group.order)]
    moved = [group.transform_image(x[place], g) for g, place in enumerate(places) if len(place)]
    return torch.cat(moved)[np.argsort(np.concatenate(places))] if moved else x


def acting_alike(group: "Group", plane: Floats, color: Floats) -> Floats:
    """Return, as ``Group.coordinates``, how elements of a finite group are made that are given by their action."""
    apart = [abs(group.plane - plane[:, None]), abs(group.color - color[:, None])]  # (n, order, d, d) each
    same = np.maximum(*(matrices.max((2, 3)) for matrices in apart)) < TOLERANCE  # (n, order)
    for h in np.flatnonzero(same.sum(1) != 1):
        found = np.flatnonzero(same[h]).tolist()
        which = f"the elements {found} of {group!r} all act" if found else f"no element of {group!r} acts"
        raise GroupError(f"{which} as its element {h}")
    return np.where(same, 1.0, 0.0)


def elements_alike(group: "Group", other: "Group") -> Floats:
    """Return of which elements of a group those of another one are made, as of ``Group.coordinates``.

    An element acts as that one which moves the plane alike, if the group moves it, and the colors, if it moves these.
    """
    still = [np.tile(np.eye(dim), (other.order, 1, 1)) for dim in (2, 3)]
    plane = other.plane if group.moves_plane else still[0]
    return group.coordinates(plane, other.color if group.moves_color else still[1])
