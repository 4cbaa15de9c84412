"""Make a plain module of a traced one, and compare it with what it came from."""

import inspect
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from equiconv.errors import ExportError
from equiconv.exporting.affine import flatten_norms, fold_affine
from equiconv.exporting.calls import write_calls
from equiconv.exporting.constants import drop_idle, fold_constants
from equiconv.exporting.modules import build
from equiconv.exporting.traced import Traced
from equiconv.exporting.tracing import guard_values, trace
from equiconv.exporting.views import simplify_views

CHECK = "check_sizes"
Example = Tensor | tuple[Tensor, ...]


def write(module: nn.Module, args: tuple[Tensor, ...], *, trainable: bool) -> fx.GraphModule:
    """Return a plain module that computes what a module in evaluation computes.

    Args:
        module: a copy of the caller's, which may be changed.
        args: its arguments.
        trainable: batch norms and dropouts stay as they are.
    """
    traced = trace(module, args)
    checks = _checks(traced, args)
    drop_idle(traced, dropouts=not trainable)
    fold_constants(traced)
    simplify_views(traced)
    if not trainable:
        fold_affine(traced)
        simplify_views(traced)
        while flatten_norms(traced):
            simplify_views(traced)
    root = build(traced)
    graph = write_calls(traced)
    if checks is not None:
        _call_checks(root, graph, checks)
    return fx.GraphModule(root, graph, class_name=type(module).__name__).eval()


def arguments_of(module: nn.Module, example: Example) -> tuple[Tensor, ...]:
    """Return the arguments of an example, with two images at least: a single one would not stay open.

    Raises:
        ExportError: if they are no batches, or the module does not take them.
    """
    args = example if isinstance(example, tuple) else (example,)
    if not args or not all(isinstance(x, Tensor) and x.dim() and len(x) for x in args):
        raise ExportError(
            f"the example is a batch of images, or the tuple of all arguments of forward, each a batch; got "
            f"{[tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__ for x in args]}"
        )
    if not isinstance(module, nn.Module):
        raise ExportError(f"what is exported is a torch.nn.Module; got {type(module).__name__}")
    try:
        inspect.signature(module.forward).bind(*args)
    except TypeError as error:
        raise ExportError(f"the example does not fit the arguments of forward: {error}") from error
    args = tuple(x.detach().contiguous() for x in args)  # what is in channels_last would always be brought there
    return tuple(torch.cat([x, x]) for x in args) if any(len(x) == 1 for x in args) else args


def _checks(traced: Traced, args: tuple[Tensor, ...]) -> nn.Module | None:
    """Return a module that refuses inputs of sizes for which the graph does not hold."""
    graph = fx.Graph()
    tracer = fx.proxy.GraphAppendingTracer(graph)
    nodes = [node for node in traced.graph.nodes if node.op == "placeholder"]
    proxies = {node: fx.Proxy(graph.placeholder(str(node.target)), tracer) for node in nodes}
    for node in nodes:
        for axis, size in enumerate(node.meta["val"].shape):
            if isinstance(size, int):
                _demand(proxies[node].size(axis) == size, f"{node.target}.size({axis}) == {size}")
    inputs = pytree.tree_map(proxies.__getitem__, traced.inputs)
    for guard, value in zip(traced.guards, guard_values(traced, inputs), strict=True):
        _demand(value, guard.replace("L['", "").replace("']", "").replace(".size()", ".shape"))
    graph.output(None)
    return fx.GraphModule(nn.Module(), graph, class_name="CheckSizes") if len(graph.nodes) > len(nodes) + 1 else None


def _demand(condition: Any, text: str) -> None:
    if isinstance(condition, fx.Proxy):
        torch._assert(condition, f"this network was exported for inputs with {text}")


def _call_checks(root: nn.Module, graph: fx.Graph, checks: nn.Module) -> None:
    name = CHECK
    while hasattr(root, name):
        name += "_"
    root.add_module(name, checks)
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    with graph.inserting_after(inputs[-1]):
        graph.call_module(name, tuple(inputs))


def compare(expected: Any, got: Any, name: str, reason: str = "please report this") -> None:
    """Raise ExportError, with a reason, unless two outputs agree within what rounding explains."""
    for first, second in zip(pytree.tree_leaves(expected), pytree.tree_leaves(got), strict=True):
        if not (_agree(first, second) if isinstance(first, Tensor) else first == second):
            raise ExportError(f"{name}: what was written computes something else than the module; {reason}")


def _agree(first: Tensor, second: Tensor) -> bool:
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    if not first.is_floating_point() or not first.numel():
        return torch.equal(first, second)
    eps = torch.finfo(first.dtype).eps
    both = ~(first.isnan() & second.isnan())
    error, size = ((x[both].double().square().mean().sqrt()) for x in (first - second, first))
    return bool(error <= eps**0.5 * size + eps)
