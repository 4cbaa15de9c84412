"""Compute once what depends on parameters only, and drop what does nothing."""

import operator
from typing import Any

import torch
from torch import Tensor, fx

from equiconv.exporting.traced import PATH, VALUE, Traced, all_alike, arguments, call, operator_name, replace, shape

RETURN_THEIR_INPUT = ("alias", "detach", "clone", "contiguous", "to", "lift_fresh_copy", "expand", "slice")
DROPOUTS = ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")


def fold_constants(traced: Traced) -> None:
    """Replace all that depends on parameters and buffers only by constants; what is computed twice becomes one."""
    _Folding(traced).run()
    traced.sweep()


class _Folding:
    """Go through the nodes once; know the value of each that is constant."""

    def __init__(self, traced: Traced) -> None:
        self.traced = traced
        self.values: dict[fx.Node, Any] = {}
        self.learned: set[fx.Node] = set()
        self.kept: dict[tuple[object, ...], Any] = {}  # by what was called

    def run(self) -> None:
        for node in list(self.traced.graph.nodes):
            if node.op == "get_attr":
                self.values[node] = self.traced.constants[node.target]
                if node.target in self.traced.learned:
                    self.learned.add(node)
            elif self._is_constant(node):
                self.values[node] = self._value(node)
                if self.learned.intersection(node.all_input_nodes):
                    self.learned.add(node)
        self._replace_all()

    def _is_constant(self, node: fx.Node) -> bool:
        target = node.target
        if isinstance(target, torch._ops.OpOverload):
            if torch.Tag.nondeterministic_seeded in target.tags:
                return False
        elif target is not operator.getitem:
            return False
        return all(source in self.values for source in node.all_input_nodes)

    def _value(self, node: fx.Node) -> Any:
        names = fx.map_arg((node.args, node.kwargs), lambda source: f"<{id(self.values[source])}>")
        key = (node.target, repr(names))
        if key not in self.kept:
            self.kept[key] = call(node, self.values.__getitem__)
        return self.kept[key]

    def _replace_all(self) -> None:
        names = {id(value): name for name, value in self.traced.constants.items()}
        for node, value in self.values.items():
            if (
                node.op == "get_attr"
                or not isinstance(value, Tensor)
                or all(user in self.values for user in node.users)
            ):
                continue
            with self.traced.graph.inserting_before(node):
                if id(value) in names:
                    constant = self.traced.graph.get_attr(names[id(value)])
                    constant.meta = {PATH: node.meta[PATH], VALUE: value}
                else:
                    constant = self.traced.add_constant(node.name, value, node)
                    names[id(value)] = str(constant.target)
            if node in self.learned:
                self.traced.learned.add(str(constant.target))
            node.replace_all_uses_with(constant)


def drop_idle(traced: Traced, *, dropouts: bool) -> None:
    """Drop the calls that return their input: casts to the type that it has, copies, and dropouts if asked."""
    for node in list(traced.graph.nodes):
        name = operator_name(node)
        if (dropouts and name in DROPOUTS) or (name in RETURN_THEIR_INPUT and _returns_its_input(node, name)):
            replace(node, node.args[0])


def _returns_its_input(node: fx.Node, name: str) -> bool:
    source: Any = node.args[0]
    before, after = source.meta.get(VALUE), node.meta.get(VALUE)
    if not isinstance(before, Tensor) or not isinstance(after, Tensor):
        return False
    if arguments(node).get("memory_format") not in (None, torch.contiguous_format, torch.preserve_format):
        return False
    if name == "slice" and not (arguments(node)["start"] in (None, 0) and arguments(node)["step"] == 1):
        return False
    kinds = (before.dtype, before.device) == (after.dtype, after.device)
    return kinds and all_alike(shape(source) or (), shape(node) or ())
