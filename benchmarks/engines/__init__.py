"""Where the cells of a sweep run: on this machine, on a Ray cluster, or each on several devices under torchrun."""

from benchmarks.engines.engine import ACCELERATORS, Done, Engine, Event, Failed, Lost, Progress, Work, death
from benchmarks.engines.local import Local
from benchmarks.engines.ray import Ray
from benchmarks.engines.torchrun import Torchrun

__all__ = [
    "ACCELERATORS",
    "ENGINES",
    "Done",
    "Engine",
    "Event",
    "Failed",
    "Local",
    "Lost",
    "Progress",
    "Ray",
    "Torchrun",
    "Work",
    "death",
]

ENGINES: dict[str, type[Engine]] = {"local": Local, "ray": Ray, "torchrun": Torchrun}
