"""What changes the shape of maps: flattening, concatenation, splitting."""

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from equiconv.converting.aliases import overlap
from equiconv.converting.draft import FIELDS, IMAGE, INVARIANTS, PLAIN, VECTOR, Value
from equiconv.converting.layers import like
from equiconv.converting.ordinary import copied
from equiconv.converting.partial import Partial, merged
from equiconv.converting.sizes import plane_of, replayed
from equiconv.converting.step import Step
from equiconv.converting.widths import Piece, cut, size_of


def source_shape(step: Step) -> tuple[int, ...]:
    """Return the shape that the original takes for many images."""
    node = step.node.args[0] if step.node.args else step.node.kwargs["input"]
    return tuple(node.meta["value"].shape) if isinstance(node, fx.Node) else ()


def reshape(step: Step, value: Value) -> Any:
    """Convert what flattens maps, or makes maps of one pixel of a vector and back; by the shapes of the original."""
    before, after = source_shape(step), step.shape
    result = _reshaped(step, value, before, after)
    if isinstance(result, Partial):
        return result
    fresh = not overlap(step.node.all_input_nodes[0].meta["value"], step.node.meta["value"])
    return like(result, step.function(torch.clone, result.node)) if fresh and result.node is value.node else result


def _reshaped(step: Step, value: Value, before: tuple[int, ...], after: tuple[int, ...]) -> Value | Partial:
    if before == after:
        return value
    if len(before) == 4 and after == (before[0], before[1] * before[2] * before[3]) and value.is_map:
        return _flattened(step, value)
    if len(before) == 4 and after == (*before[:2], before[2] * before[3]) and value.is_map:
        return merged(value)
    if len(before) == 2 and after == (*before, 1, 1) and value.kind != PLAIN:
        vector = step.vector(value)
        return Value(step.function(torch.unflatten, vector.node, 1, (-1, 1, 1)), INVARIANTS, vector.pieces)
    if not value.is_map:
        return copied(step, value)
    return step.refuse(f"it makes {after[1:]} of maps {before[1:]}, which mixes channels and pixels")


def _flattened(step: Step, value: Value) -> Value:
    if value.plane == (1, 1) and value.kind != IMAGE:
        return step.vector(value)
    return Value(value.node, value.kind, value.pieces, value.plane, flat=True)


def expand(step: Step, value: Value) -> Any:
    """Convert what repeats maps of one pixel over the plane, for a product or a sum, which do that themselves."""
    before, after = source_shape(step), step.shape
    if value.is_map and before[:2] == after[:2] and value.plane == (1, 1):
        step.draft.repeated[step.node] = _target(step)
        return value
    return reshape(step, value)


def _target(step: Step) -> Any:
    """Return the size of the plane that a call repeats maps to."""
    if step.node.target == "expand_as":
        other = step.given(step.node.args[1])
        known = isinstance(other, Value) and other.is_map and other.plane == step.shape[2:]
        return plane_of(step.draft, other) if known else None
    sizes = step.node.args[1] if isinstance(step.node.args[1], list | tuple) else step.node.args[1:]
    return replayed(step.draft, tuple(sizes)[-2:])


def picked(step: Step, source: Any, index: Any) -> Any:
    """Convert indexing: of what a split returns, or with None and single pixels."""
    if not isinstance(source, Value):
        return source[index]
    parts = index if isinstance(index, tuple) else (index,)
    if source.is_map and (cut := _channels(parts)) is not None:
        return _sliced(step, source, cut)
    whole = all(part is None or part is Ellipsis or _is_all(part) for part in parts)
    if source.is_map and not (whole and source.plane == (1, 1) and parts[:1] == (slice(None),)):
        step.refuse(f"it takes a part of maps, {index}; pixels by steps are not the same when the image is turned")
    return reshape(step, source) if whole else copied(step, source)


def _channels(parts: tuple[Any, ...]) -> slice | None:
    """Return the run of channels that an index takes of maps, and nothing else."""
    run = parts[1] if len(parts) > 1 else None
    if not isinstance(run, slice) or run.step not in (None, 1) or run == slice(None):
        return None
    bounds = all(each is None or isinstance(each, int) for each in (run.start, run.stop))
    return run if bounds and all(part in (slice(None), Ellipsis) for part in (parts[0], *parts[2:])) else None


def _sliced(step: Step, value: Value, run: slice) -> Value:
    channels = size_of(value.pieces)
    start, stop, _ = run.indices(channels)
    sizes = [size for size in (start, stop - start, channels - stop) if size]
    if stop <= start or value.kind == IMAGE:
        step.refuse("it takes colors of the image, or no channels at all")
    return _runs(step, value, sizes)[1 if start else 0]


def _is_all(part: Any) -> bool:
    """Tell whether an index takes all of an axis, or the first."""
    return isinstance(part, slice | int) and part in (slice(None), 0)


def joined(step: Step, values: Sequence[Any], dim: int) -> Value:
    """Convert concatenation of channels."""
    if not all(isinstance(value, Value) for value in values):
        step.refuse("it joins maps with a tensor that does not come from the image")
    if any(not value.is_map for value in values):
        vectors = [step.vector(value) if value.flat else value for value in values]
        if all(value.kind == VECTOR for value in vectors) and dim in (1, -1):
            node = step.function(torch.cat, [value.node for value in vectors], 1)
            return Value(node, VECTOR, sum((value.pieces for value in vectors), ()))
        return copied(step, *vectors)
    kinds, planes = {value.kind for value in values}, {value.plane for value in values}
    if dim not in (1, -3) or len(planes) > 1:
        step.refuse("it joins maps along something else than the channels")
    if IMAGE in kinds or (len(kinds) > 1 and not step.draft.permutes):
        step.refuse("it joins maps of different kinds (the image, fields, invariants); convolve the image first")
    kind = FIELDS if FIELDS in kinds else INVARIANTS
    nodes = [_on_group(step, value) if value.kind != kind else value.node for value in values]
    node = step.function(torch.cat, nodes, 1)
    return Value(node, kind, sum((value.pieces for value in values), ()), planes.pop())


def _on_group(step: Step, value: Value) -> fx.Node:
    """Return invariants as fields, functions on the group that are the same everywhere."""
    wide = step.function(torch.unsqueeze, value.node, 2)
    return step.function(torch.repeat_interleave, wide, step.group.regular.dim, 2)  # (b, n, d, h, w)


def separated(step: Step, value: Value, dim: int) -> list[Value]:
    """Convert splitting of channels into the runs that the original makes."""
    channels = (1, -1) if value.kind == VECTOR else (1, -3)
    if value.kind in (IMAGE, PLAIN) or value.flat or dim not in channels:
        step.refuse("it splits something else than the channels of maps")
    return _runs(step, value, [part.shape[1] for part in step.node.meta["value"]])


def _runs(step: Step, value: Value, sizes: list[int]) -> list[Value]:
    runs = cut(value.pieces, sizes)
    node = step.function(torch.split, value.node, [0] * len(runs), 1)

    def set_sizes(widths: Any) -> None:
        node.args = (value.node, [widths(run) for run in runs], 1)

    step.draft.later.append(set_sizes)
    parts = [step.function(operator.getitem, node, place) for place in range(len(runs))]
    return [Value(part, value.kind, run, value.plane) for part, run in zip(parts, runs, strict=True)]


def over_channels(step: Step, value: Value, function: Any) -> Value:
    """Convert a mean or a maximum over all channels that keeps the axis: one field."""
    if value.kind not in (FIELDS, INVARIANTS) or not step.draft.permutes:
        step.refuse("it reduces the channels of something else than permuted fields")
    node = step.function(function, value.node, 1, keepdim=True)
    return like(Value(node, value.kind, (Piece(1),), value.plane), node)


def same_size(value: Value, other: Value) -> bool:
    """Tell whether two values have as many channels."""
    return size_of(value.pieces) == size_of(other.pieces)
