"""Write calls of ATen operators as the functions and methods that they are in Python."""

import operator
from types import BuiltinFunctionType, MethodDescriptorType
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional as F

from equiconv.exporting.traced import Traced, arguments, operator_name

MADE = ("arange", "full", "linspace", "ones", "zeros", "rand", "randn", "scalar_tensor")
SAME_IN_PYTHON = {"einsum": torch.einsum, "pad": F.pad, "split": torch.split}
END = 2**63 - 1  # what ATen writes for the end of a slice


def write_calls(traced: Traced) -> fx.Graph:
    """Return a graph in which every call has its Python name, where it has one, and no node knows where it comes from.

    Tensors that the graph makes are made on the device of its first input.
    """
    inputs = [node for node in traced.graph.nodes if node.op == "placeholder"]
    for node in traced.graph.nodes:
        if node.op == "call_function":
            if operator_name(node) in MADE and "device" in node.kwargs:
                _follow_device(traced, node, inputs[0])
            _write(node)
    return _renamed(traced.graph)


def _renamed(graph: fx.Graph) -> fx.Graph:
    """Return a copy of a graph in which nodes are called after what they do."""
    new = fx.Graph()
    known: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        args, kwargs = (fx.map_arg(part, known.__getitem__) for part in (node.args, node.kwargs))
        name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", node.name)
        if node.op == "output":
            new.output(args[0])
        else:
            name = name.split(".")[0] if node.op == "call_function" else name.replace(".", "_")
            known[node] = new.create_node(node.op, node.target, args, kwargs, name)
    return new


def _follow_device(traced: Traced, node: fx.Node, given: fx.Node) -> None:
    with traced.graph.inserting_before(node):
        device = traced.graph.call_function(getattr, (given, "device"))
    options = {name: value for name, value in node.kwargs.items() if name not in ("pin_memory", "layout")}
    node.kwargs = {**options, "device": device}


def _write(node: fx.Node) -> None:
    name = operator_name(node)
    if name == "sym_size":
        node.op, node.target = "call_method", "size"
    elif name == "mT":
        node.target, node.args = getattr, (node.args[0], "mT")
    elif name == "slice":
        _write_slice(node)
    elif name and not name.startswith("_"):
        function: Any = _function(name)
        if function is not None:
            node.target = function
        elif isinstance(getattr(Tensor, name, None), MethodDescriptorType):
            node.op, node.target = "call_method", name


def _function(name: str) -> Any:
    """Return the function of this name that takes the arguments of the operator: those that PyTorch generates."""
    if name in SAME_IN_PYTHON:
        return SAME_IN_PYTHON[name]
    for place in (torch, F):
        function = getattr(place, name, None)
        if isinstance(function, BuiltinFunctionType):
            return function
    return None


def _write_slice(node: fx.Node) -> None:
    given = arguments(node)
    axis, start, end, step = (given[name] for name in ("dim", "start", "end", "step"))
    if not isinstance(axis, int) or axis < 0:
        return
    part = slice(start or None, None if isinstance(end, int) and end == END else end, None if step == 1 else step)
    node.target, node.args, node.kwargs = operator.getitem, (given["self"], (*[slice(None)] * axis, part)), {}
