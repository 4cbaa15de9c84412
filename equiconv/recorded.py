"""Modules that know the arguments they were made with."""

from collections.abc import Callable, Iterator, MappingView
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import partial, wraps
from inspect import Signature, signature, unwrap
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from torch import nn

__all__ = ["Recorded"]

KEPT = "_made_of"  # the attribute with the arguments
PLAIN = (type(None), bool, int, float, str, Enum, np.bool_, np.integer, np.floating)


def _anything(kind: type, arguments: dict[str, Any]) -> None:
    """Let every module be made."""


watch: ContextVar[Callable[[type, dict[str, Any]], None]] = ContextVar("watch", default=_anything)
"""Sees the class and the arguments of each recorded module before it is made, and may raise."""


class Unnamed:
    """Stand for an argument that no file can hold, such as a lambda, an iterator, a tensor or a lock.

    Args:
        value: the argument, which is not kept.
    """

    def __init__(self, value: object) -> None:
        self.text = repr(value) if isinstance(value, FunctionType) else object.__repr__(value)
        self.kind = type(value).__name__
        self.iterates = isinstance(value, (Iterator, MappingView))
        self.is_function = callable(value) and not isinstance(value, nn.Module)

    def __repr__(self) -> str:
        return self.text


class Recorded(nn.Module):
    """Keep the arguments of the constructor, so that ``equiconv.save`` can write what rebuilds the module.

    All layers and models of equiconv are recorded. A network of your own is so too if its class subclasses this one in
    place of ``nn.Module``; nothing else changes. Lists, tuples and dictionaries among the arguments are copied. What no
    file can hold, such as a tensor, is not kept.

    Example:
        >>> class Net(Recorded):
        ...     def __init__(self, width, *, classes=10):
        ...         super().__init__()
        >>> Net(8).arguments
        {'width': 8, 'classes': 10}
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        init: Any = cls.__init__
        if init is not nn.Module.__init__ and getattr(init, "recording", None) is not init:  # also one of a mixin
            cls.__init__ = _recording(init)  # type: ignore[method-assign]

    @property
    def arguments(self) -> Any:
        """The arguments of the constructor by their names, with the defaults of those that were not given.

        A class may set an attribute of this name; the module is saved all the same.
        """
        return vars(self).get("arguments", arguments_of(self))

    @arguments.setter
    def arguments(self, value: Any) -> None:
        vars(self)["arguments"] = value


def arguments_of(module: Recorded) -> dict[str, Any]:
    """Return the arguments that made a module; those of a dataclass are its fields."""
    if KEPT not in vars(module) and is_dataclass(module):
        return {each.name: getattr(module, each.name) for each in fields(module) if each.init}
    return dict(vars(module).get(KEPT, {}))


def _recording(init: Callable[..., None]) -> Callable[..., None]:
    """Return a constructor that records its arguments if it is that of the object's class, and no class above."""
    known, innermost = signature(init), unwrap(init)

    @wraps(init)
    def recorded(module: Recorded, /, *args: Any, **kwargs: Any) -> None:
        own: Any = type(module).__init__
        if KEPT not in vars(module) and unwrap(own) is innermost:
            found = _bound(known, module, args, kwargs)
            if found is not None:
                watch.get()(type(module), found)
                vars(module)[KEPT] = found  # nn.Module would take modules among them for its own
        init(module, *args, **kwargs)

    vars(recorded)["recording"] = recorded  # functools.wraps copies it to others, and then it is not their own
    return recorded


def _bound(known: Signature, module: Recorded, args: Any, kwargs: Any) -> dict[str, Any] | None:
    """Return the arguments by their names; None if they do not fit, which the constructor then says itself."""
    try:
        bound = known.bind(module, *args, **kwargs)
    except TypeError:
        return None
    bound.apply_defaults()
    return {name: _copied(value) for name, value in list(bound.arguments.items())[1:]}


def _copied(value: Any) -> Any:
    """Return a value that stays as it is when a list in it is changed, and that can be pickled with the module."""
    if type(value) in (list, tuple):
        return type(value)(map(_copied, value))
    if isinstance(value, tuple) and hasattr(value, "_make"):
        return type(value)._make(map(_copied, value))
    if type(value) is dict:
        return {key: _copied(each) for key, each in value.items()}
    if isinstance(value, partial):
        function = _copied(value.func)
        parts = map(_copied, value.args), {name: _copied(each) for name, each in value.keywords.items()}
        return function if isinstance(function, Unnamed) else partial(function, *parts[0], **parts[1])
    return value if _can_be_kept(value) else Unnamed(value)


def _can_be_kept(value: Any) -> bool:
    """Tell whether a file may hold a value: it is plain, a module, of equiconv or a dataclass, or has a name."""
    if isinstance(value, (FunctionType, BuiltinFunctionType, MethodType, type)):
        at_home = isinstance(getattr(value, "__self__", None), (type(None), type, ModuleType))
        return at_home and "<" not in value.__qualname__
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "bif"
    ours = any(base.__module__.split(".")[0] == "equiconv" for base in type(value).__mro__)
    return ours or isinstance(value, (*PLAIN, tuple, nn.Module)) or is_dataclass(value)
