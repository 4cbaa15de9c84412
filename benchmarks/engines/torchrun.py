"""Run each cell on several devices, of one machine or more."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from benchmarks.engines.engine import Done, Engine, Failed, Progress, Tell, Work, failure
from benchmarks.training import Hardware
from equiconv import EquiconvError

__all__ = ["Torchrun"]


class Torchrun(Engine):
    """Run cells one after the other in the processes that ``torchrun`` started, all of which train the same network.

    The first process leads: it names each cell to the others, and it alone tells what happens. The machines need
    equiconv, its benchmarks, and the folder of the results at the same path. A cell fails by a loss that is not finite,
    or by what an ``EquiconvError`` refuses, because both happen to all processes alike; whatever else happens in one of
    them ends the run, because the others would wait for it.

    Raises:
        EquiconvError: if ``torchrun`` did not start this process, a number of workers is given, or there is no such
            accelerator.
    """

    def __init__(self, workers: int = 0, accelerator: str = "cpu") -> None:
        if "TORCHELASTIC_RUN_ID" not in os.environ:
            raise EquiconvError(
                "--engine torchrun needs processes that torchrun started, and this is none of them: run "
                "torchrun --nproc_per_node=2 -m benchmarks ..., or take --engine local"
            )
        if workers:
            raise EquiconvError(
                f"with --engine torchrun, torchrun --nproc_per_node says how many processes there are; got --workers "
                f"{workers}: leave it out"
            )
        super().__init__(workers, accelerator)

    @property
    def hardware(self) -> Hardware:
        """All devices, each with a process of its own."""
        here, everywhere = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
        return Hardware(self.accelerator, devices=here, nodes=everywhere // here)

    @contextmanager
    def opened(self, work: Work) -> Iterator[None]:
        """Enter the context in which cells are run; processes that do not lead work here until the first one leaves."""
        self._fabric = self.hardware.fabric("32-true")
        if not self._fabric.is_global_zero:
            while cell := self._named():
                _outcome(0, cell[0], work, lambda _: None)
            raise SystemExit(0)
        yield
        self._named(())

    def run(self, cells: Mapping[int, Any], work: Work, tell: Tell) -> None:
        """Run cells; tell what happens."""
        for index, cell in cells.items():
            self._named((cell,))
            tell(_outcome(index, cell, work, tell))

    def _named(self, cell: tuple[Any, ...] = ()) -> tuple[Any, ...]:
        """Return the cell that the first process names; an empty tuple if there are no more."""
        return self._fabric.broadcast(cell)


def _outcome(index: int, cell: Any, work: Work, tell: Tell) -> Done | Failed:
    try:
        return Done(index, work(cell, lambda done: tell(Progress(index, done))))
    except (FloatingPointError, EquiconvError) as error:
        return failure(index, error)
