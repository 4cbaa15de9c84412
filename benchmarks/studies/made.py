"""Dataclasses from the entries of a file."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from equiconv import EquiconvError

__all__ = ["made"]

T = TypeVar("T")


def made(kind: type[T], where: str, entries: Mapping[str, Any]) -> T:
    """Return a dataclass of some entries, or raise if one is unknown or missing."""
    known = [each.name for each in fields(kind)]  # type: ignore[arg-type]
    if unknown := [key for key in entries if key not in known]:
        raise EquiconvError(f"{where}: unknown {', '.join(unknown)}; known: {', '.join(known)}")
    try:
        return kind(**entries)
    except TypeError as error:
        raise EquiconvError(f"{where}: {error}") from None
