"""Run cells on a Ray cluster, or on this machine as one."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.engines.engine import (
    Done,
    Engine,
    Event,
    Failed,
    Progress,
    Tell,
    Work,
    death,
    failure,
    refuse_torchrun,
)
from equiconv import EquiconvError

__all__ = ["Ray"]


class Ray(Engine):
    """Run cells as tasks of Ray: of the cluster that ``RAY_ADDRESS`` names, or of one that is started here and ended.

    The machines of a cluster need equiconv, its benchmarks, and the folder of the results at the same path. A cell has
    one core, and one GPU with ``"cuda"``.

    Raises:
        EquiconvError: if Ray is not installed, a GPU is asked for and there is none, ``torchrun`` started this process,
            or a number of workers is given for a cluster.
    """

    def __init__(self, workers: int = 0, accelerator: str = "cpu") -> None:
        refuse_torchrun()
        if workers and "RAY_ADDRESS" in os.environ:
            raise EquiconvError(f"the cluster at RAY_ADDRESS knows its cores; got --workers {workers}: leave it out")
        super().__init__(workers, accelerator)

    def run(self, cells: Mapping[int, Any], work: Work, tell: Tell) -> None:
        """Run cells; tell what happens."""
        ray = _ray()
        started = not ray.is_initialized()
        if started:
            here = None if "RAY_ADDRESS" in os.environ else self.workers  # a cluster knows its own number
            ray.init(num_cpus=here, include_dashboard=False, log_to_driver=False)
        try:
            for event in _events(ray, cells, work, _cards(ray, self.accelerator)):
                tell(event)
        finally:
            if started:
                ray.shutdown()


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise EquiconvError('--engine ray needs Ray: pip install "equiconv[ray]"; or take --engine local') from None
    return ray


def _cards(ray: Any, accelerator: str) -> int:
    """Return the number of GPUs of a cell."""
    if accelerator != "cuda":
        return 0
    if not ray.cluster_resources().get("GPU"):  # it would wait for one
        raise EquiconvError("--accelerator cuda needs a GPU that Ray finds; it finds none: take cpu")
    return 1


def _events(ray: Any, cells: Mapping[int, Any], work: Work, cards: int) -> Iterator[Event]:
    from ray.util.queue import Queue

    messages, shared = Queue(), ray.put(work)
    task = ray.remote(num_cpus=1, num_gpus=cards, max_retries=0)(_run)
    pending = {task.remote(shared, cell, index, messages): index for index, cell in cells.items()}
    try:
        while pending:
            done, _ = ray.wait(list(pending), num_returns=1, timeout=0.5)
            yield from (Progress(*message) for message in messages.get_nowait_batch(messages.qsize()))
            yield from (_settle(ray, pending.pop(reference), reference) for reference in done)
    finally:
        for reference in pending:
            ray.cancel(reference, force=True)
        messages.shutdown()


def _settle(ray: Any, index: int, reference: Any) -> Done | Failed:
    try:
        return Done(index, ray.get(reference))
    except ray.exceptions.RayTaskError as error:  # one cell's failure is reported, and must not end the others
        return failure(index, error.cause)
    except ray.exceptions.RayError:
        return death(index)


def _run(work: Work, cell: Any, index: int, messages: Any) -> Any:
    return work(cell, lambda done: messages.put((index, done)))
