"""How far maps are from those of moved images, and how much they vary."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from equiconv.groups.laws import Floats, Ints
from equiconv.groups.moves import inside, take

__all__ = ["mean_within", "permuted_distance", "relative", "spread"]

MARGIN = 1.0  # pixels: that much within a map bicubic interpolation uses nothing from outside


class _Squares(torch.autograd.Function):
    """Compute two means of squares of a map in few passes through the memory, which is what they cost.

    The map ``(2b, c, d, p)`` is of b images and of b moved ones; ``places`` (b, d*p) say where an entry of the pulled
    back map comes from, and ``origins`` where it came to. Returned are the mean squared difference, the mean variance
    of the channels, and the mean square.
    """

    @staticmethod
    def forward(ctx: Any, value: Tensor, places: Ints, origins: Ints) -> tuple[Tensor, Tensor, Tensor]:
        still, moved = value.flatten(2).chunk(2)  # (b, c, d*p)
        difference = take(moved, places).sub_(still)
        mean = value.mean((0, -1), keepdim=True)  # (1, c, d, 1)
        variance = _mean_square((value - mean).flatten(2))  # the mean square less that of the mean is all rounding
        square = variance + mean.square().mean()
        ctx.save_for_backward(value, difference, mean)
        ctx.origins = origins
        ctx.mark_non_differentiable(square)
        return _mean_square(difference), variance, square

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_error: Tensor, of_variance: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        value, difference, mean = ctx.saved_tensors
        scale = 2 * of_variance / value.numel()
        gradient = torch.addcmul(-scale * mean, value, scale).contiguous()  # what is added below goes to views of it
        still, moved = gradient.flatten(2).chunk(2)
        scale = 2 * of_error / difference.numel()
        still.addcmul_(difference, scale, value=-1)
        moved.addcmul_(take(difference, ctx.origins), scale)
        return gradient, None, None


def permuted_distance(value: Tensor, places: Ints, origins: Ints) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean squared difference of maps and those of moved images, where pulling back only permutes entries.

    Args:
        value: of images and of moved ones, ``(2 B, n, d, P)``, P being the pixels.
        places: from which entries those of the maps that are pulled back come, ``(B, d*P)``.
        origins: the same for maps that are moved, the inverse permutations.

    Returns:
        The mean squared difference, the variance of the channels, and the mean square, which has no gradient.
    """
    return _Squares.apply(value, places, origins)


def mean_within(difference: Tensor, plane: Floats) -> Tensor:
    """Return the mean square of a difference where maps that were moved come from within the square; 0 if nowhere.

    Args:
        difference: ``(B, ..., H, W)``.
        plane: how each was moved, ``(B, 2, 2)``.
    """
    height, width = difference.shape[-2:]
    valid = torch.from_numpy(inside(plane, height, width, MARGIN)).to(difference)  # (b, h, w)
    squares = difference.flatten(1, -3).square().sum(1)  # (b, h, w)
    channels = difference.numel() / max(1, squares.numel())
    return (squares * valid).sum() / (channels * valid.sum()).clamp(min=1)


def spread(fields: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean variance of the channels of a map ``(B, n, d, H, W)``, and its mean square."""
    variance, mean = torch.var_mean(fields, (0, -2, -1), correction=0)
    return variance.mean(), (variance + mean.square()).mean()


def relative(error: Tensor, variance: Tensor, square: Tensor) -> Tensor:
    """Return a mean squared error over the variance of the channels; 1 if they do not vary.

    Args:
        error: the mean squared error.
        variance: that of the channels.
        square: the mean square of the map: a variance that is smaller by the rounding of its numbers is none.
    """
    limits = torch.finfo(error.dtype)
    floor = (limits.eps * square + limits.tiny**0.5).detach()
    return (error + floor) / (variance + floor)


def _mean_square(x: Tensor) -> Tensor:
    """Return the mean square of ``(b, c, k)``: row by row, because a single sum loses three digits."""
    return torch.linalg.vector_norm(x, dim=-1).square().mean() / x.shape[-1]
