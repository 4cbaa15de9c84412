"""Keep the memory that a training run frees for its next step."""

import ctypes
import sys

__all__ = ["keep_memory"]

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # the parameters of mallopt that malloc.h defines
LARGEST = 2**31 - 1


def keep_memory() -> None:
    """Let glibc keep what is freed; other C libraries, and other systems, stay as they are.

    The maps of a batch are larger than what glibc keeps by default. It gives them back to the system, which clears them
    page by page when the next step asks for as much, and that can take as long as the computation.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(MMAP_MAX, 0)
        mallopt(TRIM_THRESHOLD, LARGEST)
