"""What runs cells."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.provenance import cores
from benchmarks.training import Hardware
from equiconv import EquiconvError

__all__ = ["ACCELERATORS", "Done", "Engine", "Event", "Failed", "Lost", "Progress", "Tell", "Work", "death"]

ACCELERATORS = ("cpu", "cuda", "auto")

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


@dataclass(frozen=True)
class Lost:
    """Say that a cell had not begun when the process of another ended; it is to be run again."""

    index: int


Event = Progress | Done | Failed | Lost
Tell = Callable[[Event], None]


class Engine(ABC):
    """Run cells.

    Args:
        workers: the number of cells that run at the same time; 0 for one on each core, or on each GPU.
        accelerator: what each is computed on, one of ``ACCELERATORS``; ``"auto"`` is a GPU if there is one.

    Raises:
        EquiconvError: if there is no such accelerator.
    """

    def __init__(self, workers: int = 0, accelerator: str = "cpu") -> None:
        self.accelerator = _found(accelerator)
        self.workers = workers or self.places

    @property
    def places(self) -> int:
        """The cells that run at the same time, if no number is given."""
        return cores()

    @property
    def hardware(self) -> Hardware:
        """What one cell is computed on."""
        return Hardware(self.accelerator)

    @contextmanager
    def opened(self, work: Work) -> Iterator[None]:
        """Enter the context in which cells are run by ``work``; a process that but helps another ends here.

        Raises:
            SystemExit: in such a process, with code 0, when the other leaves the context.
        """
        yield

    @abstractmethod
    def run(self, cells: Mapping[int, Any], work: Work, tell: Tell) -> None:
        """Run cells in their order.

        Args:
            cells: by a number of each, which the events name.
            work: runs one of them.
            tell: called with what happens: for each cell with one ``Done``, ``Failed`` or ``Lost``.

        Raises:
            KeyboardInterrupt: if the user interrupts; processes that were started are ended.
        """


def failure(index: int, error: Exception) -> Failed:
    """Return what is said of an exception in a cell."""
    return Failed(index, f"{type(error).__name__}: {error}", died=False)


def death(index: int) -> Failed:
    """Return what is said of a process that ended."""
    return Failed(index, "a worker process ended before this cell was done (out of memory?); run again", died=True)


def _found(accelerator: str) -> str:
    """Return the accelerator that is meant; raise EquiconvError if this machine does not have it."""
    if accelerator == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if accelerator == "cuda" and not torch.cuda.is_available():
        raise EquiconvError("--accelerator cuda needs a GPU that PyTorch finds; it finds none: take cpu or auto")
    return accelerator


def refuse_torchrun() -> None:
    """Raise EquiconvError in a process that ``torchrun`` started."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise EquiconvError("torchrun started several processes, which would all do the same: add --engine torchrun")
