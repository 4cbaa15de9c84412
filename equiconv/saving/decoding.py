"""From JSON back to modules; nothing that a file says is executed, and nothing large is made unchecked."""

import json
import re
from collections.abc import Callable
from enum import EnumType
from functools import partial
from inspect import Parameter, signature
from typing import Any

import numpy as np
from torch import nn

from equiconv.errors import EquiconvError, SavingError
from equiconv.groups import Group, Representation
from equiconv.groups.irreps import direct_sum
from equiconv.groups.laws import permutation_matrices
from equiconv.recorded import Recorded
from equiconv.saving.encoding import NAMED
from equiconv.saving.limits import (
    DEPTH,
    Budget,
    check_numbers,
    check_order,
    named_dim,
    refuse,
)
from equiconv.saving.names import CONTAINERS, Names

KINDS = {"b": np.bool_, "i": np.int64, "f": np.float64}


class Decoder:
    """Turn JSON into values again.

    Args:
        names: of classes and functions.
        representations: JSON of those that are written by their matrices, each made when it is asked for.
        budget: of all that is made.
    """

    def __init__(self, names: Names, representations: list[Any], budget: Budget) -> None:
        self.names, self.written, self.budget = names, representations, budget
        self.representations: list[Representation] = []
        self.groups: dict[str, Group] = {}
        self.named: dict[tuple[int, str], Representation] = {}
        self.depth = 0

    def module(self, data: Any) -> nn.Module:
        """Return the module that JSON describes.

        Raises:
            EquiconvError: if it describes none, whatever is wrong with it.
        """
        made = self.part(data)
        if not isinstance(made, nn.Module):
            raise SavingError(f"the file does not describe a module, but {made!r}")
        return made

    def part(self, data: Any) -> nn.Module | None:
        """Return the module that JSON describes, or None."""
        try:
            made = self.decode(data)
        except EquiconvError:
            raise
        except Exception as error:  # what a broken file says can fail anywhere
            hint = "; constructors are called on the meta device, where tensors have no values" * ("meta" in str(error))
            message = f"no module is made of its description: {type(error).__name__}: {error}{hint}"
            raise SavingError(message) from error
        if not isinstance(made, (nn.Module, type(None))):
            raise SavingError(f"the file does not describe a module, but {made!r}")
        return made

    def decode(self, data: Any) -> Any:
        """Return the value that JSON describes."""
        if data is None or isinstance(data, (bool, int, str, float)):
            return data
        self.depth += 1
        if self.depth > DEPTH:
            refuse(f"values in values more than {DEPTH} deep")
        made = [self.decode(each) for each in data] if isinstance(data, list) else self._tagged(data)
        self.depth -= 1
        return made

    def _tagged(self, data: dict[str, Any]) -> Any:
        makers: dict[str, tuple[set[str], Callable[..., Any]]] = {
            "tuple": (set(), lambda each: tuple(self.decode(_list(each)))),
            "dict": (set(), lambda pairs: {self.decode(key): self.decode(value) for key, value in pairs}),
            "float": (set(), float),
            "array": ({"kind"}, lambda values, kind: np.array(_list(values), KINDS[kind])),
            "function": (set(), self.names.the_function),
            "partial": ({"args", "keywords"}, self._partial),
            "class": ({"arguments"} if "arguments" in data else {"modules"}, self._object),
            "representation": ({"group"} if "group" in data else set(), self._representation),
        }
        tag = next((tag for tag in makers if tag in data), None)
        if tag is None or set(data) != {tag, *makers[tag][0]}:
            raise SavingError(f"the file has an entry that is not understood, with the keys {sorted(data)[:8]}")
        rest = {key: value for key, value in data.items() if key != tag}
        return makers[tag][1](data[tag], **rest)

    def _partial(self, function: Any, args: Any, keywords: Any) -> Callable[..., Any]:
        made = self.decode(function)
        if not callable(made) or isinstance(made, nn.Module):
            raise SavingError(f"the file gives arguments to {made!r}, which is no function")
        values = self._arguments(keywords)
        places = self.decode(_list(args))
        if self.names.is_fixed(made):
            check_numbers(values | {"args": places})
        return partial(made, *places, **values)

    def _arguments(self, data: Any) -> dict[str, Any]:
        return {name: self.decode(value) for name, value in data.items()}

    def _object(self, name: str, arguments: Any = None, modules: Any = None) -> Any:
        kind = self.names.the_class(name)
        if kind in CONTAINERS:
            return self._container(kind, _list(modules))
        if issubclass(kind, Group):
            return self._group(kind, name, _list(arguments))
        values = self._arguments(arguments)
        if not issubclass(kind, Recorded):  # those are looked at when they are made
            self.budget.take(kind, values)
        return _called(kind, values)

    def _container(self, kind: type, modules: list[Any]) -> nn.Module:
        self.budget.take(kind, {})
        made = kind()
        for name, child in modules:
            if name in made._modules:
                raise SavingError(f"the file gives a {kind.__name__} two modules of the name {name!r}")
            made.add_module(name, self.decode(child))
        return made

    def _group(self, kind: type, name: str, arguments: list[Any]) -> Group:
        """Return a group; equal ones are one object, so that its representations are made once."""
        key = json.dumps([name, arguments])
        if key not in self.groups:
            values = self.decode(arguments)
            check_order(kind, values)
            self.groups[key] = kind(*values)
        return self.groups[key]

    def _representation(self, which: Any, group: Any = None) -> Representation:
        if group is None:
            if not isinstance(which, int) or not 0 <= which < len(self.written):
                raise SavingError(f"the file uses a representation that it does not hold: number {which!r}")
            while len(self.representations) <= which:
                self.representations.append(self._of_matrices(self.written[len(self.representations)]))
            return self.representations[which]
        made, irrep = self.decode(group), re.fullmatch(r"irrep\((\d{1,9})\)", which)
        if not isinstance(made, Group) or (which not in NAMED and irrep is None):
            raise SavingError(f"the file uses a representation that is not known: {which!r} of {made!r}")
        if (id(made), which) not in self.named:
            self.budget.take_matrices(made, named_dim(made, which))
            self.named[id(made), which] = made.irrep(int(irrep[1])) if irrep else getattr(made, which)
        return self.named[id(made), which]

    def _of_matrices(self, data: Any) -> Representation:
        """Return the representation of an entry: of its matrices, its permutations, or its summands."""
        group, values = self.decode(data["group"]), data["values"]
        summands = tuple(self.decode(each) for each in _list(data["summands"]))
        name, flat, block = (data[key] for key in ("name", "flat", "block"))
        if not isinstance(group, Group) or not isinstance(name, (str, type(None))) or not isinstance(flat, bool):
            raise SavingError("the file describes a representation that has no group, name or layout")
        if not all(isinstance(each, Representation) and each.group == group for each in summands):
            raise SavingError("the file describes a sum of what are no representations of one group")
        dim = sum(each.dim for each in summands)
        if values is None:
            self.budget.take_matrices(group, dim)
            rho = direct_sum([each.rho for each in summands])
        else:
            rho = self._rho(group, np.array(values))
        if summands and dim != rho.shape[-1]:
            raise SavingError(f"the file describes a sum of dimension {rho.shape[-1]} of parts of dimension {dim}")
        return Representation(
            group, rho, name=name, flat=flat, block=block, summands=summands, colors=data.get("colors")
        )

    def _rho(self, group: Group, values: Any) -> Any:
        """Return matrices ``(order, d, d)``, also of permutations ``(order, d)``."""
        if values.ndim not in (2, 3) or values.dtype.kind not in "if" or len(values) != group.order:
            raise SavingError(f"the file describes a representation by an array of shape {values.shape}")
        self.budget.take_matrices(group, values.shape[1])
        if values.ndim == 3:
            return values.astype(np.float64)
        if values.dtype.kind != "i" or values.min(initial=0) < 0 or values.max(initial=0) >= values.shape[1]:
            raise SavingError("the file describes a representation by permutations that are none")
        return permutation_matrices(values)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise SavingError(f"the file has {type(value).__name__} {str(value)[:40]!r} where a list is expected")
    return value


def _called(kind: Callable[..., Any], values: dict[str, Any]) -> Any:
    """Call a class with arguments by their names, those before ``*args`` by their places."""
    if isinstance(kind, EnumType):
        return kind(*values.values())
    is_module = isinstance(kind, type) and issubclass(kind, nn.Module)  # which may have a __new__ that takes anything
    parameters = signature(kind.__init__ if is_module else kind).parameters
    starred = any(each.kind is Parameter.VAR_POSITIONAL for each in parameters.values())
    args: list[Any] = []
    keywords: dict[str, Any] = {}
    for name, value in values.items():
        how = parameters[name].kind
        if how is Parameter.VAR_POSITIONAL:
            args.extend(value)
        elif how is Parameter.VAR_KEYWORD:
            keywords |= value
        elif how is Parameter.POSITIONAL_ONLY or (starred and how is not Parameter.KEYWORD_ONLY):
            args.append(value)
        else:
            keywords[name] = value
    return kind(*args, **keywords)
