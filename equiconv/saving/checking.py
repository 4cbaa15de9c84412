"""Is a module what its arguments make, and does it compute on this machine what it did where it was saved?"""

import math
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import partial
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from equiconv.bases import SpatialBasis
from equiconv.errors import SavingError
from equiconv.groups import FieldType, Group, Representation
from equiconv.groups.laws import Floats
from equiconv.kernels import KernelPipeline
from equiconv.layers.convolution import Convolution
from equiconv.layers.layer import FieldLayer
from equiconv.recorded import KEPT, Recorded, Unnamed, arguments_of
from equiconv.tables import Tables

HOOKS = ("_forward_hooks", "_forward_pre_hooks")
PLAIN = (bool, int, float, str, Enum, set, frozenset, FieldType, Group, Representation, BuiltinFunctionType)
CLOSE = 1e-8

Names = tuple[dict[int, str], dict[int, str]]  # of the modules within two modules, by their ids


def named_parts(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield all modules within a module, under each of their names."""
    yield from module.named_modules(remove_duplicate=False)


def names_in(*modules: nn.Module) -> Names:
    """Return the names of the modules within two modules."""
    ours, made = ({id(each): name for name, each in module.named_modules()} for module in modules)
    return ours, made


def check_unchanged(module: nn.Module, made: nn.Module) -> None:
    """Raise SavingError unless a module is one that was just made of its arguments, but for its weights.

    Args:
        module: the module.
        made: the same, made anew on the meta device.
    """
    ours, fresh, names = dict(named_parts(module)), dict(named_parts(made)), names_in(module, made)
    if missing := sorted(set(ours) ^ set(fresh)):
        raise _changed(missing[0], "it is " + ("new" if missing[0] in ours else "missing"))
    for name, each in ours.items():
        if reason := difference(each, fresh[name], names):
            raise _changed(name, reason)
        if _order(each) != _order(fresh[name]):
            raise _changed(name, "its parts are in another order")
    state, wanted = module.state_dict(), made.state_dict()
    if missing := sorted(set(state) ^ set(wanted)):
        raise _changed(missing[0], "it is " + ("new" if missing[0] in state else "missing"))
    for name, value in state.items():
        check_fits(name, value, wanted[name], "the module")


def _order(module: nn.Module) -> list[str]:
    return [key for key, part in module._modules.items() if part is not None]


def _changed(name: str, reason: str) -> SavingError:
    return SavingError(
        f"{name or 'the module'} was changed after it was made: {reason}. A file holds the arguments of constructors, "
        "and weights: make a module with other arguments, or a class of your own that subclasses "
        "equiconv.saving.Recorded"
    )


def check_fits(name: str, value: Any, wanted: Tensor, where: str) -> None:
    """Raise SavingError unless a tensor has the shape and the kind of numbers that the module wants."""
    if not isinstance(value, Tensor) or value.shape != wanted.shape:
        shape = tuple(getattr(value, "shape", ()))
        raise SavingError(f"{where} has {name} of shape {shape}; its arguments make {tuple(wanted.shape)}")
    if (value.is_floating_point(), value.is_complex()) != (wanted.is_floating_point(), wanted.is_complex()):
        raise SavingError(f"{where} has {name} of {value.dtype}; its arguments make {wanted.dtype}")


def difference(ours: nn.Module, made: nn.Module, names: Names) -> str | None:
    """Return how a module, without its parts, differs from the one its arguments make; None if it does not."""
    synchronized = isinstance(ours, nn.SyncBatchNorm) and isinstance(made, _BatchNorm)  # the same, in one process
    if type(ours) is not type(made) and not synchronized:
        return f"it is a {type(ours).__name__}, and its arguments make a {type(made).__name__}"
    if any(getattr(ours, hooks) for hooks in HOOKS):
        return "it has forward hooks, which may change what it computes; remove them for saving"
    if ours.extra_repr() != made.extra_repr():
        return f"it is {ours.extra_repr()}, and its arguments make {made.extra_repr()}"
    for name, value in vars(ours).items():
        if isinstance(value, Tensor):
            return f"the tensor {name} is not in its state_dict; make it a buffer"
        if name != "training" and not name.startswith("_") and _differs(value, vars(made), name, names):
            return f"{name} is {value!r}"
    tables, others = (each._masters if isinstance(each, Tables) else {} for each in (ours, made))
    if lost := sorted(ours._non_persistent_buffers_set - set(tables)):
        return f"the buffer {lost[0]} is not in its state_dict; make it persistent"
    if any(name not in others or not np.array_equal(values, others[name]) for name, values in tables.items()):
        return "its tables are others"
    return None


def made_alike(ours: nn.Module, made: nn.Module, names: Names) -> bool:
    """Tell whether two modules were made with the same arguments, as far as they tell."""
    if not isinstance(ours, Recorded) or not isinstance(made, Recorded) or KEPT not in vars(ours):
        return True
    return same(arguments_of(ours), arguments_of(made), names)


def _differs(value: Any, made: dict[str, Any], name: str, names: Names) -> bool:
    """Tell whether an attribute is not what a constructor makes it; notes that it does not know are left alone."""
    return not same(value, made[name], names) if name in made else callable(value)


def same(a: Any, b: Any, names: Names) -> bool:
    """Tell whether two values are the same; objects of classes that are not known here are, if they are of one."""
    a, b = (each.item() if isinstance(each, np.generic) else each for each in (a, b))
    if type(a) is not type(b) and not (isinstance(a, tuple) and type(b) is tuple):
        return False
    if isinstance(a, nn.Module):
        return names[0].get(id(a)) == names[1].get(id(b))
    if isinstance(a, FunctionType):
        return (a.__module__, a.__qualname__) == (b.__module__, b.__qualname__)
    if isinstance(a, SpatialBasis):
        return repr(a) == repr(b)
    if isinstance(a, PLAIN):
        return a == b or (a != a and b != b)
    if isinstance(a, Unnamed):
        return a.kind == b.kind
    if isinstance(a, (Tensor, np.ndarray)):
        return isinstance(a, np.ndarray) and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    parts = _parts(a), _parts(b)
    return list(parts[0]) == list(parts[1]) and all(same(each, parts[1][key], names) for key, each in parts[0].items())


def _parts(value: Any) -> dict[Any, Any]:
    """Return the values within a value."""
    if isinstance(value, (list, tuple)):
        return dict(enumerate(value))
    if isinstance(value, partial):
        return {"func": value.func, "args": value.args, "keywords": value.keywords}
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    return value if isinstance(value, dict) else {}


def layer_numbers(module: nn.Module) -> dict[str, float]:
    """Return a number for each layer that tells apart in which bases its fields and its kernels are.

    A file made where these are others, by another version or on another machine, would hold weights that mean another
    function here.
    """
    seen: dict[Any, float] = {}
    layers = {name: each for name, each in named_parts(module) if isinstance(each, FieldLayer)}
    return {name: _number(layer, seen) for name, layer in layers.items()}


def _number(layer: FieldLayer, seen: dict[Any, float]) -> float:
    types = layer.in_type.representation, layer.out_type.representation
    key = types + ((repr(layer.basis), type(layer.pipeline)) if isinstance(layer, Convolution) else ())
    if key not in seen:
        parts = [rep.rho for rep in types]
        parts += [_kernel(layer.pipeline)] if isinstance(layer, Convolution) else []
        seen[key] = math.fsum((place + 1) * _projected(part) for place, part in enumerate(parts))
    return seen[key]


def _kernel(pipeline: KernelPipeline) -> Floats:
    """Return the kernel of fixed coefficients between two fields, in double precision."""
    exact = deepcopy(pipeline).to_empty(device="cpu").double()  # tables are filled from their masters
    shape = exact.coefficient_shape
    places = torch.arange(1, 1 + math.prod(shape), dtype=torch.float64, device="cpu")
    return exact.expand(places.cos().view(1, 1, *shape)).numpy()


def _projected(values: Floats) -> float:
    flat = values.ravel()
    return float(flat @ np.cos(1.0 + np.arange(len(flat))) / (1 + np.linalg.norm(flat)))


def check_layer_numbers(module: nn.Module, written: dict[str, Any]) -> None:
    """Raise SavingError unless the layers of a module have the numbers that were written."""
    for name, number in layer_numbers(module).items():
        told = written.get(name)
        if not isinstance(told, float) or not abs(told - number) <= CLOSE:
            raise SavingError(
                f"{name or 'the layer'} has other bases of its fields or kernels here than where it was saved, so that "
                "its weights would mean another function; load the file with the version of equiconv that wrote it"
            )
