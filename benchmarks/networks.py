"""The networks that are compared: one architecture, any group, the width that fits the budget."""

import math
from functools import cache, partial

import torch
from torch import nn

from equiconv import EquiconvError, Group
from equiconv.bases import Basis, Derivatives, Harmonics
from equiconv.models import CNN

__all__ = ["BASES", "NETWORK", "check_image_size", "count_parameters", "nearest_width", "network"]

KERNEL_SIZES = (3, 3, 3, 3)


def steep(kernel_size: tuple[int, int], width: float | None = None) -> Harmonics:
    """Return the harmonics of the published wide residual networks: frequencies up to pi r on the ring of radius r.

    They are neither faded nor damped.

    Args:
        kernel_size: rows and columns of the window.
        width: of every ring, in pixels; None takes those of ``Harmonics.e2cnn``.
    """
    usual = Harmonics.e2cnn(kernel_size)
    widths = usual.widths if width is None else [width] * len(usual.rings)
    frequencies = [int(math.pi * ring) for ring in usual.rings]
    return Harmonics(kernel_size, rings=usual.rings, widths=widths, frequencies=frequencies, fading=False, decay=0)


BASES: dict[str, Basis] = {
    "auto": "auto",
    "pixels": "pixels",
    "harmonics": "harmonics",
    "e2cnn": Harmonics.e2cnn,
    "complete": Harmonics.complete,
    "derivatives": Derivatives,
    "steep": steep,
    "steep-0.45": partial(steep, width=0.45),
}
NETWORK = (
    f"equiconv.models.CNN: {len(KERNEL_SIZES)} group convolutions with kernels {', '.join(map(str, KERNEL_SIZES))}, "
    "batch norm and ReLU after each, 2x2 max pooling after the second; then the maximum over the group, the mean over "
    "the plane, and one linear layer. Nothing is padded. Kernels are made of pixels, or of harmonics where the group "
    "turns by other angles than quarter turns. On continuous groups ReLU acts on samples of functions on the group, "
    "the plane is pooled by the mean, and the norm of a function stands for its maximum."
)


def network(group: Group, width: int, classes: int, basis: str = "auto") -> CNN:
    """Return the network of the comparison: four convolutions, 2x2 pooling after the second, invariant logits.

    Args:
        group: the group of all layers.
        width: the number of fields in each layer.
        classes: the number of classes.
        basis: the name of what kernels are made of, one of ``BASES``.
    """
    return CNN(group, width, classes=classes, kernel_sizes=KERNEL_SIZES, basis=BASES[basis])


def count_parameters(module: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


@cache
def _parameters(group: Group, width: int, classes: int, basis: str) -> int:
    with torch.device("meta"):  # shapes only
        return count_parameters(network(group, width, classes, basis))


def nearest_width(group: Group, budget: int, classes: int, basis: str = "auto") -> int:
    """Return the width whose number of parameters is nearest to the budget; of two that are as near, the smaller.

    Raises:
        EquiconvError: if even one field a layer needs more than the budget, or the group cannot be used.
    """
    least = _parameters(group, 1, classes, basis)
    if least > budget:
        raise EquiconvError(f"the smallest network on {group!r} has {least} parameters: --budget {budget} is too small")
    high = 2
    while _parameters(group, high, classes, basis) < budget:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _parameters(group, middle, classes, basis) < budget else (low, middle)
    return min((low, high), key=lambda width: abs(_parameters(group, width, classes, basis) - budget))


def check_image_size(group: Group, size: int, basis: str = "auto") -> None:
    """Raise unless images of this size pass the network exactly, before anything is trained."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        network(group, 1, 2, basis)(torch.zeros(2, 3, size, size))
