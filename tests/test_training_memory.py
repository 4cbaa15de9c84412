"""Memory that a step frees is kept for the next one, so that the system does not clear it again."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TIMES = 20
SCRIPT = f"""
import resource, sys
sys.path.insert(0, {str(ROOT)!r})
import torch
from benchmarks.training.memory import keep_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

torch.set_num_threads(1)
if "keep" in sys.argv:
    keep_memory()
torch.ones(2**24)
before = faults()
for _ in range({TIMES}):
    torch.ones(2**24)  # 64 MB
sys.stdout.write(str(faults() - before))
"""


def page_faults(*words):
    """Return how often the system had to hand out a page while 64 MB were taken and freed again and again."""
    return int(
        subprocess.run([sys.executable, "-c", SCRIPT, *words], capture_output=True, text=True, check=True).stdout
    )


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="keep_memory changes the allocator of glibc only")
def test_freed_memory_is_kept():
    given_back, kept = page_faults(), page_faults("keep")
    assert given_back >= TIMES * 2**26 / 2**21  # pages are of 2 MB at most
    assert kept < given_back / 10
