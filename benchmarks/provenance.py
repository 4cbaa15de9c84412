"""Where numbers come from: versions, commit, machine."""

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import equiconv

__all__ = ["provenance"]

PACKAGES = (
    *("torch", "numpy", "scipy", "scikit-learn", "pillow", "matplotlib", "e2cnn"),
    *("kornia", "lightning-fabric"),
)
ROOT = Path(__file__).resolve().parent.parent


def provenance() -> dict[str, object]:
    """Return what a reader needs to judge or repeat a measurement: versions, commit, machine; fit for JSON."""
    versions = {name: version for name in PACKAGES if (version := _version(name))}
    return {
        "equiconv": equiconv.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "versions": versions,
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": cores(),
    }


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str:
    """Return the commit of the checkout, with ``+changes`` if files differ from it; ``unknown`` outside of one."""
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return "unknown"
    return commit + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _cpu() -> str:
    """Return the name of the processor."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
