"""Modules that know the arguments they were made with."""

from collections.abc import Callable, Iterator, MappingView
from contextvars import ContextVar
from functools import partial, wraps
from inspect import Signature, signature
from typing import Any

from torch import nn

__all__ = ["Recorded"]


def _anything(kind: type, arguments: dict[str, Any]) -> None:
    """Let every module be made."""


watch: ContextVar[Callable[[type, dict[str, Any]], None]] = ContextVar("watch", default=_anything)
"""Sees the class and the arguments of each recorded module before it is made, and may raise."""


class Unnamed:
    """Stand for what no file can hold: a function without a name, such as a lambda, or an iterator.

    Args:
        text: what it is shown as.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class Recorded(nn.Module):
    """Keep the arguments of the constructor, so that ``equiconv.save`` can write what rebuilds the module.

    All layers and models of equiconv are recorded. A network of your own is so too if its class subclasses this one in
    place of ``nn.Module``; nothing else changes. Lists, tuples and dictionaries among the arguments are copied.

    Example:
        >>> class Net(Recorded):
        ...     def __init__(self, width, *, classes=10):
        ...         super().__init__()
        >>> Net(8).arguments
        {'width': 8, 'classes': 10}
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            cls.__init__ = _recording(cls.__init__)  # type: ignore[method-assign]

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the constructor by their names, with the defaults of those that were not given."""
        return dict(vars(self).get("_arguments", {}))


def _recording(init: Callable[..., None]) -> Callable[..., None]:
    """Return a constructor that records its arguments, unless that of a subclass did so."""
    known = signature(init)

    @wraps(init)
    def recorded(self: Recorded, *args: Any, **kwargs: Any) -> None:
        if "_arguments" not in vars(self) and (found := _bound(known, self, args, kwargs)) is not None:
            watch.get()(type(self), found)
            vars(self)["_arguments"] = found  # nn.Module would take modules among them for its own
        init(self, *args, **kwargs)

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
    if type(value) is dict:
        return {key: _copied(each) for key, each in value.items()}
    function = value.func if isinstance(value, partial) else value
    unnamed = "<" in getattr(function, "__qualname__", "")
    return Unnamed(repr(value)) if unnamed or isinstance(value, (Iterator, MappingView)) else value
