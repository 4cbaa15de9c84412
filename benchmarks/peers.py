"""The layers of other libraries, to be measured beside ours."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from equiconv.errors import EquiconvError
from equiconv.groups import Cyclic, Dihedral, Group
from equiconv.interop.e2cnn import repair

__all__ = ["PEERS", "e2cnn_layer", "e2cnn_tasks"]

PEERS = ("e2cnn",)


def e2cnn_layer(group: Group, fields: int, kernel: int) -> Callable[[], nn.Module]:
    """Return a function that builds e2cnn's convolution between regular fields, repaired for today's NumPy.

    Args:
        group: ``Cyclic(n)`` or ``Dihedral(n)``.
        fields: the number of regular fields in and out.
        kernel: the kernel size; the padding keeps the size of the image.

    Raises:
        EquiconvError: if e2cnn is not installed, or the group is none that it has.
    """
    repair()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from e2cnn import gspaces
            from e2cnn import nn as theirs
        except ImportError:
            raise EquiconvError('--peers e2cnn: e2cnn is not installed; pip install "equiconv[e2cnn]"') from None
    if not isinstance(group, (Cyclic, Dihedral)):
        raise EquiconvError(f"e2cnn has no counterpart of {group!r}")
    space = gspaces.Rot2dOnR2(group.n) if isinstance(group, Cyclic) else gspaces.FlipRot2dOnR2(group.n)
    kind = theirs.FieldType(space, fields * [space.regular_repr])

    def build() -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return theirs.R2Conv(kind, kind, kernel, padding=kernel // 2, recompute=True)

    return build


def e2cnn_tasks(build: Callable[[], nn.Module], x: torch.Tensor) -> dict[str, Callable[[], object]]:
    """Return what is measured of e2cnn's layer, by name: build, expand, forward, forward and backward.

    Args:
        build: makes the layer.
        x: the input, ``(B, C, H, W)``.
    """
    from e2cnn.nn import GeometricTensor

    layer: Any = build()
    fields = GeometricTensor(x, layer.in_type)
    return {
        "e2cnn_build": build,
        "e2cnn_expand": torch.no_grad()(layer.expand_parameters),
        "e2cnn_forward": torch.no_grad()(lambda: layer(fields)),
        "e2cnn_forward_backward": lambda: layer(fields).tensor.sum().backward(),
    }
