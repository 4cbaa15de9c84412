"""The networks whose equivariance is measured, in e2cnn."""

from typing import Any

import numpy as np
import torch

from benchmarks.peers import e2cnn_modules, quiet
from benchmarks.steerable import COLORS, FIELDS, Network
from benchmarks.symmetries import FREQUENCY, Symmetry
from equiconv.errors import EquiconvError
from equiconv.groups import SO2, Cyclic, Dihedral
from equiconv.groups.irreps import rotations
from equiconv.groups.laws import Floats

__all__ = ["build_e2cnn"]

KERNELS = 2 * FREQUENCY  # the largest frequency between irreps of the hidden fields


def build_e2cnn(symmetry: Symmetry, kernel: int, depth: int) -> Network:
    """Return e2cnn's network of the same layers, drawn by its own initialization.

    For SO(2) each irrep has a gate of its own; the gates of equiconv are one for each field.

    Args:
        symmetry: the group and its fields.
        kernel: the kernel size.
        depth: the number of convolutions.

    Raises:
        EquiconvError: if e2cnn is not installed, or the group is none that it has.
    """
    gspaces, theirs = e2cnn_modules()
    with quiet():
        space, field = _space(gspaces, symmetry)
        hidden = theirs.FieldType(space, FIELDS * field)
        network = theirs.SequentialModule(*_layers(theirs, space, hidden, kernel, depth))
    rho = np.stack([hidden.representation(element) for element in _elements(symmetry)])

    def draw(seed: int) -> None:
        torch.manual_seed(seed)
        network.train()  # forgets the kernels of the weights before
        for layer in network.modules():
            if isinstance(layer, theirs.R2Conv):
                theirs.init.generalized_he_init(layer.weights.data, layer.basisexpansion)
        network.eval()

    weights = sum(parameter.numel() for parameter in network.parameters())
    source = network.in_type
    return Network(lambda x: network(theirs.GeometricTensor(x, source)).tensor, draw, _float(rho), weights)


def _float(array: Floats) -> torch.Tensor:
    return torch.from_numpy(array).float()


def _layers(theirs: Any, space: Any, hidden: Any, kernel: int, depth: int) -> list:
    source, layers = theirs.FieldType(space, COLORS * [space.trivial_repr]), []
    gated = theirs.FieldType(space, [space.trivial_repr] * len(hidden) + hidden.representations)
    for _ in range(depth - 1):
        regular = len(hidden) == FIELDS
        target = hidden if regular else gated
        activation = theirs.ReLU(target) if regular else theirs.GatedNonLinearity1(target)
        layers += [theirs.R2Conv(source, target, kernel, bias=False, initialize=False), activation]
        source = hidden
    return [*layers, theirs.R2Conv(source, hidden, kernel, bias=False, initialize=False)]


def _space(gspaces: Any, symmetry: Symmetry) -> tuple[Any, list]:
    """Return e2cnn's space, and the representations of one hidden field."""
    group = symmetry.group
    if isinstance(group, SO2):
        space = gspaces.Rot2dOnR2(-1, maximum_frequency=KERNELS)
        return space, [space.irrep(k) for k in range(FREQUENCY + 1)]
    if not isinstance(group, (Cyclic, Dihedral)):
        raise EquiconvError(f"e2cnn has no counterpart of {group!r}")
    space = gspaces.Rot2dOnR2(group.n) if isinstance(group, Cyclic) else gspaces.FlipRot2dOnR2(group.n)
    return space, [space.regular_repr]


def _elements(symmetry: Symmetry) -> list:
    """Return e2cnn's names of the elements: (mirrored, steps), steps or the angle. It flips columns, then turns."""
    columns = np.diag([-1.0, 1.0])
    turns = np.where(np.array(symmetry.mirrored)[:, None, None], symmetry.planes @ columns, symmetry.planes)
    angles = np.arctan2(turns[:, 1, 0], turns[:, 0, 0]) % (2 * np.pi)
    assert np.allclose(rotations(angles), turns)
    group = symmetry.group
    if isinstance(group, SO2):
        return angles.tolist()
    assert isinstance(group, (Cyclic, Dihedral))
    steps = (np.rint(angles * group.n / (2 * np.pi)).astype(int) % group.n).tolist()
    if isinstance(group, Cyclic):
        return steps
    return list(zip(map(int, symmetry.mirrored), steps, strict=True))
