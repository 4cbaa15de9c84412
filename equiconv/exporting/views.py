"""Let fields be flat for as long as they can: views that follow each other become one or none."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from equiconv.exporting.traced import PATH, VALUE, Traced, all_alike, example_shape, operator_name, replace, shape

VIEWS = ("view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze")
aten = torch.ops.aten

View = tuple[str, int, Any]  # ("unflatten", axis, sizes) or ("flatten", first axis, last axis)


def simplify_views(traced: Traced) -> None:
    """Write views as ``flatten`` and ``unflatten``; do pointwise operations before views, and cancel pairs of views."""
    for node in list(traced.graph.nodes):
        if is_view(node):
            _simplify(traced, node)
        elif node.op == "call_function":
            _do_before_views(traced, node)
    traced.sweep()


def is_view(node: object) -> bool:
    """Tell whether a node gives its input another shape."""
    if not isinstance(node, fx.Node) or operator_name(node) not in VIEWS or not node.args:
        return False
    return isinstance(node.args[0], fx.Node) and shape(node) is not None and shape(node.args[0]) is not None


def between(before: Sequence[Any], after: Sequence[Any]) -> View | None:
    """Return the view that splits one axis, or joins some, to get from one shape to another."""
    count = len(after) - len(before)
    if count > 0 and (found := _split(before, after)):
        axis, sizes = found
        return "unflatten", axis, list(sizes)
    if count < 0 and (found := _split(after, before)):
        axis, sizes = found
        return "flatten", axis, axis + len(sizes) - 1
    return None


def _split(short: Sequence[Any], long: Sequence[Any]) -> tuple[int, Sequence[int]] | None:
    """Return the axis of ``short`` that ``long`` has split, and into which sizes."""
    parts = len(long) - len(short) + 1
    for axis, size in enumerate(short):
        sizes = long[axis : axis + parts]
        if not all(isinstance(part, int) for part in (size, *sizes)) or math.prod(sizes) != size:
            continue
        if all_alike(short[:axis], long[:axis]) and all_alike(short[axis + 1 :], long[axis + parts :]):
            return axis, sizes
    return None


def _simplify(traced: Traced, node: fx.Node) -> None:
    source: Any = node.args[0]
    start = source.args[0] if is_view(source) else source
    before, after = shape(start) or (), shape(node) or ()
    if all_alike(before, after):
        replace(node, start)
        return
    view = between(before, after)
    if view is None:
        if operator_name(node) in ("view", "_unsafe_view"):
            node.target = aten.reshape.default
        return
    with traced.graph.inserting_before(node):
        replace(node, add_view(traced, view, start, node))


def add_view(traced: Traced, view: View, source: fx.Node, like: fx.Node) -> fx.Node:
    """Return a new node that views ``source`` as ``like`` has it."""
    kind, *rest = view
    target = aten.unflatten.int if kind == "unflatten" else aten.flatten.using_ints
    new = traced.graph.call_function(target, (source, *rest))
    new.meta = dict(like.meta)
    return new


def _do_before_views(traced: Traced, node: fx.Node) -> None:
    """Compute what acts entry by entry on the tensors before an ``unflatten``, and view its result."""
    target, sources = node.target, node.all_input_nodes
    if not isinstance(target, torch._ops.OpOverload) or torch.Tag.pointwise not in target.tags or not sources:
        return
    if not all(is_view(source) and operator_name(source) == "unflatten" for source in sources):
        return
    starts: list[Any] = [source.args[0] for source in sources]
    shapes = {example_shape(start) for start in starts}
    results = {example_shape(source) for source in (*sources, node)}
    if len(shapes) > 1 or len(results) > 1:  # sizes that are added are equal for every input if they are for one
        return
    _swap(traced, node, dict(zip(sources, starts, strict=True)), sources[0])


def _swap(traced: Traced, node: fx.Node, starts: dict[fx.Node, fx.Node], view: fx.Node) -> None:
    with traced.graph.inserting_before(node):
        args, kwargs = (fx.map_arg(part, starts.__getitem__) for part in (node.args, node.kwargs))
        early = traced.graph.call_function(node.target, args, kwargs)  # type: ignore[arg-type]
        value = node.meta[VALUE]
        early.meta = {PATH: node.meta[PATH], VALUE: value.new_empty(shape(starts[view]) or ())}
        late = traced.graph.call_function(view.target, (early, *view.args[1:]))  # type: ignore[arg-type]
        late.meta = dict(node.meta)
    replace(node, late)


def channels_are_split(node: fx.Node) -> bool:
    """Tell whether a node splits the channels, and only these, into fields and their entries."""
    if not is_view(node) or operator_name(node) != "unflatten":
        return False
    before, after = shape(node.args[0]) or (), shape(node) or ()  # type: ignore[arg-type]
    view = between(before, after)
    return view is not None and view[1] == 1 and len(after) == len(before) + 1
