"""The networks whose equivariance is measured."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.symmetries import Symmetry
from equiconv.bases import Circular, Harmonics
from equiconv.groups import FieldType
from equiconv.layers import Antialiased, GatedActivation, GroupConv2d, Pointwise

__all__ = ["ANTIALIASED", "BASES", "COLORS", "FIELDS", "Build", "Network", "build"]

FIELDS = 4
COLORS = 3  # channels of the images
BASES: dict[str, Callable[[tuple[int, int]], Circular]] = {"e2cnn": Harmonics.e2cnn, "default": Harmonics}
ANTIALIASED = "antialiased"  # the default basis, with activations that do not alias


@dataclass(frozen=True)
class Network:
    """Hold a network of unpadded convolutions, from images ``(B, 3, H, W)`` to hidden fields, flat.

    Args:
        run: the network.
        draw: draws all weights anew, by a seed.
        rho: how the measured elements act on the channels, ``(n, C, C)``.
        weights: their number.
        functions: the number of functions of which kernels are made; None if the library does not say.
        condition: their condition number.
    """

    run: Callable[[Tensor], Tensor]
    draw: Callable[[int], None]
    rho: Tensor
    weights: int
    functions: int | None = None
    condition: float | None = None


Build = Callable[[Symmetry, int, int], Network]  # by symmetry, kernel size and depth


def build(symmetry: Symmetry, kernel: int, depth: int, basis: Circular, *, antialiased: bool = False) -> Network:
    """Return the network of equiconv: convolutions without bias, and between them ReLU or, between irreps, gates.

    Args:
        symmetry: the group and its fields.
        kernel: the kernel size.
        depth: the number of convolutions.
        basis: what the kernels are made of.
        antialiased: whether the nonlinearity acts on a finer grid.
    """
    hidden = FIELDS * symmetry.hidden
    source = COLORS * symmetry.group.trivial
    layers: list[nn.Module] = []
    for layer in range(depth):
        activation = _activation(symmetry, hidden, antialiased) if layer < depth - 1 else None
        target = activation.in_type if activation else hidden
        layers.append(GroupConv2d(source, target, kernel, bias=False, basis=basis))
        layers += [activation] if activation else []
        source = hidden
    network = nn.Sequential(*layers)

    def draw(seed: int) -> None:
        torch.manual_seed(seed)
        for layer in network:
            if isinstance(layer, GroupConv2d):
                layer.reset_parameters()

    rho = torch.from_numpy(np.kron(np.eye(FIELDS), symmetry.rho)).float()
    weights = sum(parameter.numel() for parameter in network.parameters())
    return Network(lambda x: network(x).flatten(1, 2), draw, rho, weights, basis.size, basis.condition)


def _activation(symmetry: Symmetry, hidden: FieldType, antialiased: bool) -> Pointwise | GatedActivation | Antialiased:
    permuted = symmetry.hidden.is_permutation
    activation: Pointwise | GatedActivation = Pointwise(hidden) if permuted else GatedActivation(hidden)
    return Antialiased(activation) if antialiased else activation
