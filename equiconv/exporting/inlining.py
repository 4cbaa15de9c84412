"""Copy a program into one graph: regions are opened up, and changes in place are written out of place."""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn

from equiconv.errors import ExportError
from equiconv.exporting.traced import PATH, VALUE

ASSERTIONS = ("_assert_tensor_metadata", "sym_constrain_range", "sym_constrain_range_for_size")
REGIONS = {"wrap_with_set_grad_enabled": 1, "wrap_with_autocast": 4}  # place of the graph among the arguments
AUTOCAST_IS_ENABLED = 2  # place among the arguments


class Inliner:
    """Copy the nodes of a program one by one.

    Args:
        graph: where they go.
        layer_of: returns the path of the layer that a node belongs to.
    """

    def __init__(self, graph: fx.Graph, layer_of: Callable[[fx.Node], str]) -> None:
        self.graph, self.layer_of = graph, layer_of
        self.known: dict[fx.Node, Any] = {}  # what each node has become
        self.same: dict[fx.Node, fx.Node] = {}  # the result of a change in place is what was changed
        self.base: dict[fx.Node, fx.Node] = {}  # a view looks at the numbers of another tensor

    def copy(self, owner: nn.Module) -> tuple[Any, ...]:
        """Copy the graph of a module whose placeholders are known; return what it returns."""
        nodes = list(owner.graph.nodes)  # type: ignore[union-attr,arg-type]
        for place, node in enumerate(nodes):
            if node.op == "get_attr":
                self.known[node] = getattr(owner, node.target)  # a region
            elif node.op == "call_function":
                self.known[node] = self._call(node, set(nodes[place + 1 :]))
            elif node.op == "output":
                return self._now(node.args[0])
        raise ExportError("the traced graph returns nothing")

    def _now(self, value: Any) -> Any:
        """Return arguments of the program as arguments of the new graph."""
        return fx.map_arg(value, lambda node: self.known[self.same.get(node, node)])

    def _call(self, node: fx.Node, later: set[fx.Node]) -> Any:
        target: Any = node.target
        name = getattr(target, "__name__", "")
        if isinstance(target, torch._ops.HigherOrderOperator):
            return self._region(node, name)
        if name.split(".")[0] in ASSERTIONS:
            return None
        if target is operator.getitem and not isinstance(self._now(node.args[0]), fx.Node):
            return self._now(node.args[0])[node.args[1]]
        if isinstance(target, torch._ops.OpOverload):
            if target._schema.is_mutable:
                return self._out_of_place(node, target, later)
            self._note_view(node, target)
        elif target is operator.getitem:
            self._note(node, node.args[0])
        return self._new(node, target)

    def _new(self, node: fx.Node, target: Any) -> fx.Node:
        new = self.graph.call_function(target, self._now(node.args), self._now(node.kwargs))
        new.meta = {VALUE: node.meta.get(VALUE), PATH: self.layer_of(node)}
        return new

    def _region(self, node: fx.Node, name: str) -> tuple[Any, ...]:
        """Copy what is computed without gradients, or without autocast."""
        if name not in REGIONS or (name == "wrap_with_autocast" and node.args[AUTOCAST_IS_ENABLED]):
            raise ExportError(
                f"forward holds a region of its own ({name}), which cannot be exported; put torch.autocast around the "
                "call of the module, and write control flow that does not depend on tensors"
            )
        place = REGIONS[name]
        region, args = self.known[node.args[place]], self._now(node.args[place + 1 :])  # type: ignore[index]
        inner = Inliner(self.graph, self.layer_of)
        outside = [part for part in region.graph.nodes if part.op == "placeholder"]
        inner.known.update(zip(outside, args, strict=True))
        if any(_changes(part) for part in region.graph.nodes):
            raise ExportError("forward changes tensors in place where gradients or autocast are off; make new tensors")
        results = inner.copy(region)
        without_gradients = name == "wrap_with_set_grad_enabled" and not node.args[0]
        return tuple(map(self._detached, results)) if without_gradients else results

    def _detached(self, result: Any) -> Any:
        if not isinstance(result, fx.Node) or not isinstance(result.meta[VALUE], torch.Tensor):
            return result
        new = self.graph.call_function(torch.ops.aten.detach.default, (result,))
        new.meta = dict(result.meta)
        return new

    def _note(self, node: fx.Node, source: Any) -> None:
        if isinstance(source, fx.Node):
            self.base[node] = self.base.get(source, source)

    def _note_view(self, node: fx.Node, target: torch._ops.OpOverload) -> None:
        if any(value.alias_info is not None for value in target._schema.returns) and node.args:
            source = node.args[0]
            self._note(node, self.same.get(source, source) if isinstance(source, fx.Node) else None)

    def _out_of_place(self, node: fx.Node, target: torch._ops.OpOverload, later: set[fx.Node]) -> fx.Node:
        """Return the node of the same operator that makes a new tensor; who reads the changed one reads that."""
        packet = target._schema.name.removeprefix("aten::")
        functional = getattr(torch.ops.aten, packet.removesuffix("_"), None)
        changed: Any = node.args[0]
        changed = self.same.get(changed, changed)
        if self._is_state(changed):
            raise ExportError(
                f"forward changes a parameter or buffer in evaluation ({packet}); a plain module has no such state"
            )
        if functional is None or not packet.endswith("_") or self._is_seen_elsewhere(changed, later):
            raise ExportError(
                f"forward changes a tensor in place ({packet}) of which another view is in use; make a new tensor"
            )
        new = self._new(node, getattr(functional, target._overloadname))
        self.known[changed], self.same[node] = new, changed
        return new

    def _is_state(self, changed: fx.Node) -> bool:
        """Tell whether a tensor is a parameter or buffer, or a view of one."""
        base = self.known[self.base.get(changed, changed)]
        return isinstance(base, fx.Node) and base.op == "get_attr"

    def _is_seen_elsewhere(self, changed: fx.Node, later: set[fx.Node]) -> bool:
        """Tell whether another view of the same numbers is read later."""
        base = self.base.get(changed, changed)
        views = {base, *(view for view, of in self.base.items() if of is base)} - {changed}
        return any(user in later and self.same.get(view, view) is not changed for view in views for user in view.users)


def _changes(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable
