"""Sizes that the original reads from maps, and that the new network reads anew."""

import operator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from equiconv.converting.draft import Draft, Value
from equiconv.errors import ExactnessError


class Resize(nn.Module):
    """Resize the plane of fields or invariants to a size that is read from others, or with corners aligned.

    Args:
        mode: of ``torch.nn.functional.interpolate``.
        corners: its ``align_corners``.
        scale: its ``scale_factor``, if no size is given.
        exact: refuse sizes that lose equivariance.
    """

    def __init__(self, mode: str, *, corners: bool | None, scale: Any = None, exact: bool = True) -> None:
        super().__init__()
        self.mode, self.corners, self.scale, self.exact = mode, corners, scale, exact

    def forward(self, x: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Resize maps (B, n, H, W) or (B, n, d, H, W)."""
        flat = x.flatten(1, -3)  # (b, n*d, h, w)
        if self.exact and self.mode == "nearest" and size is not None:
            _check_multiples(flat, size)
        scale = self.scale if size is None else None
        y = F.interpolate(flat, size, scale, self.mode, align_corners=self.corners)
        return y.unflatten(1, x.shape[1:-2])  # (b, n, d, h', w')

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"mode={self.mode!r}, align_corners={self.corners}, scale={self.scale}, exact={self.exact}"


def _check_multiples(x: Tensor, size: tuple[int, int]) -> None:
    if any(new % old for new, old in zip(size, x.shape[-2:], strict=True)):
        raise ExactnessError(
            f'mode="nearest" from {x.shape[-2]}x{x.shape[-1]} to {size[0]}x{size[1]} pixels takes those left and '
            'above: use images with which the sizes are multiples, or mode="bilinear"'
        )


class Repeat(nn.Module):
    """Repeat maps of one pixel over a plane whose size is read from others."""

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Repeat maps (..., 1, 1); return (..., *size)."""
        return x.expand(*x.shape[:-2], *size)


def replayed(draft: Draft, argument: Any) -> Any:
    """Return an argument with nodes of the new graph for sizes of the plane; None in it for what is no such size."""
    if isinstance(argument, tuple | list):
        return tuple(replayed(draft, each) for each in argument)
    return _replayed(draft, argument) if isinstance(argument, fx.Node) else argument


def plane_of(draft: Draft, value: Value) -> tuple[fx.Node, fx.Node]:
    """Return nodes for the height and width of maps."""
    rows, columns = (draft.graph.call_method("size", (value.node, axis)) for axis in (-2, -1))
    return rows, columns


def _replayed(draft: Draft, node: fx.Node) -> Any:
    if (read := _read(node)) is not None:
        value = draft.values.get(read[0])
        axes = range(4)[read[1]]
        if not (isinstance(value, Value) and value.is_map and tuple(read[0].meta["value"].shape[2:]) == value.plane):
            return None
        plane = (None, None, *plane_of(draft, value))
        return tuple(plane[axis] for axis in axes) if isinstance(axes, range) else plane[axes]
    whole = node.target in (int, round) or getattr(operator, getattr(node.target, "__name__", ""), None) is node.target
    if node.op != "call_function" or not whole or isinstance(node.meta["value"], torch.Tensor):
        return None
    args = replayed(draft, node.args)
    return None if holds_none(args) else draft.graph.call_function(node.target, args)  # type: ignore[arg-type]


def holds_none(argument: Any) -> bool:
    """Tell whether something in an argument could not be replayed."""
    return any(map(holds_none, argument)) if isinstance(argument, tuple) else argument is None


def _read(node: fx.Node) -> tuple[fx.Node, int | slice] | None:
    """Return the tensor and the axes whose sizes a node reads."""
    if node.target == "size" and len(node.args) == 2:
        return node.args[0], node.args[1]  # type: ignore[return-value]
    source = node.args[0] if node.target is operator.getitem else None
    if not isinstance(source, fx.Node) or not isinstance(node.args[1], int | slice):
        return None
    shape = source.target == "size" and len(source.args) == 1
    if shape or (source.target is getattr and source.args[1] == "shape"):
        return source.args[0], node.args[1]  # type: ignore[return-value]
    return None
