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


def count_multiplications(model: nn.Module, *shape: int) -> int:
    """Return the multiplications of convolutions and linear layers for one image of a shape (channels, h, w)."""
    twin = copy.deepcopy(model).to("meta").eval()
    dtype = next((p.dtype for p in twin.parameters() if p.is_floating_point()), torch.float32)
    counts: list[int] = []
    for module in twin.modules():
        if isinstance(module, Convolution | nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            module.register_forward_hook(partial(_count, counts))
    with torch.no_grad():
        twin(torch.empty(1, *shape, device="meta", dtype=dtype))
    return sum(counts)


def _count(counts: list[int], module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    if isinstance(module, nn.Linear):
        counts.append(output.numel() * module.in_features)
    elif isinstance(module, Convolution):
        spread = isinstance(module, GroupConvTranspose2d)
        channels = (module.out_type if spread else module.in_type).channels // module.channel_groups
        counts.append((inputs[0] if spread else output).numel() * channels * math.prod(module.window.kernel))
    else:
        spread = isinstance(module, nn.ConvTranspose2d)
        channels = (module.out_channels if spread else module.in_channels) // module.groups
        counts.append((inputs[0] if spread else output).numel() * channels * math.prod(module.kernel_size))
