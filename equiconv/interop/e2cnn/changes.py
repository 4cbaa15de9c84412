"""Steps of a graph that change a tensor in place: what is read later of it is the result."""

import inspect
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from equiconv.interop.e2cnn.layout import as_fields
from equiconv.interop.e2cnn.names import e2cnn_name
from equiconv.interop.e2cnn.recording import UnfollowedError

OPERATORS = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and_", "or_", "xor")
OUT_OF_PLACE = {getattr(operator, f"i{name.strip('_')}"): getattr(operator, name) for name in OPERATORS}
CHANGING = {f"__{change.__name__}__" for change in OUT_OF_PLACE} | {"__setitem__"}
SIZES = {"shape", "ndim", "dtype", "device", "size", "dim", "numel", "ndimension", "is_cuda", "requires_grad"}
PASSED = {"type_as", "broadcast_tensors", "getitem"}  # beside those whose schema says so
PASSING = ("Identity", "Dropout", "Flatten", "Unflatten")  # modules that may return what they are given
MOVED = ("RestrictionModule", "DisentangleModule", "ReshuffleModule")


class FieldProxy(fx.Proxy):
    """Stand for a tensor; ``x += y`` is a step that changes it."""


def _recorder(change: Callable[[Any, Any], Any]) -> Callable[[FieldProxy, Any], fx.Proxy]:
    def record(self: FieldProxy, other: Any) -> fx.Proxy:
        return self.tracer.create_proxy("call_function", change, (self, other), {})

    return record


for _change in OUT_OF_PLACE:
    setattr(FieldProxy, f"__{_change.__name__}__", _recorder(_change))


class Changes:
    """Let the steps of a graph that follow a change in place read its result.

    Args:
        graph: the graph.
        module_of: returns the module of a name.
    """

    def __init__(self, graph: fx.Graph, module_of: Callable[[str], nn.Module]) -> None:
        self.graph, self.module_of = graph, module_of
        self.order = {node: place for place, node in enumerate(graph.nodes)}
        self.views: dict[fx.Node, set[fx.Node]] = {}  # what may look at the same numbers
        self.sizes: set[fx.Node] = set()

    def settle(self) -> None:
        """Go through the steps; raise UnfollowedError where a view of what is changed is read later."""
        for node in self.graph.nodes:
            inputs = [x for x in node.all_input_nodes if x not in self.sizes]
            if _asks_sizes(node) or (node.all_input_nodes and not inputs):
                self.sizes.add(node)
                continue
            changed = self._changed(node)
            if changed is not None:
                self._follow(node, _origin(changed))
            self._join(node, [changed] if changed is not None else inputs if self._passes(node) else [])
        for node in self.graph.nodes:
            node.target = OUT_OF_PLACE.get(node.target, node.target) if node.op == "call_function" else node.target

    def _join(self, node: fx.Node, sources: list[fx.Node]) -> None:
        views = {node}.union(*(self.views[x] for x in sources))
        self.views.update(dict.fromkeys(views, views))

    def _follow(self, node: fx.Node, changed: fx.Node) -> None:
        """Let later steps read the result in place of what is changed."""
        views = self.views[changed]
        if any(view.op == "get_attr" for view in views):
            raise UnfollowedError(
                f"{_name(node)} changes a parameter, buffer or constant tensor in place, and a graph has no such state"
            )
        for view in views:
            for user in [u for u in view.users if self.order[u] > self.order[node]]:
                if view is changed:
                    user.replace_input_with(view, node)
                elif not _asks_sizes(user):
                    raise UnfollowedError(
                        f"{_name(node)} changes a tensor in place of which another view is read later; make a new "
                        "tensor instead"
                    )

    def _changed(self, node: fx.Node) -> fx.Node | None:
        """Return the tensor that a step changes."""
        if node.op == "call_module":
            return node.all_input_nodes[0] if acts_in_place(self.module_of(str(node.target))) else None
        if node.op not in ("call_method", "call_function"):
            return None
        out, name = node.kwargs.get("out"), _name(node)
        if isinstance(out, fx.Node):
            return out
        method = name in CHANGING or (name.endswith("_") and not name.startswith("__") and name not in ("and_", "or_"))
        if method or node.target in OUT_OF_PLACE or _given_in_place(node):
            first = node.args[0] if node.args else node.kwargs.get("input")
            return first if isinstance(first, fx.Node) and first not in self.sizes else None
        return None

    def _passes(self, node: fx.Node) -> bool:
        """Tell whether what a step returns may be what it is given, or a view of it."""
        if node.op == "call_module":
            return passes(self.module_of(str(node.target)))
        if node.op not in ("call_method", "call_function"):
            return False
        name = _name(node)
        if node.target in (as_fields, getattr) or name in PASSED or "dropout" in name:
            return True
        schemas = torch._C._jit_get_schemas_for_operator(f"aten::{name}")
        if schemas:
            infos = [value.alias_info for schema in schemas for value in schema.returns]
            return any(info is not None and not info.is_write for info in infos)
        return getattr(node.target, "__module__", "") not in (operator.add.__module__, F.__name__)


def _name(node: fx.Node) -> str:
    """Return what a step does; of ``x.shape`` it is the attribute."""
    if node.target is getattr:
        return str(node.args[1])
    return getattr(node.target, "__name__", str(node.target))


def _asks_sizes(node: fx.Node) -> bool:
    """Tell whether a step returns no numbers of a tensor, but its size and the like."""
    return node.op in ("call_method", "call_function") and _name(node) in SIZES


def _origin(node: fx.Node) -> fx.Node:
    """Return the tensor that is marked as fields."""
    return _origin(node.all_input_nodes[0]) if node.target is as_fields else node


def _given_in_place(node: fx.Node) -> bool:
    """Tell whether a function is called with ``inplace=True``."""
    try:
        given = inspect.signature(node.target).bind(*node.args, **node.kwargs).arguments  # type: ignore[arg-type]
    except (TypeError, ValueError):  # functions of C have no signature
        given = node.kwargs
    return given.get("inplace") is True


def acts_in_place(module: nn.Module) -> bool:
    """Tell whether a module, which is one step, changes what it is given."""
    if isinstance(module, nn.Sequential) or e2cnn_name(module) == "SequentialModule":
        for part in module._modules.values():
            if part is not None and acts_in_place(part):
                return True
            if part is not None and not passes(part):
                return False
        return False
    return any(getattr(part, name, False) is True for part in module.modules() for name in ("inplace", "_inplace"))


def passes(module: nn.Module) -> bool:
    """Tell whether what a module returns may be what it is given, or a view of it."""
    name = e2cnn_name(module)
    if isinstance(module, nn.Sequential) or name == "SequentialModule":
        return all(passes(part) for part in module._modules.values() if part is not None)
    if name is None and not type(module).__module__.startswith("torch.nn"):
        return True
    name = name or type(module).__name__
    return name in MOVED or any(part in name for part in PASSING)
