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

import torch

from benchmarks.engines.engine import (
    Done,
    Engine,
    Failed,
    Lost,
    Progress,
    Tell,
    Work,
    death,
    failure,
    refuse_torchrun,
)

__all__ = ["Local"]


class Local(Engine):
    """Run cells in processes of this machine, with one thread each; the results do not depend on their number.

    Where they compute on GPUs, the processes take turns: with two GPUs the third is on the first again.

    Raises:
        EquiconvError: if ``torchrun`` started this process, or there is no such accelerator.
    """

    def __init__(self, workers: int = 0, accelerator: str = "cpu") -> None:
        refuse_torchrun()
        super().__init__(workers, accelerator)

    @property
    def places(self) -> int:
        """The cells that run at the same time, if no number is given."""
        return len(_cards(self.accelerator)) or super().places

    def run(self, cells: Mapping[int, Any], work: Work, tell: Tell) -> None:
        """Run cells; tell what happens."""
        with _pool(min(self.workers, len(cells)), work, _cards(self.accelerator)) as (pool, messages):
            futures = {pool.submit(_run, cell, index): index for index, cell in cells.items()}
            pending: set[Future[Any]] = set(futures)
            begun: set[int] = set()
            while pending:
                done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
                begun |= _drain(messages, tell)
                for future in done:
                    tell(_settle(futures[future], future, begun))
            pool.shutdown()  # workers hand over their last messages when they end
            _drain(messages, tell)


def _cards(accelerator: str) -> list[str]:
    """Return the GPUs, as ``CUDA_VISIBLE_DEVICES`` names them; none where the CPU computes."""
    if accelerator == "cpu":
        return []
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return chosen.split(",") if chosen else [str(number) for number in range(torch.cuda.device_count())]


def _settle(index: int, future: "Future[Any]", begun: set[int]) -> Done | Failed | Lost:
    try:
        return Done(index, future.result())
    except BrokenProcessPool:  # for all cells, if one process ends
        return death(index) if index in begun else Lost(index)
    except Exception as error:  # one cell's failure is reported, and must not end the others
        return failure(index, error)


def _drain(messages: Any, tell: Tell) -> set[int]:
    """Tell what workers have sent; return the cells that it is about."""
    heard: set[int] = set()
    while True:
        try:
            index, done = messages.get_nowait()
        except queue.Empty:
            return heard
        heard.add(index)
        if done:
            tell(Progress(index, done))


@contextmanager
def _pool(workers: int, work: Work, cards: list[str]) -> Iterator[tuple[ProcessPoolExecutor, Any]]:
    """Start worker processes that end when this process lets go of a pipe, however it ends."""
    context = multiprocessing.get_context("spawn")
    messages, places = context.Queue(), context.SimpleQueue()
    for number in range(workers if cards else 0):
        places.put(cards[number % len(cards)])
    watched, held = context.Pipe(duplex=False)
    arguments = work, messages, watched, places if cards else None
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=arguments)
    try:
        yield pool, messages
    finally:
        held.close()  # ends workers that are still at work
        pool.shutdown(cancel_futures=True)
        watched.close()
        messages.close()
        places.close()


# -- in the worker ---------------------------------------------------------------------------------------------------

_worker: dict[str, Any] = {}


def _start_worker(work: Work, messages: Any, watched: Connection, places: Any) -> None:
    if places is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = places.get()  # read when CUDA starts, with the first cell
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's business
    threading.Thread(target=_end_with_parent, args=(watched,), daemon=True).start()
    _worker.update(work=work, messages=messages)


def _end_with_parent(watched: Connection) -> None:
    watched.poll(None)  # returns when the other end is closed
    os._exit(1)


def _run(cell: Any, index: int) -> Any:
    _worker["messages"].put((index, 0.0))  # it has begun
    return _worker["work"](cell, lambda done: _worker["messages"].put((index, done)))
