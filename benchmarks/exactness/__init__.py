"""What is exact for which group, layer by layer and setting by setting; and what clipping does to shifted hues."""

from benchmarks.exactness.clipping import HUES, clipping_markdown, measure_clipping
from benchmarks.exactness.command import add_arguments, read, run
from benchmarks.exactness.measure import GROUPS, Cell, measure
from benchmarks.exactness.settings import SETTINGS, Setting
from benchmarks.exactness.table import markdown

__all__ = [
    "GROUPS",
    "HUES",
    "SETTINGS",
    "Cell",
    "Setting",
    "add_arguments",
    "clipping_markdown",
    "markdown",
    "measure",
    "measure_clipping",
    "read",
    "run",
]
