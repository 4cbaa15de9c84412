"""What runs cells."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Done", "Engine", "Event", "Failed", "Progress", "Work"]

Result = dict[str, Any]
Work = Callable[[Any, Callable[[float], None]], Result]
"""Runs one cell; reports the work done since the last report. It is pickled, and so are the cells."""


@dataclass(frozen=True)
class Progress:
    """Say that work was done in a cell."""

    index: int
    work: float


@dataclass(frozen=True)
class Done:
    """Hold the result of a cell."""

    index: int
    result: Result


@dataclass(frozen=True)
class Failed:
    """Say why a cell has no result; it ``died`` if its process ended, and may be tried again."""

    index: int
    reason: str
    died: bool


Event = Progress | Done | Failed


class Engine(ABC):
    """Run cells at the same time, each in a process of its own with one thread.

    Args:
        workers: the number of processes.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers

    @abstractmethod
    def run(self, cells: Mapping[int, Any], work: Work) -> Iterator[Event]:
        """Run cells in their order; yield what happens, for each cell one ``Done`` or ``Failed``.

        Args:
            cells: by a number of each, which the events name.
            work: runs one of them.

        Raises:
            KeyboardInterrupt: if the user interrupts; the processes are ended.
        """


def failure(index: int, error: Exception) -> Failed:
    """Return what is said of an exception in a cell."""
    return Failed(index, f"{type(error).__name__}: {error}", died=False)


def death(index: int) -> Failed:
    """Return what is said of a process that ended."""
    return Failed(index, "a worker process ended before this cell was done (out of memory?); run again", died=True)
