"""Trace a module to a graph of PyTorch's operators."""

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from equiconv.errors import ExportError
from equiconv.execution import Plan
from equiconv.exporting.inlining import Inliner
from equiconv.exporting.traced import PATH, VALUE, Traced, alike

IMAGE = 4  # the dimensions that a tensor has at least, if the last two are rows and columns


def trace(module: nn.Module, args: tuple[Tensor, ...]) -> Traced:
    """Return the graph of a module in evaluation: the batch stays open, and the sizes of images where that goes.

    Raises:
        ExportError: if the module cannot be traced.
    """
    bound = inspect.signature(module.forward).bind(*args).arguments
    try:
        return _traced(module, args, bound, free=True)
    except Exception:  # what PyTorch raises where sizes do not stay open has no class in common
        return _traced(module, args, bound, free=False)


def _traced(module: nn.Module, args: tuple[Tensor, ...], bound: Mapping[str, Any], *, free: bool) -> Traced:
    program = _program(module, args, pytree.tree_map(lambda x: _open_sizes(x, free), dict(bound)))
    traced = Traced(module, fx.Graph())
    inputs = _inputs(traced, program)
    if any(alike(node.meta[VALUE].shape[0], len(x)) for node, x in zip(inputs, args, strict=True)):
        raise ExportError(
            "the number of images in a batch is built into the module, or its inputs are not batches of the same size; "
            "write forward so that it takes any number of images"
        )
    traced.inputs = pytree.tree_unflatten(inputs, pytree.tree_structure(dict(bound)))
    traced.guards = [guard for guard in program._guards_code if not guard.endswith("!= 1")]
    _check_guards(traced)
    return traced


def _open_sizes(x: Tensor, free: bool) -> dict[int, Any]:
    """Return which sizes of an input are left open: the batch, and rows and columns."""
    from torch.export import Dim

    image = range(x.dim() - 2, x.dim()) if free and x.dim() >= IMAGE else ()
    return {0: Dim.AUTO} | {axis: Dim.AUTO for axis in image if x.shape[axis] > 1}


def _program(module: nn.Module, args: tuple[Tensor, ...], sizes: dict[str, Any]) -> Any:
    from torch.export import export

    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # about what torch itself deprecates
            return export(module, args, dynamic_shapes=sizes, strict=False)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ExportError(
            f"{type(module).__name__} cannot be traced: {reason}; forward may not depend on the numbers in its input, "
            "nor call what PyTorch does not trace"
        ) from error


def _inputs(traced: Traced, program: Any) -> list[fx.Node]:
    """Copy the nodes of a program; return those of its inputs."""
    specs = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
    inliner, inputs = Inliner(traced.graph, _layer_of(traced.module)), []
    tensors = dict(program.state_dict) | dict(program.constants)
    names: dict[int, str] = {}
    for node in program.graph.nodes:
        if node.op != "placeholder":
            continue
        spec = specs[node.name]
        if spec.target is None:
            new = traced.graph.placeholder(node.target)
            inputs.append(new)
        else:
            tensor = tensors[spec.target]
            if not isinstance(tensor, Tensor):
                raise ExportError(f"{spec.target} is no tensor: {type(tensor).__name__} cannot be exported")
            name = names.setdefault(id(tensor), spec.target)
            traced.constants[name] = tensor.detach()
            traced.own.add(name)
            if isinstance(tensor, nn.Parameter):
                traced.learned.add(name)
            new = traced.graph.get_attr(name)
        new.meta = {VALUE: node.meta[VALUE], PATH: str(spec.target or "").rpartition(".")[0]}
        inliner.known[node] = new
    results = inliner.copy(program.graph_module)
    traced.graph.output(_plain(pytree.tree_unflatten(list(results), program.call_spec.out_spec)))
    return inputs


def _plain(value: Any) -> Any:
    """Return an output made of tuples, lists and dicts of tensors and numbers; refuse others."""
    if type(value) in (tuple, list):
        return type(value)(_plain(part) for part in value)
    if type(value) is dict:
        return {key: _plain(part) for key, part in value.items()}
    if value is None or isinstance(value, fx.Node | bool | int | float | str):
        return value
    raise ExportError(
        f"the module returns {type(value).__name__}; it has to return tensors, or tuples, lists and dicts of them"
    )


def _layer_of(module: nn.Module) -> Callable[[fx.Node], str]:
    """Return what finds the path of the layer that a node belongs to; plans are no layers."""
    modules = dict(module.named_modules(remove_duplicate=False))

    def path(node: fx.Node) -> str:
        paths = [path for path, _ in node.meta.get("nn_module_stack", {}).values() if path in modules]
        found = paths[-1] if paths else ""
        while any(isinstance(modules[part], Plan) for part in _ancestors(found)):
            found = found.rpartition(".")[0]
        return found

    return path


def _ancestors(path: str) -> list[str]:
    """Return a path and those of all modules around it, but for the outermost."""
    names = path.split(".") if path else []
    return [".".join(names[: count + 1]) for count in range(len(names))]


def guard_values(traced: Traced, inputs: Mapping[str, Any]) -> list[Any]:
    """Return the value of every guard, for inputs in the structure of the arguments."""
    names = {"L": inputs, "max": torch.sym_max, "min": torch.sym_min, "__builtins__": {}}
    return [eval(guard, dict(names)) for guard in traced.guards]


def _check_guards(traced: Traced) -> None:
    """Raise an exception unless all guards can be written into a graph."""
    tracer = fx.proxy.GraphAppendingTracer(fx.Graph())
    guard_values(traced, pytree.tree_map(lambda node: fx.Proxy(tracer.graph.placeholder("x"), tracer), traced.inputs))
