"""Convolutions and linear layers."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from equiconv.converting.draft import FIELDS, IMAGE, PLAIN, VECTOR, Cost, Value
from equiconv.converting.ordinary import copied
from equiconv.converting.pooling import Pair, SymmetricMean, Windows
from equiconv.converting.report import described
from equiconv.converting.step import Step
from equiconv.converting.widths import Piece, Pieces, Widths, divide
from equiconv.groups import FieldType
from equiconv.layers import GroupConv2d, GroupConvTranspose2d
from equiconv.layers.convolution import Convolution

Weighted = nn.Conv2d | nn.ConvTranspose2d | nn.Linear

STRIDE = "means in the place of stride {}"
SMALL = "small kernels, which are far from equivariant at angles off the grid"
LIFTED = "lifts the image to the group"
LARGER = "5x5 pixels, since the group turns 3x3 ones off the grid"


@dataclass(frozen=True)
class Kernel:
    """Say what a convolution does on the plane."""

    size: Pair
    stride: Pair
    padding: Pair | str
    dilation: Pair
    changes: tuple[str, ...] = ()

    def enlarged(self, step: Step, room: float) -> "Kernel":
        """Return one of 5x5 pixels instead of 3x3 for groups that do not keep the grid, if padding fits the room."""
        if step.group.keeps_grid or self.size != (3, 3):
            return self
        padding = self.padding
        if not isinstance(padding, str):
            padding = (padding[0] + self.dilation[0], padding[1] + self.dilation[1])
            if max(padding) >= room:
                return self
        return Kernel((5, 5), self.stride, padding, self.dilation, (*self.changes, LARGER))


@dataclass(frozen=True)
class Sliding:
    """Say how a convolution is made, and what it costs.

    Args:
        make: makes it of the types of input and output, and the number of channel groups.
        pixels: on which the kernel is placed.
        taps: the pixels of the kernel.
        changes: what it does not do as the original.
        note: what else there is to say.
    """

    make: Callable[[FieldType, FieldType, int], Convolution]
    pixels: int
    taps: int
    changes: tuple[str, ...] = ()
    note: str = ""

    @property
    def notes(self) -> list[str]:
        """All that there is to say."""
        return [*([self.note] if self.note else []), *self.changes]


def convolution(step: Step, module: nn.Conv2d, value: Value) -> Value:
    """Convert ``nn.Conv2d``: lifting from an image, a group convolution between fields."""
    step.check_maps(value)
    kernel = Kernel(_pair(module.kernel_size), _pair(module.stride), _padding(module), _pair(module.dilation))
    averaged = not _keeps_stride(step, kernel)
    room = math.inf if module.padding_mode == "zeros" else min(value.plane)
    stride, before = kernel.stride, kernel.enlarged(step, room)
    edge = (0, 0) if isinstance(kernel.padding, str) else _edge(kernel, kernel.padding)
    if averaged:
        why = STRIDE.format("x".join(map(str, stride)) if stride[0] != stride[1] else stride[0])
        before = Kernel(before.size, (1, 1), before.padding, before.dilation, (*before.changes, why))
    behind = averaged and (value.kind != FIELDS or min(edge) < 0)  # there a smaller map would be all padding
    if averaged and not behind:
        value = _mean(step, value, stride, edge)

    def make(in_type: FieldType, out_type: FieldType, channel_groups: int) -> Convolution:
        return GroupConv2d(
            in_type,
            out_type,
            before.size,
            stride=before.stride,
            padding=before.padding,
            dilation=before.dilation,
            padding_mode=module.padding_mode,
            bias=module.bias is not None,
            channel_groups=channel_groups,
            exact=step.options.exact,
        )

    plane = (step.shape[2], step.shape[3])
    full = _unstrided(value.plane, edge) if behind else plane
    sliding = Sliding(make, math.prod(full), math.prod(before.size), before.changes)
    result = _weighted(step, module, value, sliding)
    result = Value(result.node, FIELDS, result.pieces, plane)
    return _mean(step, result, stride, (0, 0)) if behind else result


def transposed(step: Step, module: nn.ConvTranspose2d, value: Value) -> Value:
    """Convert ``nn.ConvTranspose2d``."""
    step.check_maps(value)

    def make(in_type: FieldType, out_type: FieldType, channel_groups: int) -> Convolution:
        return GroupConvTranspose2d(
            in_type,
            out_type,
            _pair(module.kernel_size),
            stride=_pair(module.stride),
            padding=_pair(module.padding),
            output_padding=_pair(module.output_padding),
            dilation=_pair(module.dilation),
            bias=module.bias is not None,
            channel_groups=channel_groups,
            exact=step.options.exact,
        )

    taps = math.prod(_pair(module.kernel_size))
    note = "" if step.group.keeps_grid or max(_pair(module.kernel_size)) > 4 else SMALL
    result = _weighted(step, module, value, Sliding(make, math.prod(value.plane), taps, note=note))
    return Value(result.node, FIELDS, result.pieces, (step.shape[2], step.shape[3]))


def linear(step: Step, module: nn.Linear, value: Value) -> Value:
    """Convert ``nn.Linear``: of maps that the original flattens, a convolution with kernels as large as they are."""
    if value.is_map:
        step.refuse("it acts on the columns of maps; flatten or average them first")
    if value.flat and value.plane != (1, 1):
        return _whole_plane(step, module, value)
    value = step.vector(value)
    if value.kind == PLAIN:
        return copied(step, value)
    bias, name = module.bias is not None, str(step.node.target)
    out: Pieces = (Piece(module.out_features, scaled=False),)

    def products(widths: Widths) -> int:
        return widths(out) * widths(value.pieces)

    if name in step.draft.shared:
        out = step.draft.shared[name][1]
    if (known := step.again(name, value, products)) is not None:
        return Value(known, VECTOR, out)
    node = step.module(
        name,
        lambda widths: nn.Linear(widths(value.pieces), widths(out), bias=bias),
        value.node,
        was=described(module),
        why="of invariants",
        source=name,
    )
    step.draft.shared[name] = (value, out)
    step.draft.costs.append(Cost(lambda widths: products(widths) + bias * widths(out), products))
    return Value(node, VECTOR, out)


def _whole_plane(step: Step, module: nn.Linear, value: Value) -> Value:
    def make(in_type: FieldType, out_type: FieldType, channel_groups: int) -> Convolution:
        return GroupConv2d(
            in_type, out_type, value.plane, bias=module.bias is not None, channel_groups=channel_groups,
            exact=step.options.exact,
        )  # fmt: skip

    rows, columns = value.plane
    note = f"of maps of {rows}x{columns} pixels: a convolution with kernels of that size"
    note += "" if step.group.keeps_grid or max(value.plane) > 4 else f"; {SMALL}"
    result = _weighted(step, module, value, Sliding(make, 1, rows * columns, note=note))
    return Value(result.node, FIELDS, result.pieces, (1, 1), flat=True)


def _weighted(step: Step, module: Weighted, value: Value, sliding: Sliding) -> Value:
    """Add a convolution, and what it costs."""
    name, draft, group = str(step.node.target), step.draft, step.group
    blocks = getattr(module, "groups", 1)
    depthwise = 1 < blocks == getattr(module, "in_channels", 0) == getattr(module, "out_channels", 0)
    out = draft.shared[name][1] if name in draft.shared else _out_pieces(step, module, value, blocks, depthwise)

    def channel_groups(widths: Widths) -> int:
        return draft.type_of(value, widths).n if depthwise else blocks

    def made(widths: Widths) -> nn.Module:
        return sliding.make(draft.type_of(value, widths), widths(out) * group.regular, channel_groups(widths))

    def pairs(widths: Widths) -> int:
        return widths(out) * draft.type_of(value, widths).n // channel_groups(widths)

    products = draft.type_of(value, Widths(1)).representation.dim * group.regular.dim * sliding.taps * sliding.pixels

    if (known := step.again(name, value, lambda widths: pairs(widths) * products)) is not None:
        return Value(known, FIELDS, out)
    with step.named():
        one = draft.type_of(value, Widths(1)).representation
        coefficients = sliding.make(1 * one, 1 * group.regular, 1).weight.numel()  # between two fields
    bias = module.bias is not None
    draft.costs.append(
        Cost(
            lambda widths: pairs(widths) * coefficients + widths(out) * bias,
            lambda widths: pairs(widths) * products,
        )
    )
    node = step.module(
        name,
        made,
        value.node,
        status="changed" if sliding.changes else "converted",
        was=described(module),
        why="; ".join([*([LIFTED] if value.kind != FIELDS else []), *sliding.notes]),
        source=name,
    )
    draft.shared[name] = (value, out)
    return Value(node, FIELDS, out)


def _out_pieces(step: Step, module: Weighted, value: Value, blocks: int, depthwise: bool) -> Pieces:
    if value.kind == IMAGE and blocks > 1 and step.options.image.n == 1:
        step.refuse("it splits the colors of the image, which are one field")
    if depthwise and value.kind != IMAGE:
        return value.pieces
    divide(value.pieces, blocks)
    channels = module.out_features if isinstance(module, nn.Linear) else module.out_channels
    return (Piece(channels, multiple=blocks),)


def _mean(step: Step, value: Value, stride: Pair, edge: Pair) -> Value:
    """Shrink maps instead of a stride."""
    name = step.draft.unused(f"{step.node.target}_mean")
    node = step.module(
        name,
        lambda widths: SymmetricMean(step.draft.type_of(value, widths), stride, edge=edge),
        value.node,
        status="inserted",
        why=f"for the stride of {step.node.target}",
    )
    return Value(node, value.kind, value.pieces, value.plane)


def _keeps_stride(step: Step, kernel: Kernel) -> bool:
    """Tell whether a convolution is exact with its stride on images of multiples of it, and on all that it gets."""
    calls = [node for node in step.node.graph.nodes if (node.op, node.target) == (step.node.op, step.node.target)]
    planes = [tuple(node.all_input_nodes[0].meta["value"].shape[2:]) for node in calls]
    if kernel.stride == (1, 1) or not (step.options.exact and step.group.moves_plane):
        return True
    if isinstance(kernel.padding, str):
        return False
    windows = Windows(kernel.size, kernel.stride, kernel.padding, kernel.dilation)
    return windows.fit(kernel.stride) and all(map(windows.fit, planes))


def _edge(kernel: Kernel, padding: Pair) -> Pair:
    """Return by how many pixels the convolution shrinks maps, but for its stride."""
    rows, columns = (
        dilation * (size - 1) - 2 * ends
        for size, ends, dilation in zip(kernel.size, padding, kernel.dilation, strict=True)
    )
    return rows, columns


def _unstrided(plane: Pair, edge: Pair) -> Pair:
    return plane[0] - edge[0], plane[1] - edge[1]


def _padding(module: nn.Conv2d) -> Pair | str:
    if module.padding == "valid":
        return (0, 0)
    return module.padding if isinstance(module.padding, str) else _pair(module.padding)


def _pair(value: Any) -> Pair:
    rows, columns = (value, value) if isinstance(value, int) else value
    return rows, columns
