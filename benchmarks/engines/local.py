"""Run cells on the cores of this machine."""

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.engines.engine import Done, Engine, Event, Failed, Progress, Work, death, failure

__all__ = ["Local"]


class Local(Engine):
    """Run cells in processes of this machine; the results do not depend on their number."""

    def run(self, cells: Mapping[int, Any], work: Work) -> Iterator[Event]:
        """Run cells; yield what happens."""
        with _pool(min(self.workers, len(cells)), work) as (pool, messages):
            futures = {pool.submit(_run, cell, index): index for index, cell in cells.items()}
            pending: set[Future[Any]] = set(futures)
            while pending:
                done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                yield from _drain(messages)
                yield from (_settle(futures[future], future) for future in done)
            pool.shutdown()  # workers hand over their last messages when they end
            yield from _drain(messages)


def _settle(index: int, future: "Future[Any]") -> Done | Failed:
    try:
        return Done(index, future.result())
    except BrokenProcessPool:
        return death(index)
    except Exception as error:  # one cell's failure is reported, and must not end the others
        return failure(index, error)


def _drain(messages: Any) -> Iterator[Progress]:
    while True:
        try:
            yield Progress(*messages.get_nowait())
        except queue.Empty:
            return


@contextmanager
def _pool(workers: int, work: Work) -> Iterator[tuple[ProcessPoolExecutor, Any]]:
    """Start worker processes that end when this process lets go of a pipe, however it ends."""
    context = multiprocessing.get_context("spawn")
    messages = context.Queue()
    watched, held = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(work, messages, watched))
    try:
        yield pool, messages
    finally:
        held.close()  # ends workers that are still at work
        pool.shutdown(cancel_futures=True)
        watched.close()
        messages.close()


# -- in the worker ---------------------------------------------------------------------------------------------------

_worker: dict[str, Any] = {}


def _start_worker(work: Work, messages: Any, watched: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's business
    threading.Thread(target=_end_with_parent, args=(watched,), daemon=True).start()
    _worker.update(work=work, messages=messages)


def _end_with_parent(watched: Connection) -> None:
    watched.poll(None)  # returns when the other end is closed
    os._exit(1)


def _run(cell: Any, index: int) -> Any:
    return _worker["work"](cell, lambda done: _worker["messages"].put((index, done)))
