"""How much time and memory layers and networks take, beside the ordinary ones of the same expanded shape."""

from benchmarks.speed.builds import BUILDS, builds_markdown
from benchmarks.speed.cases import LAYERS, PLANS, Case
from benchmarks.speed.command import add_arguments, run
from benchmarks.speed.exported import EXPORTED, exported_markdown
from benchmarks.speed.implicit import TAUGHT, implicit_markdown
from benchmarks.speed.layers import layers_markdown
from benchmarks.speed.networks import NETWORKS, networks_markdown
from benchmarks.speed.plans import plans_markdown
from benchmarks.speed.rates import GRID, rates_markdown
from benchmarks.speed.setting import Setting
from benchmarks.speed.sweep_plots import draw_sweeps
from benchmarks.speed.sweeps import SWEEPS, sweeps_markdown

__all__ = [
    "BUILDS",
    "EXPORTED",
    "GRID",
    "LAYERS",
    "NETWORKS",
    "PLANS",
    "SWEEPS",
    "TAUGHT",
    "Case",
    "Setting",
    "add_arguments",
    "builds_markdown",
    "draw_sweeps",
    "exported_markdown",
    "implicit_markdown",
    "layers_markdown",
    "networks_markdown",
    "plans_markdown",
    "rates_markdown",
    "run",
    "sweeps_markdown",
]
