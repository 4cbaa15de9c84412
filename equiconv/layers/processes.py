"""Means over a batch, or over the batches of all processes of a distributed training."""

from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist


class BatchMean:
    """Take means of fields over the batch and the plane, and remember of how many vectors."""

    count: Tensor | int = 0

    def __call__(self, fields: Tensor) -> Tensor:
        """Return the mean of (b, n, d, h, w), ``(1, n, d)``."""
        self.count = _count(fields)
        return fields.mean((0, 3, 4))[None]


class SharedBatchMean(BatchMean):
    """Take them over the batches of all processes, which may differ in size.

    Args:
        group: the processes; None takes all.
    """

    def __init__(self, group: "dist.ProcessGroup | None") -> None:
        self.group = group

    def __call__(self, fields: Tensor) -> Tensor:
        """Return the mean of (b, n, d, h, w) of all processes, ``(1, n, d)``."""
        sums = fields.sum((0, 3, 4))  # (n, d)
        total = _Sum.apply(torch.cat([sums.flatten(), sums.new_tensor([_count(fields)])]), self.group)  # (n*d + 1,)
        self.count = count = total[-1].detach()
        return (total[:-1] / count.clamp(min=1)).view_as(sums)[None]


def _count(fields: Tensor) -> int:
    return fields.shape[0] * fields.shape[3] * fields.shape[4]


class _Sum(torch.autograd.Function):
    """Add up the tensors of all processes, and the gradients of what each made of the sum."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: "dist.ProcessGroup | None") -> Tensor:
        """Return the sum."""
        ctx.group = group
        total = x.clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Return the sum of the gradients."""
        return _Sum.apply(gradients[0].contiguous(), ctx.group), None
