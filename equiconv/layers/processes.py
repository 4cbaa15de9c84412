"""Sums over the processes of a distributed training."""

from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist


def sum_over_processes(x: Tensor, group: "dist.ProcessGroup | None") -> Tensor:
    """Return the sum of the tensors of all processes of a group; None is the group of all. Gradients flow back."""
    return _Sum.apply(x, group)


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: "dist.ProcessGroup | None") -> Tensor:
        """Return the sum."""
        ctx.group = group
        total = x.contiguous().clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Return the sum of the gradients: every process has used the sum."""
        return sum_over_processes(gradients[0], ctx.group), None
