"""A network in the making: its new graph, the modules that it will have, and what these will cost."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import torch
from torch import fx, nn

from equiconv.converting.pooling import Pair
from equiconv.converting.widths import Pieces, Widths, tie
from equiconv.errors import ConversionError, EquiconvError
from equiconv.groups import FieldType, Group
from equiconv.models.blocks import invariants

IMAGE, FIELDS, INVARIANTS, VECTOR, PLAIN = "image", "fields", "invariants", "vector", "plain"
MAPS = (IMAGE, FIELDS, INVARIANTS)

Make = Callable[[Widths], nn.Module]


@dataclass(frozen=True)
class Value:
    """Say what a node of the new graph returns.

    Args:
        node: the node.
        kind: ``IMAGE``, ``FIELDS`` (B, n, d, H, W) or ``INVARIANTS`` (B, n, H, W), which are maps; ``VECTOR``,
            invariants (B, n); or ``PLAIN``, any tensor that no element of the group changes.
        pieces: the channels of the original; an image has none that are open.
        plane: height and width in the original.
        flat: the original has flattened the maps to a vector; here they still are maps.
    """

    node: fx.Node
    kind: str
    pieces: Pieces = ()
    plane: Pair = (1, 1)
    flat: bool = False

    @property
    def is_map(self) -> bool:
        """Whether it has a plane in the original as well."""
        return self.kind in MAPS and not self.flat


@dataclass(frozen=True)
class Constant:
    """Hold what does not depend on the values of the image, such as a size."""

    value: Any


@dataclass(frozen=True)
class Options:
    """Hold what the caller wants."""

    group: Group
    image: FieldType
    pool: str
    exact: bool
    left: frozenset[str]


@dataclass(frozen=True)
class Plan:
    """Say how a module will be made, and what the report tells of it."""

    make: Make
    status: str
    was: str
    why: str
    source: str | None


@dataclass(frozen=True)
class Cost:
    """Count the parameters and the multiplications of a module for given widths."""

    parameters: Callable[[Widths], int]
    multiplications: Callable[[Widths], int] = lambda widths: 0


@dataclass
class Draft:
    """Collect the graph, the modules and the costs.

    Args:
        original: the network that is converted; it is only read.
        twin: its copy on the meta device.
        options: what the caller wants.
    """

    original: nn.Module
    twin: nn.Module
    options: Options
    graph: fx.Graph = field(default_factory=fx.Graph)
    values: dict[fx.Node, Any] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    costs: list[Cost] = field(default_factory=list)
    later: list[Callable[[Widths], None]] = field(default_factory=list)
    shared: dict[str, tuple[Value, Pieces]] = field(default_factory=dict)

    def type_of(self, value: Value, widths: Widths) -> FieldType:
        """Return the type of a map."""
        if value.kind == IMAGE:
            return self.options.image
        group = self.options.group
        return widths(value.pieces) * (group.regular if value.kind == FIELDS else group.trivial)

    @property
    def permutes(self) -> bool:
        """Whether the group permutes the entries of the fields, so that they can be treated one by one."""
        return self.options.group.regular.is_permutation

    def unused(self, name: str) -> str:
        """Return a name that no module has, alike."""
        taken = {known for known, _ in self.twin.named_modules()} | set(self.plans)
        tries = (name if count == 1 else f"{name}_{count}" for count in range(1, len(taken) + 2))
        return next(each for each in tries if each not in taken)


@dataclass(frozen=True)
class Step:
    """Convert one node of the original.

    Args:
        draft: where the result goes.
        node: the node.
    """

    draft: Draft
    node: fx.Node

    @property
    def options(self) -> Options:
        """What the caller wants."""
        return self.draft.options

    @property
    def group(self) -> Group:
        """The group of the new network."""
        return self.draft.options.group

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that the original returns for many images."""
        return tuple(self.node.meta["value"].shape)

    @property
    def owner(self) -> str:
        """The name of the module in whose forward this happens."""
        if self.node.op == "call_module":
            return str(self.node.target).rpartition(".")[0]
        stack = self.node.meta.get("nn_module_stack") or {}
        return next(reversed(list(stack)), "")

    @property
    def what(self) -> str:
        """What a message calls it."""
        if self.node.op == "call_module":
            module = self.draft.twin.get_submodule(str(self.node.target))
            return f"{self.node.target} ({type(module).__name__})"
        name = getattr(self.node.target, "__name__", str(self.node.target))
        return f"{name} in {self.owner or type(self.draft.twin).__name__}"

    def refuse(self, reason: str) -> NoReturn:
        """Raise ConversionError with a reason."""
        raise ConversionError(f"{self.what} cannot be converted: {reason}")

    @contextmanager
    def named(self) -> Iterator[None]:
        """Let what a layer refuses be refused with the name of the original."""
        try:
            yield
        except ConversionError:
            raise
        except EquiconvError as error:
            self.refuse(str(error))

    def within(self, name: str) -> str:
        """Return an unused name in the module in whose forward this happens."""
        return self.draft.unused(f"{self.owner}.{name}" if self.owner else name)

    def module(
        self,
        name: str,
        make: Make,
        taken: fx.Node,
        *,
        status: str = "converted",
        was: str = "",
        why: str = "",
        source: str | None = None,
    ) -> fx.Node:
        """Add a module and a call of it; return the node of the call."""

        def named(widths: Widths) -> nn.Module:
            with self.named():
                return make(widths)

        self.draft.plans.setdefault(name, Plan(named, status, was, why, source))
        return self.draft.graph.call_module(name, (taken,))

    def again(self, name: str, value: Value) -> fx.Node | None:
        """Add another call of a module with weights; None if it is the first."""
        if name not in self.draft.shared:
            return None
        first = self.draft.shared[name][0]
        if first.kind != value.kind or (first.flat and first.plane != value.plane):
            self.refuse("it is called more than once, on values of different kinds")
        tie(first.pieces, value.pieces)
        return self.draft.graph.call_module(name, (value.node,))

    def function(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> fx.Node:
        """Add a call of a function."""
        return self.draft.graph.call_function(function, args, kwargs)

    def pooled(self, value: Value) -> Value:
        """Return maps of invariants."""
        if value.kind != FIELDS:
            return value
        node = self.module(
            self.within("group_pool"),
            lambda widths: invariants(self.draft.type_of(value, widths), self.options.pool),
            value.node,
            status="inserted",
            why="invariants, one for each field",
        )
        return Value(node, INVARIANTS, value.pieces, value.plane, value.flat)

    def vector(self, value: Value) -> Value:
        """Return invariants (B, n) of what the original has as a vector, or of maps of one pixel."""
        if value.kind in (VECTOR, PLAIN):
            return value
        if value.kind == IMAGE or value.plane != (1, 1):
            self.refuse(
                f"it takes a vector made of maps of {value.plane[0]}x{value.plane[1]} pixels, which depends on how the "
                "image is turned: average the maps over the plane first"
            )
        pooled = self.pooled(value)
        return Value(self.function(torch.flatten, pooled.node, 1), VECTOR, value.pieces)

    def given(self, argument: Any) -> Any:
        """Return an argument with values for the nodes in it."""

        def value(node: fx.Node) -> Any:
            known = self.draft.values[node]
            return known.value if isinstance(known, Constant) else known

        return fx.node.map_aggregate(argument, lambda each: value(each) if isinstance(each, fx.Node) else each)

    def arguments(self, *names: str, read: str = "", **defaults: Any) -> dict[str, Any]:
        """Return the arguments of the call by their names; only that called ``read`` may be read from a tensor."""
        found = dict(zip(names, self.node.args, strict=False)) | self.node.kwargs
        for name, argument in found.items():
            if self.is_read(argument) and name != read:
                self.refuse(f"{name} is a parameter, or read from a size, and not a number that is set beforehand")
        found = {name: self.given(argument) for name, argument in found.items()}
        if (unknown := [name for name in found if name not in names]) or len(self.node.args) > len(names):
            self.refuse(f"convert knows the arguments {', '.join(names)}; got {unknown or len(self.node.args)}")
        return defaults | found

    def is_read(self, argument: Any) -> bool:
        """Tell whether an argument holds what is read from a tensor, such as a size."""
        nodes: list[fx.Node] = []
        fx.node.map_arg(argument, nodes.append)
        return any(isinstance(self.draft.values[node], Constant) for node in nodes)

    def check_planes(self) -> None:
        """Refuse maps that the original has repeated over the plane, which only sums and products do here."""
        for node in self.node.all_input_nodes:
            value = self.draft.values[node]
            if isinstance(value, Value) and value.is_map and tuple(node.meta["value"].shape[2:]) != value.plane:
                self.refuse("it takes one pixel that was repeated over the plane; convert knows that in + and * only")

    def keep_input(self) -> None:
        """Refuse to change in place what is used afterwards."""
        source, nodes = self.node.args[0], list(self.node.graph.nodes)
        if isinstance(source, fx.Node) and any(nodes.index(user) > nodes.index(self.node) for user in source.users):
            self.refuse("it changes its input in place, which is used again afterwards; write inplace=False, or a + b")
