"""How long it takes to make layers and networks."""

from collections.abc import Callable, Sequence
from functools import partial

from torch import nn

from benchmarks.speed.cases import Case
from benchmarks.speed.clock import take_turns
from benchmarks.speed.section import Row, Section
from benchmarks.speed.setting import Setting
from benchmarks.text import markdown
from equiconv.groups import P4M, SO2, Cyclic, Dihedral, Flip
from equiconv.models import SteerableCNN, WideResNet

__all__ = ["BUILDS", "Builds", "builds_markdown"]

BUILDS: dict[str, Callable[[], nn.Module]] = {
    "one layer, Dihedral(4): 64 -> 64, 5x5": Case(P4M(), 64, kernel=5, harmonics=True).layer,
    "one layer, Cyclic(16): 64 -> 64, 7x7": Case(Cyclic(16), 64, kernel=7, harmonics=True).layer,
    "SteerableCNN, Cyclic(8)": partial(SteerableCNN, Cyclic(8)),
    "SteerableCNN, SO2(3)": partial(SteerableCNN, SO2(3)),
    "WideResNet 28-10, Dihedral(8), Dihedral(4), Flip(0)": partial(WideResNet, (Dihedral(8), Dihedral(4), Flip(0))),
}


class Builds(Section):
    """Measure what it takes to make each, initialization included; on the CPU."""

    def items(self, quick: bool) -> Sequence[str]:
        """Return the names of what is made."""
        return list(BUILDS)[:1] if quick else list(BUILDS)

    def measure(self, item: str, setting: Setting) -> Row:
        """Return the time to make a layer or a network, and its number of parameters."""
        with setting.computing():
            parameters = sum(parameter.numel() for parameter in BUILDS[item]().parameters())
            times = take_turns({"build": BUILDS[item]}, Setting(setting.rounds))
        return {"name": item, "parameters": parameters, "milliseconds": times["build"]}

    def files(self, rows: Sequence[Row], setting: Setting) -> dict[str, str]:
        """Return the table."""
        return {"builds.md": builds_markdown(rows)}


def builds_markdown(rows: Sequence[Row]) -> str:
    """Return the table of the times to build in Markdown."""
    cells = [[row["name"], f"{row['parameters']:,}", f"{row['milliseconds']:.0f} ms"] for row in rows]
    return markdown(("what", "parameters", "build"), cells)
