"""Take the time of tasks that take turns."""

import statistics
import time
from collections.abc import Callable, Mapping

import torch

from benchmarks.speed.setting import Setting

__all__ = ["Task", "take_turns"]

Task = Callable[[], object]

IN_A_ROW = 10  # on a GPU, which works on while Python goes ahead


def take_turns(tasks: Mapping[str, Task], setting: Setting) -> dict[str, float]:
    """Return the milliseconds of each task: the median over the rounds, after one round to warm up.

    In each round every task has its turn, so that a slow moment of the machine meets all of them. On the CPU it is the
    processor time of this thread, so that other programs disturb little; on a GPU the mean over some runs in a row,
    from the launch of the first to the end of the last.
    """
    stopwatch = _processor_time if setting.device == "cpu" else _event_time
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(setting.rounds + 1):
        for name, task in tasks.items():
            times[name].append(stopwatch(task))
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def _processor_time(task: Task) -> float:
    start = time.thread_time()
    task()
    return 1000 * (time.thread_time() - start)


def _event_time(task: Task) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    for _ in range(IN_A_ROW):
        task()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / IN_A_ROW
