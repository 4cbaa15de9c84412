"""Moving pixels: how an orthogonal 2x2 matrix acts on the last two axes of a tensor."""

import torch
from torch import Tensor

from equiconv.errors import ShapeError
from equiconv.groups.laws import Floats


def is_signed_permutation(matrices: Floats) -> bool:
    """Tell whether every matrix only permutes the axes and changes their signs, so that pixels land on pixels."""
    return bool(((matrices == 0) | (abs(matrices) == 1)).all())


def move_plane(x: Tensor, matrix: Floats) -> Tensor:
    """Move the image ``x`` (..., H, W) about its center: the new image at p is the old one at ``matrix^-1 p``.

    Quarter turns and flips move pixels exactly (a quarter turn of H x W is W x H). Any other matrix keeps the size,
    interpolates bicubically and takes zeros from outside.
    """
    if not is_signed_permutation(matrix):
        return _interpolate(x, matrix)
    (across, right), (up, along) = matrix.tolist()
    if across:  # (x, y) -> (+-x, +-y)
        return x.flip([axis for axis, sign in ((-1, across), (-2, along)) if sign < 0])
    return x.transpose(-2, -1).flip([axis for axis, sign in ((-1, right), (-2, up)) if sign > 0])


def _interpolate(x: Tensor, matrix: Floats) -> Tensor:
    height, width = x.shape[-2:]
    if min(height, width) < 2:
        raise ShapeError(f"turning by an angle off the grid needs at least 2x2 pixels; this image has {height}x{width}")
    if x.numel() == 0:
        return x.clone()
    rows = (height - 1) / 2 - torch.arange(height, dtype=torch.float64, device=x.device)  # y, up
    columns = torch.arange(width, dtype=torch.float64, device=x.device) - (width - 1) / 2  # x, right
    points = torch.stack([columns.expand(height, -1), rows[:, None].expand(-1, width)], -1)  # (H, W, 2)
    source = points @ torch.as_tensor(matrix.copy(), device=x.device)  # matrix^-1 p = matrix^T p
    scale = torch.tensor([2 / (width - 1), -2 / (height - 1)], dtype=torch.float64, device=x.device)
    dtype = x.dtype if x.dtype in (torch.float32, torch.float64) else torch.float32
    images = x.reshape(1, -1, height, width).to(dtype)
    moved = torch.nn.functional.grid_sample(
        images, (source * scale)[None].to(dtype), mode="bicubic", align_corners=True
    )
    return moved.reshape(x.shape).to(x.dtype)
