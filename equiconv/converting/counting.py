"""Counting what networks cost."""

import copy
import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from equiconv.layers import GroupConvTranspose2d
from equiconv.layers.convolution import Convolution


def count_parameters(model: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_multiplications(model: nn.Module, *shape: int) -> dict[str, int]:
    """Return the multiplications of each convolution and linear layer for one image of a shape (channels, h, w)."""
    twin = copy.deepcopy(model).to("meta").eval()
    dtype = next((p.dtype for p in twin.parameters() if p.is_floating_point()), torch.float32)
    counts: dict[str, int] = {}
    for name, module in twin.named_modules():
        if isinstance(module, Convolution | nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            module.register_forward_hook(partial(_count, counts, name))
    with torch.no_grad():
        twin(torch.empty(1, *shape, device="meta", dtype=dtype))
    return counts


def _count(counts: dict[str, int], name: str, module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    counts[name] = counts.get(name, 0) + _products(module, inputs[0], output)


def _products(module: Any, x: Tensor, y: Tensor) -> int:
    if isinstance(module, nn.Linear):
        return y.numel() * module.in_features
    if isinstance(module, Convolution):
        spread = isinstance(module, GroupConvTranspose2d)
        channels = (module.out_type if spread else module.in_type).channels // module.channel_groups
        return (x if spread else y).numel() * channels * math.prod(module.window.kernel)
    spread = isinstance(module, nn.ConvTranspose2d)
    channels = (module.out_channels if spread else module.in_channels) // module.groups
    return (x if spread else y).numel() * channels * math.prod(module.kernel_size)
