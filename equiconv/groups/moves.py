"""Moving pixels: how an orthogonal 2x2 matrix acts on the last two axes of a tensor."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equiconv.errors import ShapeError
from equiconv.groups.laws import Floats, Ints

Bools = NDArray[np.bool_]

INTERPOLATIONS = ("bicubic", "bilinear", "nearest")


def is_signed_permutation(matrices: Floats) -> bool:
    """Tell whether every matrix only permutes the axes and changes their signs, so that pixels land on pixels."""
    return bool(((matrices == 0) | (abs(matrices) == 1)).all())


def move_plane(x: Tensor, matrix: Floats) -> Tensor:
    """Move the image ``x`` (..., H, W) about its center: the new image at p is the old one at ``matrix^-1 p``.

    Quarter turns and flips move pixels exactly (a quarter turn of H x W is W x H). Any other matrix keeps the size,
    interpolates bicubically and takes zeros from outside.
    """
    if not is_signed_permutation(matrix):
        return _interpolate(x[None], matrix[None], "bicubic")[0]
    (across, right), (up, along) = matrix.tolist()
    if across:  # (x, y) -> (+-x, +-y)
        return x.flip([axis for axis, sign in ((-1, across), (-2, along)) if sign < 0])
    return x.transpose(-2, -1).flip([axis for axis, sign in ((-1, right), (-2, up)) if sign > 0])


def move_planes(x: Tensor, matrices: Floats, interpolation: str = "bicubic") -> Tensor:
    """Move each image of ``x`` (B, ..., H, W) by a matrix of its own, ``(B, 2, 2)``, as ``move_plane`` does.

    Args:
        x: the images; square if a matrix exchanges rows and columns.
        matrices: orthogonal, ``(B, 2, 2)``.
        interpolation: between pixels, ``"bicubic"``, ``"bilinear"`` or ``"nearest"``.
    """
    exact = on_grid(matrices)
    if exact.all():
        return _permute(x, matrices)
    if not exact.any():
        return _interpolate(x, matrices, interpolation)
    parts = _permute(x[exact], matrices[exact]), _interpolate(x[~exact], matrices[~exact], interpolation)
    places = np.argsort(np.concatenate([np.flatnonzero(exact), np.flatnonzero(~exact)]))
    return torch.cat(parts)[places]


def on_grid(matrices: Floats) -> Bools:
    """Tell which of some matrices ``(B, 2, 2)`` send pixels to pixels, ``(B,)``."""
    return ((matrices == 0) | (abs(matrices) == 1)).all((1, 2))


def inside(matrices: Floats, height: int, width: int, margin: float) -> Bools:
    """Tell which pixels of an image come from within it when it moves, ``(B, H, W)``.

    Args:
        matrices: of the moves, ``(B, 2, 2)``.
        height: rows of the image.
        width: columns of the image.
        margin: how far within, in pixels, by all moves that interpolate.
    """
    if height == width == 1:  # a pixel turns about its center
        return np.ones((len(matrices), 1, 1), bool)
    away = abs(_sources(matrices, height, width))  # (b, h, w, 2)
    edge = np.array([(width - 1) / 2, (height - 1) / 2])
    allowed = edge - np.where(on_grid(matrices), 0.0, margin)[:, None, None, None] + 1e-9
    return np.asarray((away <= allowed).all(-1))


def move_colors(x: Tensor, matrix: Floats) -> Tensor:
    """Move the colors of images (..., 3, H, W) by one matrix (3, 3), or of (B, ..., 3, H, W) by B of them."""
    color = torch.tensor(matrix.tolist(), dtype=x.dtype, device=x.device).view(matrix.shape)
    return torch.einsum("ij,...jhw->...ihw" if color.dim() == 2 else "bij,b...jhw->b...ihw", color, x)


def pixel_sources(matrices: Floats, height: int, width: int) -> Ints:
    """Return from which pixel each pixel comes when images move by matrices that keep the grid, ``(B, H*W)``.

    Args:
        matrices: of the moves, ``(B, 2, 2)``.
        height: rows of the image.
        width: columns of the image, as many if a matrix exchanges rows and columns.
    """
    if height != width and matrices[:, 0, 1].any():
        raise ShapeError(f"quarter turns of some images of a batch need square images; these are {height}x{width}")
    kinds, which = np.unique(matrices, axis=0, return_inverse=True)
    pixels = torch.arange(height * width).view(height, width)
    sources = [move_plane(pixels, kind).flatten().numpy() for kind in kinds]
    return np.array(sources, np.int64).reshape(-1, height * width)[which.ravel()]


def take(x: Tensor, sources: Ints) -> Tensor:
    """Return the entries of ``x`` (B, n, K) at the places ``(B, K)`` along the last axis."""
    return x.gather(-1, torch.from_numpy(sources).to(x.device)[:, None].expand_as(x))


def _permute(x: Tensor, matrices: Floats) -> Tensor:
    return take(x.flatten(1, -3).flatten(-2), pixel_sources(matrices, *x.shape[-2:])).view(x.shape)


def _sources(matrices: Floats, height: int, width: int) -> Floats:
    """Return where the pixels come from, ``(B, H, W, 2)``, in pixels from the center (x right, y up)."""
    rows = (height - 1) / 2 - np.arange(height)  # y, up
    columns = np.arange(width) - (width - 1) / 2  # x, right
    points = np.stack(np.broadcast_arrays(columns, rows[:, None]), -1)  # (h, w, 2)
    return np.einsum("hwi,bij->bhwj", points, matrices)  # matrix^-1 p = matrix^T p


def _interpolate(x: Tensor, matrices: Floats, interpolation: str) -> Tensor:
    height, width = x.shape[-2:]
    if x.numel() == 0 or height == width == 1:  # a pixel turns about its center
        return x.clone()
    if min(height, width) < 2:
        raise ShapeError(f"turning by an angle off the grid needs at least 2x2 pixels; this image has {height}x{width}")
    source = _sources(matrices, height, width) * [2 / (width - 1), -2 / (height - 1)]
    dtype = x.dtype if x.dtype in (torch.float32, torch.float64) else torch.float32
    images = x.reshape(len(x), -1, height, width).to(dtype)
    grid = torch.from_numpy(source).to(x.device, dtype)
    moved = torch.nn.functional.grid_sample(images, grid, mode=interpolation, align_corners=True)
    return moved.reshape(x.shape).to(x.dtype)
