"""Every kind of layer as it is by default, beside the dense convolution and other libraries."""

from collections.abc import Sequence

import torch

from benchmarks.peers import e2cnn_layer, e2cnn_tasks
from benchmarks.speed.cases import LAYERS, Case, tiny
from benchmarks.speed.clock import Task, take_turns
from benchmarks.speed.section import Row, Section
from benchmarks.speed.setting import Setting
from benchmarks.speed.steps import steps
from benchmarks.text import markdown
from equiconv.groups import Cyclic, Dihedral

__all__ = ["Layers", "layers_markdown"]

STEPS = ("build", "expand", "forward", "forward_backward")
HEADERS = ("layer", "channels", "build", "expand", "forward", "forward + backward")


class Layers(Section):
    """Measure each layer with the execution that it has by default."""

    def items(self, quick: bool) -> Sequence[Case]:
        """Return the layers."""
        return tiny(LAYERS) if quick else LAYERS

    def measure(self, item: Case, setting: Setting) -> Row:
        """Return the times of one layer, of the dense convolution and of other libraries."""
        layer = item.layer()
        with setting.computing():
            times = take_turns(_tasks(item, setting), setting)
        return {
            "name": item.name,
            "channels": item.channels,
            "input": item.input_shape(layer),
            "kernel": item.kernel,
            "milliseconds": times,
        }

    def files(self, rows: Sequence[Row], setting: Setting) -> dict[str, str]:
        """Return a table beside the dense convolution, and one beside each of the other libraries."""
        others = {"layers.md": "dense", **{f"{peer}.md": peer for peer in setting.peers}}
        return {name: layers_markdown(rows, other) for name, other in others.items()}


def _tasks(case: Case, setting: Setting) -> dict[str, Task]:
    layer = case.layer().to(setting.device)
    tasks: dict[str, Task] = {
        "build": case.layer,
        "dense_build": case.dense,
        "expand": torch.no_grad()(layer.kernel),
    }
    ours, dense = steps(case.layer, case, setting), steps(case.dense, case, setting)
    for step in ("forward", "forward_backward"):
        tasks |= {step: ours[step], f"dense_{step}": dense[step]}
    if "e2cnn" in setting.peers and case.harmonics and isinstance(case.group, (Cyclic, Dihedral)):
        flat = torch.randn(case.batch, case.channels[0], case.size, case.size, requires_grad=True)
        tasks |= e2cnn_tasks(e2cnn_layer(case.group, case.fields, case.kernel), flat)
    return tasks


def layers_markdown(rows: Sequence[Row], other: str) -> str:
    """Return the table in Markdown: our times, and in parentheses their ratios to those of the other.

    Args:
        rows: of the report.
        other: ``"dense"``, or one of the other libraries; layers that it lacks are left out.
    """
    chosen = [row for row in rows if f"{other}_forward" in row["milliseconds"]]
    return markdown(HEADERS, [_cells(row, other) for row in chosen])


def _cells(row: Row, other: str) -> list[str]:
    times = row["milliseconds"]
    cells = [row["name"], " -> ".join(map(str, row["channels"]))]
    for step in STEPS:
        of_forward = (other, step) == ("dense", "expand")
        quotient = times[step] / times["dense_forward" if of_forward else f"{other}_{step}"]
        part = f"{100 * quotient:.1f} % of forward" if of_forward else f"{quotient:.3g} x"
        cells.append(f"{times[step]:.1f} ms ({part})")
    return cells
