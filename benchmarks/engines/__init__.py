"""Where the cells of a sweep run: on the cores of this machine, or on a Ray cluster."""

from benchmarks.engines.engine import Done, Engine, Event, Failed, Progress, Work
from benchmarks.engines.local import Local
from benchmarks.engines.ray import Ray

__all__ = ["ENGINES", "Done", "Engine", "Event", "Failed", "Local", "Progress", "Ray", "Work"]

ENGINES: dict[str, type[Engine]] = {"local": Local, "ray": Ray}
