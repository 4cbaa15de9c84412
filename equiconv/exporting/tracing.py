"""Trace a module to a graph of PyTorch's operators."""

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from equiconv.errors import ExportError
from equiconv.execution import Plan
from equiconv.exporting.guards import check_guards
from equiconv.exporting.inlining import Inliner
from equiconv.exporting.traced import PATH, VALUE, Traced, alike

IMAGE = 4  # the dimensions that a tensor has at least, if the last two are rows and columns
MORE = 32  # rows and columns that are added: halved five times, sizes stay as even or odd as they were


def traces(module: nn.Module, args: tuple[Tensor, ...], *, gradients: bool) -> Iterator[Traced]:
    """Yield graphs of a module in evaluation, the most general first.

    The batch is open in all of them, and the sizes of images where that goes. The first is traced for images that are
    larger than those of the example, where a map of one pixel would be taken as one of a size that is built in; it may
    not hold for the example, if the module goes another way there.

    Args:
        module: what is traced.
        args: its arguments.
        gradients: note where gradients are stopped.

    Raises:
        ExportError: if the module cannot be traced.
    """
    bound = inspect.signature(module.forward).bind(*args).arguments
    larger = tuple(_larger(x) for x in args)
    for given in (larger, args):
        try:
            traced = _traced(module, given, bound, free=True, gradients=gradients)
        except Exception:  # what PyTorch raises where sizes do not stay open has no class in common
            continue
        yield traced
    yield _traced(module, args, bound, free=False, gradients=gradients)


def _larger(x: Tensor) -> Tensor:
    """Return images that are repeated to have more rows and columns."""
    if x.dim() < IMAGE:
        return x
    h, w = (size + MORE * (size > 1) for size in x.shape[-2:])
    return resized(x, (*x.shape[:-2], h, w))


def resized(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return a tensor of these sizes that repeats the entries of another."""
    for axis, size in enumerate(sizes):
        if size != x.shape[axis]:
            x = x.index_select(axis, torch.arange(size, device=x.device) % x.shape[axis])
    return x


def _traced(
    module: nn.Module, args: tuple[Tensor, ...], bound: Mapping[str, Any], *, free: bool, gradients: bool
) -> Traced:
    flat, structure = pytree.tree_flatten(dict(bound))
    sizes = pytree.tree_unflatten([_open_sizes(x, free) for x in flat], structure)
    program = _program(module, args, sizes, gradients)
    traced = Traced(module, fx.Graph())
    inputs = _inputs(traced, program)
    if any(alike(node.meta[VALUE].shape[0], len(x)) for node, x in zip(inputs, args, strict=True)):
        raise ExportError(
            "the number of images in a batch is built into the module, or its inputs are not batches of the same size; "
            "write forward so that it takes any number of images"
        )
    traced.inputs = pytree.tree_unflatten(inputs, structure)
    traced.guards = list(dict.fromkeys(program._guards_code))
    check_guards(traced)
    return traced


def _open_sizes(x: Tensor, free: bool) -> dict[int, Any]:
    """Return which sizes of an input are left open: the batch, and rows and columns."""
    from torch.export import Dim

    image = range(x.dim() - 2, x.dim()) if free and x.dim() >= IMAGE else ()
    return {0: Dim.AUTO} | {axis: Dim.AUTO for axis in image if x.shape[axis] > 1}


def _program(module: nn.Module, args: tuple[Tensor, ...], sizes: dict[str, Any], gradients: bool) -> Any:
    from torch.export import export

    try:
        with warnings.catch_warnings(), torch.set_grad_enabled(gradients):
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
                traced.learned[name] = tensor.requires_grad
            new = traced.graph.get_attr(name)
        new.meta = {VALUE: node.meta[VALUE], PATH: str(spec.target or "").rpartition(".")[0]}
        inliner.known[node] = new
    results = inliner.copy(program.graph_module)
    traced.graph.output(_plain(pytree.tree_unflatten(list(results), program.call_spec.out_spec)))
    return inputs


def _plain(value: Any) -> Any:
    """Return an output as plain tuples, lists and dicts of tensors and numbers; refuse what holds others."""
    if isinstance(value, tuple | list):  # a named one becomes a plain one
        return (tuple if isinstance(value, tuple) else list)(_plain(part) for part in value)
    if isinstance(value, dict):
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
