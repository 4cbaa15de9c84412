"""What stays as it is: modules and functions of invariants, with the channels of the original."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn

from equiconv.converting.draft import IMAGE, INVARIANTS, PLAIN, VECTOR, Value
from equiconv.converting.step import Step
from equiconv.converting.widths import Piece, Widths, fix


def clone(step: Step) -> Callable[[Widths], nn.Module]:
    """Return what makes a copy of the module of the original."""
    module = step.draft.original.get_submodule(str(step.node.target))
    return lambda widths: copy.deepcopy(module)


def copied(step: Step, *values: Value) -> Value:
    """Call the same on invariants: vectors or plain tensors."""
    nodes = {value.node: _plain(step, value) for value in values}

    def moved(argument: fx.Node) -> Any:
        if argument.op == "get_attr":
            return step.attribute(argument)
        known = step.draft.values[argument]
        if not isinstance(known, Value):
            step.refuse("it takes a size or a tensor that does not come from the image")
        return nodes[known.node]

    args = fx.node.map_arg(step.node.args, moved)
    kwargs = fx.node.map_arg(step.node.kwargs, moved)
    if step.node.op == "call_module":
        name = str(step.node.target)
        first = next(iter(nodes.values()))
        step.constant_cost(name)
        node = step.module(name, clone(step), first, status="kept", was=_name(step), why="of invariants", source=name)
        node.args, node.kwargs = args, kwargs
    else:
        node = step.draft.graph.create_node(step.node.op, step.node.target, args, kwargs)
    return _result(step, node)


def left(step: Step, value: Value) -> Value:
    """Leave a module that the caller names as it is, behind pooling to invariants."""
    if value.is_map and (value.kind == IMAGE or (step.group.moves_plane and value.plane != (1, 1))):
        step.refuse(
            "it shall be left as it is, on maps that turn with the image, of which it is not known what it does; what "
            "comes behind the mean over the plane can be left"
        )
    if value.is_map:
        value = step.pooled(value)
        fix(value.pieces)
    elif value.flat and not step.group.moves_plane:
        pooled = step.pooled(value)
        fix(value.pieces)
        value = Value(step.function(torch.flatten, pooled.node, 1), PLAIN)
    else:
        value = Value(_plain(step, value), PLAIN)
    name = str(step.node.target)
    step.constant_cost(name)
    node = step.module(name, clone(step), value.node, status="left", was=_name(step), why="as asked", source=name)
    return _result(step, node)


def _plain(step: Step, value: Value) -> fx.Node:
    if value.is_map:
        step.refuse("it is not known to keep fields; " + HELP)
    value = step.vector(value)
    fix(value.pieces)
    return value.node


HELP = (
    "convert knows convolutions, batch, group and instance norm, pointwise activations, dropout, pooling, sums, "
    "products and concatenation of maps, flattening, and linear layers"
)


def _result(step: Step, node: fx.Node) -> Value:
    if not isinstance(step.node.meta["value"], torch.Tensor):
        step.refuse("it returns something else than a tensor")
    still = step.group.moves_plane and step.shape[2:] != (1, 1)  # maps made of a vector do not turn with the image
    if len(step.shape) not in (2, 4) or (len(step.shape) == 4 and still):
        return Value(node, PLAIN)
    piece = Piece(step.shape[1], scaled=False)
    piece.fixed = True
    if len(step.shape) == 2:
        return Value(node, VECTOR, (piece,))
    return Value(node, INVARIANTS, (piece,), (step.shape[2], step.shape[3]))


def _name(step: Step) -> str:
    return type(step.draft.twin.get_submodule(str(step.node.target))).__name__
