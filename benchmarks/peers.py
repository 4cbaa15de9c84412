"""The layers of other libraries, to be measured beside ours."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from equiconv.errors import EquiconvError
from equiconv.groups import Cyclic, Dihedral, Group
from equiconv.interop.e2cnn import repair

__all__ = ["PEERS", "e2cnn_layer", "e2cnn_modules", "e2cnn_tasks", "quiet"]

PEERS = ("e2cnn",)


def e2cnn_modules() -> tuple[Any, Any]:
    """Return ``e2cnn.gspaces`` and ``e2cnn.nn``, repaired for today's NumPy.

    Raises:
        EquiconvError: if e2cnn is not installed.
    """
    repair()
    with quiet():
        try:
            from e2cnn import gspaces
            from e2cnn import nn as theirs
        except ImportError:
            raise EquiconvError('--peers e2cnn: e2cnn is not installed; pip install "equiconv[e2cnn]"') from None
    return gspaces, theirs


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings that e2cnn gives whatever one does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def e2cnn_layer(group: Group, fields: int, kernel: int) -> Callable[[], nn.Module]:
    """Return a function that builds e2cnn's convolution between regular fields.

    Args:
        group: ``Cyclic(n)`` or ``Dihedral(n)``.
        fields: the number of regular fields in and out.
        kernel: the kernel size; the padding keeps the size of the image.

    Raises:
        EquiconvError: if e2cnn is not installed, or the group is none that it has.
    """
    gspaces, theirs = e2cnn_modules()
    if not isinstance(group, (Cyclic, Dihedral)):
        raise EquiconvError(f"e2cnn has no counterpart of {group!r}")
    space = gspaces.Rot2dOnR2(group.n) if isinstance(group, Cyclic) else gspaces.FlipRot2dOnR2(group.n)
    kind = theirs.FieldType(space, fields * [space.regular_repr])

    def build() -> nn.Module:
        with quiet():
            return theirs.R2Conv(kind, kind, kernel, padding=kernel // 2, recompute=True)

    return build


def e2cnn_tasks(build: Callable[[], nn.Module], x: torch.Tensor) -> dict[str, Callable[[], object]]:
    """Return what is measured of e2cnn's layer, by name: build, expand, forward, forward and backward.

    Args:
        build: makes the layer.
        x: the input, ``(B, C, H, W)``; it requires a gradient.
    """
    from e2cnn.nn import GeometricTensor

    layer: Any = build()
    fields = GeometricTensor(x, layer.in_type)
    inputs = [x, *layer.parameters()]
    upstream = torch.randn_like(layer(fields).tensor)
    return {
        "e2cnn_build": build,
        "e2cnn_expand": torch.no_grad()(layer.expand_parameters),
        "e2cnn_forward": torch.no_grad()(lambda: layer(fields)),
        "e2cnn_forward_backward": lambda: torch.autograd.grad(layer(fields).tensor, inputs, upstream),
    }
