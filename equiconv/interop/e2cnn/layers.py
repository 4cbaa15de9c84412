"""What e2cnn computes, and no other layer does."""

import numpy as np
import torch
from torch import Tensor, nn

from equiconv.errors import ShapeError
from equiconv.groups import FieldType
from equiconv.groups.laws import Floats, Ints
from equiconv.layers.layer import FieldLayer
from equiconv.recorded import Recorded


def squashed(norm: Tensor) -> Tensor:
    """Return ``t / (1 + t)``, which e2cnn calls squash; ``equiconv.layers.squash`` is that of capsules."""
    return norm / (1 + norm)


class Gates(FieldLayer):
    """Multiply channels by ``sigmoid(gate - bias)`` of other channels.

    Args:
        in_type: the fields and their gates.
        out_type: the fields; and the gates, if they are kept.
        source: the channel of the input that each channel of the output is; -1 for 1, where a gate is kept.
        gate: the channel of the input that gates it.
        owner: the number of the bias of each channel of the output, which is subtracted from the gate.
        biases: how many biases there are; they are 0 in the beginning.
    """

    source: Tensor
    gate: Tensor
    owner: Tensor

    def __init__(
        self,
        in_type: FieldType,
        out_type: FieldType,
        source: Ints,
        *,
        gate: Ints,
        owner: Ints,
        biases: int,
    ) -> None:
        super().__init__(in_type, out_type)
        self.add_table("source", np.where(source < 0, in_type.channels, source))
        self.add_table("gate", gate)
        self.add_table("owner", owner)
        self.keeps_gates = bool((source < 0).any())
        self.bias = nn.Parameter(torch.zeros(biases))

    def forward(self, x: Tensor) -> Tensor:
        """Gate a tensor of ``in_type``; return a tensor of ``out_type``."""
        self.settle(x.device)
        flat = self.in_type.flatten(x)  # (b, c, h, w)
        factors = torch.sigmoid(flat[:, self.gate] - self.bias[self.owner, None, None])  # (b, c', h, w)
        if self.keeps_gates:
            flat = torch.cat([flat, torch.ones_like(flat[:, :1])], 1)
        return self.out_type.unflatten(flat[:, self.source] * factors.to(x.dtype))

    def extra_repr(self) -> str:
        """Return the types."""
        return f"{self.in_type!r}, {self.out_type!r}"


class FixedMask(FieldLayer):
    """Multiply the fields by a mask.

    Args:
        in_type: any field type.
        mask: ``(H, W)``.
    """

    mask: Tensor

    def __init__(self, in_type: FieldType, mask: Floats) -> None:
        super().__init__(in_type, in_type)
        self.add_table("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        """Mask a tensor of ``in_type``."""
        self.in_type.check(x)
        self.settle(x.device)
        if x.shape[-2:] != self.mask.shape:
            raise ShapeError(f"this mask is for maps of {tuple(self.mask.shape)}; got {tuple(x.shape[-2:])}")
        return x * self.mask.to(x.dtype)

    def extra_repr(self) -> str:
        """Return the type, and the size of the mask."""
        return f"{self.in_type!r}, {tuple(self.mask.shape)}"


class OnPlane(FieldLayer):
    """Apply a module for ordinary images to every channel.

    Args:
        in_type: fields whose channels may be treated one by one: of any type if the module is linear, else permuted.
        module: what acts on all channels alike, such as ``nn.MaxPool2d``.
    """

    def __init__(self, in_type: FieldType, module: nn.Module) -> None:
        super().__init__(in_type, in_type)
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        """Return the module's output for a tensor of ``in_type``, of the same type."""
        return self.out_type.unflatten(self.module(self.in_type.flatten(x)))

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.in_type!r}, {self.module!r}"


class PixelDropout(FieldLayer):
    """Zero whole fields at single pixels, as e2cnn's ``FieldDropout``; ours drops them in the entire plane.

    Args:
        in_type: fields with one summand for each field of e2cnn.
        p: the probability that a field is dropped at a pixel.
    """

    def __init__(self, in_type: FieldType, p: float) -> None:
        super().__init__(in_type, in_type)
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Drop vectors of a tensor of ``in_type``; return a tensor of the same type."""
        fields = self.in_type.fields(x)  # (b, n, d, h, w)
        if not self.training or self.p == 0:
            return x
        sizes = self.in_type.representation.sizes
        shape = (*fields.shape[:2], len(sizes), *fields.shape[3:])
        keep = (torch.rand(shape, device=x.device) >= self.p).to(x.dtype) / (1 - self.p)  # (b, n, summands, h, w)
        spread = torch.cat([part.expand(-1, -1, d, -1, -1) for part, d in zip(keep.split(1, 2), sizes, strict=True)], 2)
        return self.out_type.like(fields * spread)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.in_type!r}, p={self.p}"


class Both(Recorded):
    """Join two tensors of fields, and apply a layer: gates and gated fields that come apart.

    Args:
        first: from the first tensor to the layout of e2cnn.
        second: from the second one.
        layer: from both side by side, in the layout of e2cnn.
    """

    def __init__(self, first: nn.Module, second: nn.Module, layer: nn.Module) -> None:
        super().__init__()
        self.first, self.second, self.layer = first, second, layer

    def forward(self, gates: Tensor, x: Tensor) -> Tensor:
        """Apply the layer to the two."""
        return self.layer(torch.cat([self.first(gates), self.second(x)], 1))
