"""Run cells in worker processes; keep each result in a file of its own, so that a killed run resumes."""

import hashlib
import json
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

import equiconv
from benchmarks.data import Dataset
from benchmarks.files import write_json
from benchmarks.train import Cell, Protocol, run_cell

__all__ = ["CellStore", "Outcome", "run_cells"]

Result = dict[str, Any]
HERE = Path(__file__).parent
SOURCES = (
    Path(equiconv.__file__).parent,
    *(HERE / name for name in ("train.py", "networks.py", "data/batch.py", "data/moves.py")),
)


@dataclass(frozen=True)
class Outcome:
    """Hold what became of a cell: its result, or what went wrong."""

    cell: Cell
    result: Result | None
    failure: str | None = None


class CellStore:
    """Keep the results of cells as JSON files, under names that hash everything that determines them.

    That is: the images and labels, the protocol, the group, width, basis and seed, the source code of the library and
    of the training, and the versions of PyTorch and NumPy.

    Args:
        folder: where the files are.
        data: the data set of all cells.
        protocol: the protocol of all cells.
    """

    def __init__(self, folder: Path, data: Dataset, protocol: Protocol) -> None:
        self.folder = folder
        versions = (torch.__version__, np.__version__)
        self._common = (data.fingerprint(), asdict(protocol), _source_hash(), versions)

    def path(self, cell: Cell) -> Path:
        """Return the file of a cell."""
        key = repr((self._common, repr(cell.group), cell.width, cell.basis, cell.seed))
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:20]}.json"

    def read(self, cell: Cell) -> Result | None:
        """Return the stored result of a cell, under the cell's present label; None if it is not finished."""
        path = self.path(cell)
        return {**json.loads(path.read_text(encoding="utf-8")), "group": cell.label} if path.exists() else None

    def write(self, cell: Cell, result: Result) -> None:
        """Store the result of a cell."""
        write_json(self.path(cell), result)


def _source_hash() -> str:
    digest = hashlib.sha256()
    for source in SOURCES:
        for path in sorted(source.rglob("*.py")) if source.is_dir() else [source]:
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def run_cells(
    cells: list[Cell],
    data: Dataset,
    protocol: Protocol,
    store: CellStore,
    *,
    workers: int,
    advance: Callable[[Cell, float], None],
    finished: Callable[[Outcome], None],
) -> None:
    """Run cells in worker processes, each with one thread; the results do not depend on the number of workers.

    Args:
        cells: what to run, in the order in which to start; nothing is started if there are none.
        data: the images.
        protocol: how to train and test.
        store: where each result is written as soon as it is there.
        workers: the number of processes.
        advance: called with a cell and the work done in it since the last call.
        finished: called once for each cell.

    Raises:
        KeyboardInterrupt: if the user interrupts; the workers are ended, finished cells stay.
    """
    if not cells:
        return
    with _pool(min(workers, len(cells)), data, protocol) as (pool, messages):
        futures = {pool.submit(_work, cell, index): cell for index, cell in enumerate(cells)}
        pending: set[Future[Result]] = set(futures)
        while pending:
            done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
            for index, work in _drain(messages):
                advance(cells[index], work)
            for future in done:
                finished(_settle(futures[future], future, store))


def _settle(cell: Cell, future: "Future[Result]", store: CellStore) -> Outcome:
    try:
        result = future.result()
    except BrokenProcessPool:
        return Outcome(cell, None, "a worker process ended before this cell was done (out of memory?); run again")
    except Exception as error:  # one cell's failure is reported, and must not end the others
        return Outcome(cell, None, f"{type(error).__name__}: {error}")
    store.write(cell, result)
    return Outcome(cell, result)


def _drain(messages: Any) -> Iterator[tuple[int, float]]:
    while True:
        try:
            yield messages.get_nowait()
        except queue.Empty:
            return


@contextmanager
def _pool(workers: int, data: Dataset, protocol: Protocol) -> Iterator[tuple[ProcessPoolExecutor, Any]]:
    """Start worker processes that end when this process lets go of a pipe, however it ends."""
    context = multiprocessing.get_context("spawn")
    messages = context.Queue()
    watched, held = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start_worker, initargs=(data, protocol, messages, watched)
    )
    try:
        yield pool, messages
        pool.shutdown()
    finally:
        held.close()  # ends workers that are still at work
        pool.shutdown(cancel_futures=True)
        watched.close()
        messages.close()


# -- in the worker ---------------------------------------------------------------------------------------------------

_worker: dict[str, Any] = {}


def _start_worker(data: Dataset, protocol: Protocol, messages: Any, watched: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's business
    threading.Thread(target=_end_with_parent, args=(watched,), daemon=True).start()
    _worker.update(data=data, protocol=protocol, messages=messages)


def _end_with_parent(watched: Connection) -> None:
    watched.poll(None)  # returns when the other end is closed
    os._exit(1)


def _work(cell: Cell, index: int) -> Result:
    return run_cell(cell, _worker["data"], _worker["protocol"], lambda work: _worker["messages"].put((index, work)))
