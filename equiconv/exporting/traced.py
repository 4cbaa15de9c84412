"""What is known of a traced module, and small questions about its nodes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

PATH, VALUE = "path", "val"  # what a node knows: the layer that it belongs to, and what it returns, without numbers


@dataclass
class Traced:
    """Hold a graph of PyTorch's operators, and the tensors that it reads.

    Args:
        module: what was traced: a copy of the caller's module.
        graph: calls of operators; a ``get_attr`` node names one of the constants.
        constants: parameters, buffers, and what was made of them.
        learned: the names of the constants that are parameters, or made of such, and whether they require gradients.
        own: the names of the constants that the module itself holds.
        guards: conditions on the sizes of the inputs, in Python.
        inputs: the nodes of the inputs by argument, in the structure of the arguments.
    """

    module: nn.Module
    graph: fx.Graph
    constants: dict[str, Tensor] = field(default_factory=dict)
    learned: dict[str, bool] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)
    guards: Sequence[str] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)

    def constant(self, node: object) -> Tensor | None:
        """Return the tensor that a node reads; None if it is no constant."""
        return self.constants[str(node.target)] if isinstance(node, fx.Node) and node.op == "get_attr" else None

    def learn(self, name: str, sources: Iterable[str]) -> None:
        """Note that a constant is made of others: it is learned if one of them is."""
        gradients = [self.learned[source] for source in sources if source in self.learned]
        if gradients:
            self.learned[name] = any(gradients)

    def sweep(self) -> None:
        """Erase the nodes that nobody uses."""
        for node in reversed(list(self.graph.nodes)):
            idle = node.op not in ("placeholder", "output") and not operator_name(node).startswith("_assert")
            if idle and not node.users:
                self.graph.erase_node(node)

    def add_constant(self, name: str, value: Tensor, like: fx.Node) -> fx.Node:
        """Return a new node, at the place where the graph inserts, that reads a constant of the layer of ``like``."""
        while name in self.constants:
            name += "_"
        self.constants[name] = value
        node = self.graph.get_attr(name)
        node.meta = {PATH: like.meta[PATH], VALUE: value}
        return node


def operator_name(node: fx.Node) -> str:
    """Return the name of the ATen operator that a node calls, without its overload; empty if it calls none."""
    target = node.target
    return target._schema.name.removeprefix("aten::") if isinstance(target, torch._ops.OpOverload) else ""


def arguments(node: fx.Node) -> dict[str, Any]:
    """Return the arguments of a call of an ATen operator by name, with defaults."""
    target: Any = node.target
    names = [argument.name for argument in target._schema.arguments]
    defaults = {argument.name: argument.default_value for argument in target._schema.arguments}
    return defaults | dict(zip(names, node.args, strict=False)) | dict(node.kwargs)


def call(node: fx.Node, known: Callable[[fx.Node], Any]) -> Any:
    """Return what a call returns, for arguments that are known."""
    target: Any = node.target
    args: Any = fx.map_arg(node.args, known)
    kwargs: Any = fx.map_arg(node.kwargs, known)
    return target(*args, **kwargs)


def shape(node: fx.Node) -> tuple[Any, ...] | None:
    """Return the shape of what a node returns, with symbols for free sizes; None if it is no tensor."""
    value = node.meta.get(VALUE)
    return tuple(value.shape) if isinstance(value, Tensor) else None


def example_shape(node: fx.Node) -> tuple[int, ...]:
    """Return the shape of what a node returns for the example."""
    return tuple(size.node.hint if isinstance(size, torch.SymInt) else size for size in shape(node) or ())


def alike(first: Any, second: Any) -> bool:
    """Tell whether two sizes are equal whatever the free sizes are."""
    if isinstance(first, int) and isinstance(second, int):
        return first == second
    from torch.fx.experimental.symbolic_shapes import statically_known_true

    return statically_known_true(first == second)


def all_alike(first: Sequence[Any], second: Sequence[Any]) -> bool:
    """Tell whether two shapes are equal whatever the free sizes are."""
    return len(first) == len(second) and all(map(alike, first, second))


def replace(node: fx.Node, by: fx.Node) -> None:
    """Let the users of a node use another, and erase it."""
    node.replace_all_uses_with(by)
    node.graph.erase_node(node)
