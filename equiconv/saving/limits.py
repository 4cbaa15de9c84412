"""What a file may ask for, before anything of that size is made."""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

from torch import nn

from equiconv.bases import Harmonics, SpatialBasis
from equiconv.errors import SavingError
from equiconv.groups import O2, SO2, Cyclic, Dihedral, FieldType, Group, HueShift, Representation
from equiconv.groups.continuous import STEPS
from equiconv.groups.subgroup import Subgroup
from equiconv.layers import SpatialPool
from equiconv.layers.convolution import Convolution
from equiconv.recorded import watch

DEPTH = 64  # of values in values
LARGEST = 2**24  # of the whole numbers that classes of equiconv and torch are given
ORDER = 1024  # of a group, or of the tables of a continuous one
MATRICES = 2**23  # numbers in the matrices of a representation
ALL_MATRICES = 2**25  # of all representations together
COMPLETE = 13  # rows of a kernel
QUOTIENT = 6  # the dimension of a unit of quotient fields, for each element of the group, about
WORK = 2**27  # numbers in the tables of a layer
ALL_WORK = 2**29  # of all layers together
MODULES = 2**14
NAMED = {
    "kernel_size": 31,
    "kernel_sizes": 31,
    "rings": 31,
    "frequencies": 31,
    "max_order": 31,
    "sigma": 31,
    "radius": 31,
    "factor": 31,
    "samples": ORDER,
    "hidden": 1000,
}


def refuse(what: str) -> None:
    """Raise SavingError."""
    raise SavingError(f"a saved module is refused that has {what}: no file is to take more time and memory than that")


def check_order(kind: type, arguments: list[Any]) -> None:
    """Raise SavingError if a group would have too many elements; wrong arguments are left to its constructor."""
    orders = [argument.order for argument in arguments if isinstance(argument, Group)]
    order = 1 if kind is Subgroup else math.prod(orders)
    if kind in (Cyclic, Dihedral, HueShift, SO2, O2) and arguments and isinstance(arguments[0], int):
        mirrored = 2 if kind in (Dihedral, O2) else 1
        order = mirrored * (2 * arguments[0] + STEPS if kind in (SO2, O2) else arguments[0])
    if order > ORDER:
        refuse(f"a group of {order} elements, more than {ORDER}")


def check_whole(found: Iterable[tuple[str, Any]]) -> None:
    """Raise SavingError if one of the values is a whole number that is too large."""
    for _, value in found:
        if isinstance(value, int) and abs(value) > LARGEST:
            refuse(f"the number {value}" if abs(value) < 10**99 else "a number of more than 99 digits")


def check_numbers(arguments: Mapping[str, Any]) -> None:
    """Raise SavingError if an argument is larger than its name allows."""
    check_whole(_leaves("", arguments))
    for name, value in arguments.items():
        parts = value if isinstance(value, (list, tuple)) else [value]
        largest = max((each for each in parts if isinstance(each, (int, float))), default=0)
        if largest > NAMED.get(name, largest):
            refuse(f"{name} = {largest}, more than {NAMED[name]}")


def _is_complete(value: Any) -> bool:
    return (value.func if isinstance(value, partial) else value) == Harmonics.complete


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the values within values, with the name of the argument or field that holds them."""
    if isinstance(value, Mapping):
        parts = [(str(key), each) for key, each in value.items()]
    elif isinstance(value, (list, tuple)):
        parts = [(name, each) for each in value]
    elif is_dataclass(value):
        parts = [(each.name, getattr(value, each.name)) for each in fields(value)]
    elif isinstance(value, FieldType):
        parts = [("", value.representation)]
    elif isinstance(value, SpatialBasis):
        parts = [("kernel_size", value.kernel_size)]
    else:
        parts = [("", value.group)] if isinstance(value, Representation) else []
        yield name, value
    for each in parts:
        yield from _leaves(*each)


def regular_dim(group: Group) -> int:
    """Return the dimension of the regular representation without making it."""
    if group.max_frequency is None:
        return group.order
    if isinstance(group, (SO2, O2)):
        return (2 * group.max_frequency + 1) * (group.order // group.steps)
    return math.prod(map(regular_dim, group.factors))


def named_dim(group: Group, name: str) -> int:
    """Return the largest dimension of the matrices that are made to find a representation by its name."""
    if name == "regular" or (name.startswith("irrep") and isinstance(group, Subgroup)):
        return regular_dim(group)
    return math.isqrt(group.order) + 1 if name.startswith("irrep") else 3  # all irreps have order^2 numbers


def sampled_order(group: Group, samples: Any) -> int:
    """Return how many elements a layer samples that is given as many rotations."""
    if group.max_frequency is None:
        return group.order
    if isinstance(group, (SO2, O2)):
        count = samples if isinstance(samples, int) else 4 * (group.max_frequency + 1)
        return max(count, 1) * (group.order // group.steps)
    return math.prod(sampled_order(factor, samples) for factor in group.factors)


class Budget:
    """Count what a file asks for, all of it together.

    Args:
        parameters: how many tensors the file holds.
    """

    def __init__(self, parameters: int) -> None:
        self.parameters = parameters
        self.numbers = self.work = self.modules = self.convolutions = 0

    def take_matrices(self, group: Group, dim: int) -> None:
        """Count matrices of this dimension, or raise SavingError if they are too many."""
        count = group.order * dim**2
        self.numbers += count
        if count > MATRICES or self.numbers > ALL_MATRICES:
            refuse(f"representations of {self.numbers} numbers")

    def take(self, kind: type, arguments: Mapping[str, Any]) -> None:
        """Count an object that is to be made, or raise SavingError if it would have tables that are too large.

        It is asked of all recorded modules within a module too, so that the classes of the caller need no limits.
        """
        self.modules += issubclass(kind, nn.Module)
        if self.modules > MODULES:
            refuse(f"more than {MODULES} modules")
        self.convolutions += issubclass(kind, Convolution)
        if self.convolutions > 2 * self.parameters + 16:
            raise SavingError(
                f"the file describes a module of more parameters than the {self.parameters} tensors it holds"
            )
        if kind.__module__.split(".")[0] in ("equiconv", "torch"):
            self._take_sizes(kind, arguments)

    def _take_sizes(self, kind: type, arguments: Mapping[str, Any]) -> None:
        found = list(_leaves("", arguments))
        check_whole(found)
        if kind.__module__.startswith("torch."):
            return
        if kind is not SpatialPool:  # its windows have no tables
            check_numbers(arguments)
        side = max((value for name, value in found if name == "kernel_size" and isinstance(value, int)), default=1)
        if side > COMPLETE and any(_is_complete(value) for _, value in found):
            refuse(f"a complete basis of harmonics for kernels of {side} rows, more than {COMPLETE}")
        dims = [(value.group.order, value.dim) for _, value in found if isinstance(value, Representation)]
        if issubclass(kind, nn.Module):
            self._take_work(max((order * dim**2 for order, dim in dims), default=1) * side**2)
        groups = [value for _, value in found if isinstance(value, Group)]
        if "samples" in arguments and groups:
            self._take_work(sampled_order(groups[0], arguments["samples"]) ** 3)
        units = QUOTIENT if any(value == "quotient" for _, value in found if isinstance(value, str)) else 1
        for group in groups if not dims else ():
            self.take_matrices(group, units * regular_dim(group))

    def _take_work(self, numbers: int) -> None:
        self.work += numbers
        if numbers > WORK or self.work > ALL_WORK:
            refuse(f"layers with tables of {self.work} numbers, more than {WORK} in one or {ALL_WORK} in all")


@contextmanager
def limited(parameters: int) -> Iterator[Budget]:
    """Refuse to make large tables, or many more convolutions than a file has parameters for: a context."""
    budget = Budget(parameters)
    token = watch.set(budget.take)
    try:
        yield budget
    finally:
        watch.reset(token)
