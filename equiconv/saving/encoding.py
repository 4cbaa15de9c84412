"""From the arguments of modules to JSON."""

import re
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import partial
from inspect import Parameter, signature
from math import isfinite
from types import FunctionType
from typing import Any, cast

import numpy as np
from torch import nn

from equiconv.bases import SpatialBasis
from equiconv.errors import SavingError
from equiconv.groups import FieldType, Group, Representation
from equiconv.groups.irreps import direct_sum
from equiconv.groups.values import integer
from equiconv.recorded import Recorded, Unnamed, arguments_of
from equiconv.saving.names import CONTAINERS, Names

NAMED = ("trivial", "regular", "image", "cover", "vector")
PLACED = ("device", "dtype", "process_group")  # arguments of torch's modules that are of the process, or of the weights
WRAPPERS = {
    "OptimizedModule": "_orig_mod",  # what torch.compile makes
    "DistributedDataParallel": "module",
    "DataParallel": "module",
    "FullyShardedDataParallel": "module",
    "AveragedModel": "module",
}


class Encoder:
    """Turn values into what JSON can hold; the other way is ``Decoder``.

    Args:
        names: of classes and functions; it takes those of the caller that occur.

    Attributes:
        representations: those that are written by their matrices, each once.
    """

    def __init__(self, names: Names) -> None:
        self.names = names
        self.representations: list[dict[str, Any]] = []
        self._seen: list[Representation] = []

    def encode(self, value: Any, where: str) -> Any:
        """Return JSON of a value.

        Args:
            value: an argument, or a module.
            where: what an error calls the value.

        Raises:
            SavingError: if no file can hold it.
        """
        if isinstance(value, Enum):
            return {"class": self._class(value, where), "arguments": {"value": self.encode(value.value, where)}}
        if value is None or isinstance(value, (bool, np.bool_, str)):
            return bool(value) if isinstance(value, np.bool_) else value
        if (number := integer(value)) is not None and not isinstance(value, np.ndarray):
            return number
        if isinstance(value, (float, np.floating)):
            return float(value) if isfinite(value) else {"float": str(float(value))}
        if type(value) is list:
            return self._each(value, where)
        if isinstance(value, tuple) and not hasattr(value, "_fields"):
            return {"tuple": self._each(value, where)}
        if type(value) is dict:
            return {"dict": [self._each(pair, where) for pair in value.items()]}
        if isinstance(value, np.ndarray) and value.dtype.kind in "bif":
            return {"array": value.tolist(), "kind": value.dtype.kind}
        return self._object(value, where)

    def _each(self, values: Any, where: str) -> list[Any]:
        return [self.encode(value, f"{where}[{place}]") for place, value in enumerate(values)]

    def _object(self, value: Any, where: str) -> Any:
        if isinstance(value, Representation):
            return self._representation(value, where)
        if isinstance(value, nn.Module):
            return self._module(value, where)
        if isinstance(value, Group):
            return {"class": self._class(value, where), "arguments": self._each(value.arguments, where)}
        if isinstance(value, (FieldType, SpatialBasis)) or (is_dataclass(value) and not isinstance(value, type)):
            return {"class": self._class(value, where), "arguments": self._attributes(value, where)}
        if isinstance(value, tuple):  # with names
            return {"class": self._class(value, where), "arguments": self._named(value._asdict(), where)}  # type: ignore[attr-defined]
        if isinstance(value, partial):
            parts = self._each(value.args, where), self._named(value.keywords, where)
            return {"partial": self.encode(value.func, where), "args": parts[0], "keywords": parts[1]}
        if callable(value) and hasattr(value, "__name__"):
            return {"function": self._function(value, where)}
        kind = value.kind if isinstance(value, Unnamed) else type(value).__name__
        raise SavingError(f"{where} is {value!r}, a {kind}, which no file can hold{_hint(value)}")

    def _named(self, values: dict[str, Any], where: str) -> dict[str, Any]:
        return {name: self.encode(value, f"{where}.{name}") for name, value in values.items()}

    def _module(self, module: nn.Module, where: str) -> dict[str, Any]:
        name = self.names.of_class(type(module))
        if type(module) in CONTAINERS:
            children = module._modules.items()
            return {
                "class": name,
                "modules": [[each, self.encode(child, _join(where, each))] for each, child in children],
            }
        if name is not None and not isinstance(module, Recorded):
            return {"class": name, "arguments": self._attributes(module, where)}
        if not isinstance(module, Recorded) or (name is None and type(module).__module__.startswith("equiconv.")):
            raise SavingError(f"{where} is a {type(module).__name__}{_reason(module)}")
        return {"class": self._class(module, where), "arguments": self._named(arguments_of(module), where)}

    def _class(self, value: object, where: str) -> str:
        """Return the name of the class of an object; one that is not on the list is the caller's."""
        name = self.names.of_class(type(value))
        return self.names.add(type(value)) if name is None else name

    def _function(self, function: Any, where: str) -> str:
        name = self.names.of_function(function)
        if name is not None:
            return name
        package = (getattr(function, "__module__", None) or "torch").split(".")[0]
        if not isinstance(function, (FunctionType, type)) or package in ("torch", "equiconv"):
            raise SavingError(f"{where} is {function!r}, a function that no file can hold{_hint(function)}")
        return self.names.add(function)

    def _attributes(self, value: Any, where: str) -> dict[str, Any]:
        """Return the arguments of an object that keeps them as attributes of the same names."""
        if is_dataclass(value):
            return self._named({each.name: getattr(value, each.name) for each in fields(value) if each.init}, where)
        found = {}
        for name, parameter in signature(type(value)).parameters.items():
            if name in PLACED or parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
                continue
            if hasattr(value, name):
                own = getattr(value, name)
                found[name] = own is not None if name == "bias" and isinstance(value, nn.Module) else own
            elif parameter.default is Parameter.empty:
                raise SavingError(f"{where}, a {type(value).__name__}, does not keep its argument {name!r}")
        return self._named(found, where)

    def _representation(self, rep: Representation, where: str) -> dict[str, Any]:
        if (name := _name_in_group(rep)) is not None:
            return {"representation": name, "group": self.encode(rep.group, where)}
        for place, each in enumerate(self._seen):
            if repr(each) == repr(rep) and _alike(each, rep):
                return {"representation": place}
        entry = self._matrices(rep, where)
        self.representations.append(entry)
        self._seen.append(rep)
        return {"representation": len(self._seen) - 1}

    def _matrices(self, rep: Representation, where: str) -> dict[str, Any]:
        """Return how a representation is made of its summands, or of its matrices."""
        rebuild, (group, values) = cast(Any, rep.__reduce__())
        options = dict(rebuild.keywords)
        summands = options.pop("summands")
        if summands and np.array_equal(direct_sum([each.rho for each in summands]), rep.rho):
            values = None
        return {
            "group": self.encode(group, where),
            "summands": [self.encode(each, where) for each in summands],
            "values": None if values is None else values.tolist(),
            **options,
        }


def _join(where: str, name: str) -> str:
    return f"{where}.{name}"


def _reason(module: nn.Module) -> str:
    """Return why a file cannot tell how a module was made, and what to do."""
    bases = {each.__name__ for each in type(module).__mro__ if each.__module__.split(".")[0] == "torch"}
    if found := [WRAPPERS[each] for each in WRAPPERS if each in bases]:
        inner = type(getattr(module, found[0])).__name__
        return f" around a {inner}; save the module within, which is its attribute {found[0]}"
    if "GraphModule" in bases:
        return (
            ", a graph that equiconv.convert, from_e2cnn, equiconv.export or a tracer made, and not a class with "
            "arguments: save its state_dict by torch.save, make the module again with the same arguments, and load it"
        )
    if type(module).__module__.startswith("equiconv."):
        return ", of which a file cannot tell how it was made; save the layer or network that it is a part of"
    return (
        ", of which a file cannot tell how it was made; let a class of your own subclass equiconv.saving.Recorded in "
        "place of nn.Module, and give it to load: known=[...]"
    )


def _hint(value: object) -> str:
    """Return what to do about a value that no file can hold."""
    if isinstance(value, Unnamed) and value.iterates:
        return "; give a list"
    if value.is_function if isinstance(value, Unnamed) else callable(value):
        return "; define a function with a name, at the top of a module, and give it to load: known=[...]"
    return ""


def _name_in_group(rep: Representation) -> str | None:
    """Return the name by which the group gives exactly this representation, if there is one."""
    group: Group = rep.group
    shown = repr(rep)
    last = shown.rsplit(".", 1)[-1]
    if last in NAMED and _alike(getattr(group, last), rep):
        return last
    found = re.fullmatch(r"irrep\((\d+)\)", last)
    if found and int(found[1]) < len(group.irreps) and _alike(group.irreps[int(found[1])], rep):
        return last
    return None


def _alike(a: Representation, b: Representation) -> bool:
    """Tell whether two representations are the same to the last bit, and shown alike."""
    told = [(rep.group, rep.flat, rep.block, rep.sizes, rep.colors, repr(rep)) for rep in (a, b)]
    return told[0] == told[1] and np.array_equal(a.rho, b.rho)
