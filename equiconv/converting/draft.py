"""A network in the making: its new graph, the modules that it will have, and what these will cost."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn

from equiconv.converting.pooling import Pair
from equiconv.converting.tracing import is_inside
from equiconv.converting.widths import Pieces, Widths
from equiconv.groups import FieldType, Group

IMAGE, FIELDS, INVARIANTS, VECTOR, PLAIN = "image", "fields", "invariants", "vector", "plain"
MAPS = (IMAGE, FIELDS, INVARIANTS)

Make = Callable[[Widths], nn.Module]
Count = Callable[[Widths], int]


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
    dtype: torch.dtype


@dataclass(frozen=True)
class Cost:
    """Count the parameters and the multiplications of a module for given widths."""

    parameters: Count
    multiplications: Count = lambda widths: 0


@dataclass
class Draft:
    """Collect the graph, the modules and the costs.

    Args:
        original: the network that is converted; it is only read.
        twin: its copy on the meta device.
        options: what the caller wants.
        counts: the multiplications of each of its modules.
    """

    original: nn.Module
    twin: nn.Module
    options: Options
    counts: dict[str, int]
    graph: fx.Graph = field(default_factory=fx.Graph)
    values: dict[fx.Node, Any] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    costs: list[Cost] = field(default_factory=list)
    later: list[Callable[[Widths], None]] = field(default_factory=list)
    shared: dict[str, tuple[Value, Pieces]] = field(default_factory=dict)
    tensors: dict[str, Any] = field(default_factory=dict)  # parameters and buffers that are used by hand
    repeated: dict[fx.Node, Any] = field(default_factory=dict)  # the plane to which a node repeats one pixel

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

    def products(self, name: str) -> int:
        """Return the multiplications of a module of the original and of those in it."""
        return sum(count for each, count in self.counts.items() if is_inside(each, (name,)))

    def unused(self, name: str) -> str:
        """Return a name that no module has, alike."""
        taken = {known for known, _ in self.twin.named_modules()} | set(self.plans)
        tries = (name if count == 1 else f"{name}_{count}" for count in range(1, len(taken) + 2))
        return next(each for each in tries if each not in taken)
