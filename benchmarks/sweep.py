"""Run the cells of a sweep that are not finished, and tell how far it is."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.cells import CellStore, Outcome, run_cells
from benchmarks.engines import ACCELERATORS, ENGINES
from benchmarks.progress import Tracker
from equiconv import EquiconvError

__all__ = ["add_engine_arguments", "check_workers", "result_folder", "sweep"]

Prices = Callable[[list[Any]], Mapping[Any, float]]


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say where cells run."""
    parser.add_argument("--engine", default="local", choices=ENGINES, help="where (default: %(default)s)")
    parser.add_argument("--accelerator", default="cpu", choices=ACCELERATORS, help="on what (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=0, help="processes (default: one on each core)")


def check_workers(workers: int) -> None:
    """Raise EquiconvError unless it is a number of processes, or 0 for one on each core."""
    if workers < 0:
        raise EquiconvError(f"--workers is at least 1, or 0 for one on each core; got {workers}")


def result_folder(out: str) -> Path:
    """Return the folder that results are written to; it is made if needed.

    Raises:
        EquiconvError: if it cannot be made.
    """
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EquiconvError(f"--out {out} cannot be made a folder: {error.strerror}") from error
    return Path(out)


def sweep(
    cells: Sequence[Any],
    work: Callable[..., Any],
    store: CellStore,
    console: Console,
    *,
    cost: Callable[[Any], float],
    prices: Prices = lambda cells: dict.fromkeys(cells, 1.0),
    engine: str = "local",
    workers: int = 0,
    accelerator: str = "cpu",
    train: bool = True,
) -> dict[Any, Outcome]:
    """Take the cells that are finished from the store, and run the others, dearest first.

    Args:
        cells: all of them.
        work: runs one; its arguments ``hardware`` and ``scratch`` say on what, and where it keeps its state.
        store: where results are, and are written.
        console: where to tell how far it is.
        cost: tells the work of a cell.
        prices: tells the time that a unit of work takes in each of the cells that are not finished.
        engine: where they run, one of ``ENGINES``.
        workers: the number of processes; 0 for one on each core.
        accelerator: what they are computed on.
        train: run those that are not finished; else they have neither a result nor a failure.

    Returns:
        What became of each cell, in the order of the cells.

    Raises:
        EquiconvError: if the engine cannot be used.
        SystemExit: with code 0, in a process that but helped another, which writes the results.
    """
    runner = ENGINES[engine](workers, accelerator)
    store = store.on(runner.hardware)
    ready = partial(work, hardware=runner.hardware, scratch=store.scratch)
    with runner.opened(ready):
        outcomes = {cell: Outcome(cell, result) for cell in cells if (result := store.read(cell))}
        if outcomes:
            console.print(f"{len(outcomes)} of {len(cells)} cells were finished before and are not trained again")
        missing = [cell for cell in cells if train and cell not in outcomes]
        price = prices(missing)
        missing.sort(key=lambda cell: -price[cell] * cost(cell))  # stable: seeds stay in order
        with Tracker(console, len(missing), sum(price[cell] * cost(cell) for cell in missing)) as tracker:

            def advance(cell: Any, done: float) -> None:
                tracker.advance(done * price[cell])

            def finished(outcome: Outcome) -> None:
                outcomes[outcome.cell] = outcome
                tracker.finished(outcome)

            run_cells(missing, ready, store, runner, advance=advance, finished=finished)
    return {cell: outcomes.get(cell, Outcome(cell, None)) for cell in cells}
