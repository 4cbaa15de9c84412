"""Compute once what depends on parameters only, and drop what does nothing."""

import operator
from typing import Any

import torch
from torch import Tensor, fx

from equiconv.exporting.traced import PATH, VALUE, Traced, all_alike, arguments, call, operator_name, replace, shape

RETURN_THEIR_INPUT = ("alias", "clone", "contiguous", "to", "lift_fresh_copy", "expand", "slice")
DROPOUTS = ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")


def fold_constants(traced: Traced, *, trainable: bool) -> None:
    """Replace all that depends on parameters and buffers only by constants; what is computed twice becomes one.

    Args:
        traced: a graph and its constants; both change.
        trainable: numbers that come from one parameter go on doing so, and gradients stop where they did.
    """
    _Folding(traced).run(trainable)
    traced.sweep()


class _Folding:
    """Go through the nodes once; know the value of each that is constant."""

    def __init__(self, traced: Traced) -> None:
        self.traced = traced
        self.values: dict[fx.Node, Any] = {}
        self.learned: dict[fx.Node, set[str]] = {}  # the parameters that a node is made of
        self.kept: dict[tuple[object, ...], Any] = {}  # by what was called
        self.first: dict[int, fx.Node] = {}  # by what was returned

    def run(self, trainable: bool) -> None:
        for node in list(self.traced.graph.nodes):
            if node.op == "get_attr":
                self._note(node, self.traced.constants[node.target], {node.target} & set(self.traced.learned))
            elif self._is_constant(node):
                sources = [self.learned.get(source, set()) for source in node.all_input_nodes]
                self._note(node, self._value(node), set().union(*sources))
        if trainable:
            for members in self._families():
                for node in _after_the_last_cut(members, self.values):
                    del self.values[node]
        self._replace_all()

    def _note(self, node: fx.Node, value: Any, learned: set[str]) -> None:
        first = self.first.setdefault(id(value), node)
        if first is not node:
            replace(node, first)
            return
        self.values[node] = value
        if learned:
            self.learned[node] = learned

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

    def _families(self) -> list[list[fx.Node]]:
        """Return the nodes that are made of parameters: those that share some are together, in the order of calls."""
        families: list[tuple[set[str], list[fx.Node]]] = []
        for node, names in self.learned.items():
            joined = [family for family in families if family[0] & names]
            families = [family for family in families if not family[0] & names]
            members = [member for _, others in joined for member in others]
            families.append((names.union(*(others for others, _ in joined)), [*members, node]))
        return [members for _, members in families]

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
            self.traced.learn(str(constant.target), self.learned.get(node, set()))
            node.replace_all_uses_with(constant)


def _after_the_last_cut(members: list[fx.Node], values: dict[fx.Node, Any]) -> list[fx.Node]:
    """Return the nodes that have to stay calls: those after the last one through which all numbers of a family go."""
    members = sorted(members, key=lambda node: node.op != "get_attr")  # parameters first
    count = sum(node.op == "get_attr" for node in members)
    inside: set[fx.Node] = set()
    keep = members[count:]
    for place, node in enumerate(members):
        if operator_name(node) == "detach":
            break
        inside.add(node)
        read = [other for other in inside if any(user not in inside for user in other.users)]
        if place >= count - 1 and read == [node] and isinstance(values[node], Tensor):
            keep = members[place + 1 :]
    return keep


def drop_idle(traced: Traced, *, trainable: bool) -> None:
    """Drop the calls that return their input: casts to the type that it has, copies, and what matters in training."""
    for node in list(traced.graph.nodes):
        name = operator_name(node)
        if name in DROPOUTS:
            idle = not trainable and not arguments(node)["train"]
        elif name == "detach":
            idle = not trainable
        else:
            idle = name in RETURN_THEIR_INPUT and _returns_its_input(node, name)
        if idle:
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
