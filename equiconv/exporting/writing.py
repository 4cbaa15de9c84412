"""Make a plain module of a traced one, and compare it with what it came from."""

import inspect
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from equiconv.errors import ExportError
from equiconv.exporting.affine import flatten_norms, fold_affine
from equiconv.exporting.calls import write_calls
from equiconv.exporting.constants import drop_idle, fold_constants
from equiconv.exporting.guards import Shapes, checks, hold, needed
from equiconv.exporting.modules import build
from equiconv.exporting.traced import Traced
from equiconv.exporting.tracing import resized, traces
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
    shapes = tuple(tuple(x.shape) for x in args)
    for traced in traces(module, args, gradients=trainable):
        _simplify(traced, trainable=trainable)
        root = build(traced)
        plain = fx.GraphModule(root, write_calls(traced), class_name=type(module).__name__).eval()
        guards = needed(traced, shapes, _agreement(module, plain, args))
        if hold(traced, guards, shapes):
            break
    _add_checks(plain, checks(traced, guards))
    return plain


def _simplify(traced: Traced, *, trainable: bool) -> None:
    drop_idle(traced, trainable=trainable)
    fold_constants(traced, trainable=trainable)
    simplify_views(traced)
    if not trainable:
        fold_affine(traced)
        simplify_views(traced)
        while flatten_norms(traced):
            simplify_views(traced)


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


def _agreement(module: nn.Module, plain: nn.Module, args: tuple[Tensor, ...]) -> Callable[[Shapes], bool]:
    """Return what tells whether two modules do the same, or both refuse, for arguments of some shapes."""

    @cache
    def agree(shapes: Shapes) -> bool:
        other = tuple(resized(x, sizes) for x, sizes in zip(args, shapes, strict=True))
        expected, got = _outcome(module, other), _outcome(plain, other)
        return same(expected, got) if expected and got else expected == got

    return agree


def _outcome(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Any, ...]:
    """Return a tuple of what a module returns; an empty one if it refuses."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return (outputs(module, args),)
    except Exception:  # whatever the module raises at a size that it does not take
        return ()


def _add_checks(plain: fx.GraphModule, checks: nn.Module | None) -> None:
    if checks is None:
        return
    name = CHECK
    while hasattr(plain, name):
        name += "_"
    plain.add_module(name, checks)
    inputs = [node for node in plain.graph.nodes if node.op == "placeholder"]
    with plain.graph.inserting_after(inputs[-1]):
        plain.graph.call_module(name, tuple(inputs))
    plain.recompile()


def outputs(module: nn.Module, args: tuple[Tensor, ...]) -> Any:
    """Return what a module returns; what it draws is the same for every module."""
    devices = [args[0].device] if args[0].device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(0)
        return module(*(x.clone() for x in args))  # which it may change


def first_outputs(module: nn.Module, args: tuple[Tensor, ...]) -> Any:
    """Return what a module returns for the example.

    Raises:
        ExportError: if the example is in another precision, or on another device, than the module takes.
    """
    try:
        return outputs(module, args)
    except (RuntimeError, TypeError) as error:
        own = {(p.dtype, p.device) for p in module.parameters() if p.is_floating_point()}
        given = {(x.dtype, x.device) for x in args if x.is_floating_point()}
        if not own or given <= own:
            raise
        raise ExportError(
            f"the example is in {_words(given)} and the parameters in {_words(own)}; give images as the module takes "
            f"them: {error}"
        ) from error


def _words(kinds: set[tuple[torch.dtype, torch.device]]) -> str:
    return ", ".join(sorted(f"{dtype} on {device}" for dtype, device in kinds))


def compare(expected: Any, got: Any, name: str, reason: str = "please report this") -> None:
    """Raise ExportError, with a reason, unless two outputs agree within what rounding explains."""
    if not same(expected, got):
        raise ExportError(f"{name}: what was written computes something else than the module; {reason}")


def same(expected: Any, got: Any, tolerance: float | None = None) -> bool:
    """Tell whether two outputs agree: within a part of their size, or within what rounding explains."""
    first, second = pytree.tree_leaves(expected), pytree.tree_leaves(got)
    return len(first) == len(second) and all(_agree(a, b, tolerance) for a, b in zip(first, second, strict=True))


def _agree(first: Any, second: Any, tolerance: float | None) -> bool:
    if not isinstance(first, Tensor) or not isinstance(second, Tensor):
        return bool(first == second)
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    if first.is_complex():
        first, second = torch.view_as_real(first), torch.view_as_real(second)
    if not first.is_floating_point() or not first.numel():
        return torch.equal(first, second)
    eps = torch.finfo(first.dtype).eps
    finite = first.isfinite() & second.isfinite()
    if not ((first == second) | (first.isnan() & second.isnan()))[~finite].all():
        return False
    if not finite.any():
        return True
    error, size = (x[finite].double().square().mean().sqrt() for x in (first - second, first))
    return bool(error <= (tolerance or eps**0.5) * size + eps)
