"""Tell how far the comparison is: a live bar with the time left in a terminal, plain lines elsewhere."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from benchmarks.cells import Outcome

__all__ = ["Tracker"]


class Tracker:
    """Follow the cells; use as a context.

    Args:
        console: where to write.
        cells: the number of cells to run.
        work: the work of all of them, in any unit that is proportional to time.
    """

    def __init__(self, console: Console, cells: int, work: float) -> None:
        self.console, self.cells, self.total = console, cells, work
        self.done = 0.0
        self.ended = 0
        self.started = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("time left"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            speed_estimate_period=120,
        )
        self._task = self._bar.add_task(self._describe(), total=work)

    def __enter__(self) -> "Tracker":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def advance(self, work: float) -> None:
        """Note work done."""
        self.done += work
        self._bar.advance(self._task, work)

    def finished(self, outcome: Outcome) -> None:
        """Note the end of a cell, and say how it went."""
        self.ended += 1
        self._bar.update(self._task, description=self._describe())
        name = f"{outcome.cell.label}, seed {outcome.cell.seed}"
        place = f"[{self.ended}/{self.cells}]"
        if outcome.result is None:
            self.console.print(f"{place} {name} failed: {outcome.failure}", style="red", markup=False, soft_wrap=True)
            return
        errors = ", ".join(f"{key} {100 * value:.1f} %" for key, value in outcome.result["error"].items())
        self.console.print(
            f"{place} {name}: error {errors}{self._left()}", markup=False, highlight=False, soft_wrap=True
        )

    def _describe(self) -> str:
        return f"training {self.ended}/{self.cells}"

    def _left(self) -> str:
        if self.console.is_terminal or not 0 < self.done < self.total:
            return ""
        seconds = (time.monotonic() - self.started) * (self.total / self.done - 1)
        return f"; about {seconds / 60:.0f} min left" if seconds >= 90 else f"; about {seconds:.0f} s left"
