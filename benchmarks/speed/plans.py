"""Every execution plan of a layer, beside the dense convolution of the same expanded shape."""

from collections.abc import Sequence

import torch

from benchmarks.speed.cases import PLANS, REFERENCE, Build, Case, tiny
from benchmarks.speed.clock import take_turns
from benchmarks.speed.executions import chosen
from benchmarks.speed.section import Row, Section
from benchmarks.speed.setting import Setting
from benchmarks.speed.steps import compiled, multiplications, step_memory, steps
from benchmarks.text import markdown, ratio, share

__all__ = ["Plans", "auto_takes", "plans_markdown", "step_times"]

STEPS = ("forward", "forward_backward", "evaluation")
HEADERS = (
    *("layer", "maps", "computed by", "auto takes"),
    *("multiplications", "forward", "forward + backward", "evaluation", "memory"),
)


class Plans(Section):
    """Measure each layer with every execution that fits it."""

    def items(self, quick: bool) -> Sequence[Case]:
        """Return the layers."""
        return tiny(PLANS) if quick else PLANS

    def measure(self, item: Case, setting: Setting) -> Row:
        """Return the multiplications, times and memory of one layer, by what computes it."""
        builds = dict(item.contestants())
        times = step_times(builds, item, setting)
        return {
            "name": item.name,
            "input": [item.batch, item.channels[0], item.size, item.size],
            "auto": auto_takes(item, setting),
            "milliseconds": times,
            "multiplications": {name: multiplications(build, item) for name, build in builds.items()},
            "peak_bytes": {name: step_memory(build, item, setting) for name, build in builds.items()},
        }

    def files(self, rows: Sequence[Row], setting: Setting) -> dict[str, str]:
        """Return the table."""
        return {"plans.md": plans_markdown(rows)}


def step_times(
    builds: dict[str, Build], case: Case, setting: Setting, chosen_steps: Sequence[str] = STEPS
) -> dict[str, dict[str, float]]:
    """Return the milliseconds of each step of each contestant; all take turns.

    Args:
        builds: the contestants by name; those of a setting with ``compiled`` take part a second time, compiled.
        case: the layer and its input.
        setting: how it is measured.
        chosen_steps: of those that ``steps`` returns.
    """
    torch.compiler.reset()  # it compiles a forward only so many times, then gives up
    if setting.compiled:
        builds = builds | {f"{name}, compiled": compiled(build) for name, build in builds.items()}
    with setting.computing():
        tasks = {name: steps(build, case, setting) for name, build in builds.items()}
        turns = {f"{name}|{step}": tasks[name][step] for step in chosen_steps for name in tasks}
        times = take_turns(turns, setting)
    return {name: {step: times[f"{name}|{step}"] for step in chosen_steps} for name in tasks}


def auto_takes(case: Case, setting: Setting) -> dict[str, str]:
    """Return the execution that ``"auto"`` takes in training and in evaluation."""
    layer = case.layer()
    setting.place(layer)
    x = setting.tensor(*case.input_shape(layer))
    return {"training": chosen(layer.train(), x), "evaluation": chosen(layer.eval(), x)}


def plans_markdown(rows: Sequence[Row]) -> str:
    """Return the table in Markdown: of each layer what the dense convolution takes, and the others relative to it."""
    return markdown(HEADERS, [cells for row in rows for cells in _lines(row)], words=HEADERS.index("multiplications"))


def _lines(row: Row) -> list[list[str]]:
    times, work, memory = row["milliseconds"], row["multiplications"], row["peak_bytes"]
    dense = times[REFERENCE]
    batch, _, height, width = row["input"]
    auto = row["auto"]
    differs = auto["training"] != auto["evaluation"]
    lines = [[row["name"], f"{batch}x {height}x{width}", REFERENCE, auto["training"]]]
    lines[0][3] += f"; evaluation: {auto['evaluation']}" if differs else ""
    lines[0] += [_count(work[REFERENCE]), *(f"{dense[step]:.1f} ms" for step in STEPS), _megabytes(memory[REFERENCE])]
    for name in list(times)[1:]:
        plain = name.removesuffix(", compiled")
        ratios = [ratio(dense[step], times[name][step]) for step in STEPS]
        relative = f"{work[plain] / work[REFERENCE]:.3f}"
        lines.append(["", "", name, "", relative, *ratios, share(memory[REFERENCE], memory.get(name))])
    return lines


def _count(number: int) -> str:
    return f"{number / 1e9:.2f} G"


def _megabytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 2**20:.0f} MiB"
