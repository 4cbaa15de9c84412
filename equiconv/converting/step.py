"""Converting one node of the original."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, NoReturn

import torch
from torch import fx, nn

from equiconv.converting.aliases import tensors, used_later
from equiconv.converting.counting import count_parameters
from equiconv.converting.draft import (
    FIELDS,
    IMAGE,
    INVARIANTS,
    PLAIN,
    VECTOR,
    Constant,
    Cost,
    Count,
    Draft,
    Make,
    Options,
    Plan,
    Value,
)
from equiconv.converting.sizes import Repeat, holds_none
from equiconv.converting.widths import Widths, tie
from equiconv.errors import ConversionError, EquiconvError
from equiconv.groups import Group
from equiconv.models.blocks import invariants


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

        self.draft.plans.setdefault(name, Plan(named, status, was, why, source, self._dtype(source)))
        return self.draft.graph.call_module(name, (taken,))

    def _dtype(self, source: str | None) -> torch.dtype:
        """Return the precision of a module of the original, or of what this node takes."""
        held = () if source is None else self.draft.original.get_submodule(source).parameters()
        taken = [each for node in self.node.all_input_nodes for each in tensors(node.meta["value"])]
        return next(each.dtype for each in (*held, *taken, torch.empty(0)) if each.is_floating_point())

    def held(self, node: fx.Node) -> torch.Tensor:
        """Return the parameter or buffer of the original that a node reads."""
        try:
            tensor: Any = reduce(getattr, str(node.target).split("."), self.draft.original)
        except AttributeError:
            self.refuse("it takes a tensor that its forward makes; register it as a buffer")
        return tensor

    def attribute(self, node: fx.Node) -> fx.Node:
        """Keep a parameter or buffer that the original uses by hand; return a node that reads it."""
        name, tensor = str(node.target), self.held(node)
        if name not in self.draft.tensors:
            self.draft.tensors[name] = copy.deepcopy(tensor)
            numel = tensor.numel() if isinstance(tensor, nn.Parameter) else 0
            self.draft.costs.append(Cost(lambda widths: numel))
        return self.draft.graph.get_attr(name)

    def constant_cost(self, name: str) -> None:
        """Add what a module costs that stays as it is, for all of its calls."""
        if name not in self.draft.plans:
            parameters = count_parameters(self.draft.twin.get_submodule(name))
            products = self.draft.products(name)
            self.draft.costs.append(Cost(lambda widths: parameters, lambda widths: products))

    def again(self, name: str, value: Value, multiplications: Count = lambda widths: 0) -> fx.Node | None:
        """Add another call of a module with weights, which costs as much again; None if it is the first."""
        if name not in self.draft.shared:
            return None
        first = self.draft.shared[name][0]
        if first.kind != value.kind or (first.flat and first.plane != value.plane):
            self.refuse("it is called more than once, on values of different kinds")
        tie(first.pieces, value.pieces)
        self.draft.costs.append(Cost(lambda widths: 0, multiplications))
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

    def check_maps(self, value: Value) -> None:
        """Refuse what is no map."""
        if value.kind == PLAIN:
            self.refuse("it takes maps that are made of a vector of invariants, and do not move with the image")
        if not value.is_map:
            self.refuse("it takes maps, and got a vector")

    def check_colors(self, value: Value) -> None:
        """Refuse what does not commute with shifts of colors, on images whose colors are shifted."""
        if value.kind == IMAGE and not self.group.is_linear:
            self.refuse(f"the colors of the image are shifted by {self.group!r}; do it behind a convolution")

    def check_planes(self) -> None:
        """Repeat maps that the original has repeated over the plane, which sums and products do by themselves."""
        for node in self.node.all_input_nodes:
            self.check_plane(node)

    def check_plane(self, node: fx.Node) -> None:
        """Repeat maps that the original has repeated over the plane."""
        value = self.draft.values[node]
        if not (isinstance(value, Value) and value.is_map) or node.meta["value"].shape[2:] == value.plane:
            return
        size = self.draft.repeated.get(node)
        if size is None or holds_none(size):
            self.refuse("it takes one pixel that was repeated over the plane, to a size that is not that of other maps")
        plane = tuple(node.meta["value"].shape[2:])
        name, why = self.within("repeat"), "one pixel, over the plane"
        call = self.module(name, lambda widths: Repeat(), value.node, status="inserted", why=why)
        call.args = (value.node, size)
        self.draft.values[node] = replace(value, node=call, plane=plane)

    def is_still(self, value: Value, node: fx.Node) -> bool:
        """Tell whether a value has the shape of maps in the original, and does not move where the group moves maps."""
        shape = tuple(node.meta["value"].shape)
        return value.kind == PLAIN and self.group.moves_plane and len(shape) == 4 and shape[2:] != (1, 1)

    def keep_input(self) -> None:
        """Refuse to change in place what is used afterwards."""
        if used_later(self.node):
            self.refuse("it changes its input in place, which is used again afterwards; write inplace=False, or a + b")
