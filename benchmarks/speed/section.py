"""What the parts of the command share."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from benchmarks.speed.setting import Setting

__all__ = ["Row", "Section"]

Row = dict[str, Any]


class Section(ABC):
    """Measure some things, one after the other, each for one row of the report."""

    def stem(self, name: str, setting: Setting) -> str:
        """Return the name of the report of the section that is called ``name``, without the ending."""
        return name

    @abstractmethod
    def items(self, quick: bool) -> Sequence[Any]:
        """Return what is measured; if ``quick``, tiny things."""

    @abstractmethod
    def measure(self, item: Any, setting: Setting) -> Row:
        """Return the row of one of them, fit for JSON."""

    @abstractmethod
    def files(self, rows: Sequence[Row], setting: Setting) -> dict[str, str]:
        """Return the tables and plots of all rows, by the name of the file."""
