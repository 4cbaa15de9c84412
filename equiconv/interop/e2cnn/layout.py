"""Where the tensors of a graph are in our layout, and where in that of e2cnn."""

import operator
from collections.abc import Collection
from functools import partial
from itertools import count
from typing import Any

import torch
from torch import fx

from equiconv.interop.e2cnn.basis import ChangeOfBasis
from equiconv.interop.e2cnn.fields import Fields

SUMS = {operator.add, operator.iadd, operator.sub, operator.isub, torch.add, torch.sub}
SCALED = {operator.mul, operator.imul}


def as_fields(x: Any) -> Any:
    """Mark a tensor, in the graph, that is handed on as fields."""
    return x


def free_name(stem: str, taken: Collection[str]) -> str:
    """Return ``stem_0``, or with the first number that no module of these names has, or lies in."""
    names = (f"{stem}_{number}" for number in count())
    return next(name for name in names if not any(f"{other}.".startswith(f"{name}.") for other in taken))


class Layout:
    """Choose, for every tensor of a graph, whether it is in our layout or in that of e2cnn."""

    def __init__(self, graph: fx.Graph, layers: dict[str, Any], inputs: dict[str, Any]) -> None:
        self.graph, self.layers, self.inputs = graph, layers, inputs
        self.ours: dict[fx.Node, Any] = {}  # the e2cnn types of the nodes in our layout
        self.plain: dict[fx.Node, fx.Node] = {}  # what those are in the layout of e2cnn
        self.fields: dict[fx.Node, fx.Node] = {}  # what marked tensors are in our layout

    def settle(self) -> None:
        """Insert the layers from one layout to the other where they meet."""
        for node in list(self.graph.nodes):
            if node.op == "placeholder" and node.name in self.inputs:
                self.ours[node] = self.inputs[node.name]
            elif node.target is as_fields:
                self.fields[node] = self._entered(node.args[0], node)
            elif node.op == "call_module" and "fields" in node.meta:
                node.args = tuple(self.fields[arg] for arg in node.args)
                self.ours[node] = node.meta["fields"]
            elif self._stays(node):
                self.ours[node] = self.ours[node.all_input_nodes[0]]
            else:
                node.args = fx.node.map_arg(node.args, partial(self._seen, at=node))
                node.kwargs = fx.node.map_arg(node.kwargs, partial(self._seen, at=node))
        for node in reversed(self.fields):
            self.graph.erase_node(node)
        self.graph.lint()

    def _stays(self, node: fx.Node) -> bool:
        """Tell whether a step does the same in our layout: sums of fields of one type, and multiples."""
        if node.target in SCALED and len(node.args) == 2 and not node.kwargs:
            first, second = node.args if isinstance(node.args[0], fx.Node) else node.args[::-1]
            return first in self.ours and isinstance(second, (int, float))
        summands = node.all_input_nodes
        if node.target not in SUMS or node.kwargs or len(node.args) != 2 or not set(summands) <= set(self.ours):
            return False
        same = all(self.ours[x] == self.ours[summands[0]] for x in summands)
        return same and all(isinstance(x, fx.Node) for x in node.args)

    def _entered(self, x: fx.Node, mark: fx.Node) -> fx.Node:
        """Return a marked tensor in our layout."""
        kind = mark.meta["fields"]
        if x in self.ours and self.ours[x] == kind:
            return x
        plain = self._left(x, mark)
        made = self._insert(Fields(kind).entering(), plain, mark)
        self.ours[made] = kind
        return made

    def _seen(self, x: fx.Node, at: fx.Node) -> fx.Node:
        """Return what an ordinary step sees: e2cnn's layout; the output of the network may be fields."""
        if x in self.fields:
            return self.fields[x] if at.op == "output" else self._left(self.fields[x], at)
        return self._left(x, at)

    def _left(self, x: fx.Node, before: fx.Node) -> fx.Node:
        """Return a tensor in the layout of e2cnn."""
        if x not in self.ours:
            return x
        if x not in self.plain:
            self.plain[x] = self._insert(Fields(self.ours[x]).leaving(), x, before)
        return self.plain[x]

    def _insert(self, layer: ChangeOfBasis, x: fx.Node, before: fx.Node) -> fx.Node:
        if layer.is_identity:
            return x
        name = free_name("border", self.layers)
        self.layers[name] = layer
        with self.graph.inserting_before(before):
            return self.graph.call_module(name, (x,))
