"""The networks that are compared: one architecture, any group, the width that fits the budget."""

from functools import cache

import torch
from torch import nn

from equiconv import EquiconvError, Group
from equiconv.models import CNN

__all__ = ["NETWORK", "check_image_size", "count_parameters", "nearest_width", "network"]

KERNEL_SIZES = (3, 3, 3, 3)
NETWORK = (
    f"equiconv.models.CNN: {len(KERNEL_SIZES)} group convolutions with kernels {', '.join(map(str, KERNEL_SIZES))}, "
    "batch norm and ReLU after each, 2x2 max pooling after the second; then the maximum over the group, the mean over "
    "the plane, and one linear layer."
)


def network(group: Group, width: int, classes: int) -> CNN:
    """Return the network of the comparison: four convolutions, 2x2 pooling after the second, invariant logits."""
    return CNN(group, width, classes=classes, kernel_sizes=KERNEL_SIZES)


def count_parameters(module: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


@cache
def _parameters(group: Group, width: int, classes: int) -> int:
    with torch.device("meta"):  # shapes only
        return count_parameters(network(group, width, classes))


def nearest_width(group: Group, budget: int, classes: int) -> int:
    """Return the width whose number of parameters is nearest to the budget; of two that are as near, the smaller.

    Raises:
        EquiconvError: if even one field a layer needs more than the budget, or the group cannot be used.
    """
    least = _parameters(group, 1, classes)
    if least > budget:
        raise EquiconvError(f"the smallest network on {group!r} has {least} parameters: --budget {budget} is too small")
    high = 2
    while _parameters(group, high, classes) < budget:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _parameters(group, middle, classes) < budget else (low, middle)
    return min((low, high), key=lambda width: abs(_parameters(group, width, classes) - budget))


def check_image_size(group: Group, size: int) -> None:
    """Raise unless images of this size pass the network exactly, before anything is trained."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        network(group, 1, 2)(torch.zeros(2, 3, size, size))
