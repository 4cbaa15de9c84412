"""The peak of the memory that a task takes."""

import ctypes
import gc
import multiprocessing
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

from benchmarks.speed.setting import Setting

__all__ = ["peak_memory"]

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # see proc(5)
IMPORTED_BY_BACKWARD = "torch.fx.experimental.symbolic_shapes"  # better once than in each process
MMAP_THRESHOLD, BYTES = -3, 1 << 16  # of mallopt


def peak_memory(task: Callable[[], object], setting: Setting) -> int | None:
    """Return the bytes that a task takes at its peak, above what was taken before; None where that cannot be known.

    It runs once to warm up, and once to be measured. On the CPU this is in a process of its own, and the memory is what
    the system gives to that process: scratch space and all. On a GPU it is what PyTorch's allocator has given out.

    Args:
        task: makes all that it needs, and can be pickled.
        setting: how it is computed.
    """
    if setting.device != "cpu":
        return _on_gpu(task, setting)
    context = multiprocessing.get_context("forkserver" if CLEAR.exists() else "spawn")
    context.set_forkserver_preload([__name__, IMPORTED_BY_BACKWARD])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_on_cpu, task, setting).result()


def _on_gpu(task: Callable[[], object], setting: Setting) -> int:
    with setting.computing():
        task()
        gc.collect()
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        task()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before


def _on_cpu(task: Callable[[], object], setting: Setting) -> int | None:
    if not CLEAR.exists():
        return None
    libc = ctypes.CDLL(None)
    libc.mallopt(MMAP_THRESHOLD, BYTES)  # a tensor has pages of its own, and gives them back
    with setting.computing():
        task()
        gc.collect()
        libc.malloc_trim(0)
        try:
            CLEAR.write_text(RESET_PEAK)
        except OSError:
            return None
        before = _status("VmRSS")
        task()
        return _status("VmHWM") - before


def _status(name: str) -> int:
    """Return an entry of the status of this process, in bytes."""
    found = re.search(rf"^{name}:\s+(\d+) kB", STATUS.read_text(), flags=re.MULTILINE)
    return 1024 * int(found[1]) if found else 0
