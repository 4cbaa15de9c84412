"""One number after the other: the order of the group, the number of fields, the size of the maps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from benchmarks.speed.cases import COLORS, REFERENCE, SPATIAL, Build, Case, tiny
from benchmarks.speed.plans import auto_takes, step_times
from benchmarks.speed.section import Row, Section
from benchmarks.speed.setting import Setting
from benchmarks.speed.steps import multiplications
from benchmarks.speed.sweep_plots import draw_sweeps, plan_of
from benchmarks.text import markdown, ratio
from equiconv.groups import P4M, HueShift

__all__ = ["SWEEPS", "Point", "Sweeps", "sweeps_markdown"]

STEP = "forward_backward"
LIMIT = 10**10  # multiplications of the dense convolution; a batch is as small as that takes
HEADERS = ("layer", "maps", REFERENCE, "dense", "plan", "its ratio", "auto", "auto takes")


@dataclass(frozen=True)
class Point:
    """Hold one point of a sweep.

    Args:
        sweep: what changes: ``"order"``, ``"fields"`` or ``"size"``.
        family: the groups whose points are joined by a line.
        value: where it lies.
        case: what is measured there.
    """

    sweep: str
    family: str
    value: int
    case: Case


_case = partial(Case, batch=16)


def _points() -> Iterator[Point]:
    for n in (*range(2, 9), 10, 12):
        yield Point("order", "HueShift(n)", n, _case(HueShift(n), 32, size=16))
    for group, executions in ((HueShift(3), COLORS), (P4M(), SPATIAL)):
        for fields in (16, 32, 64, 128, 256):
            yield Point("fields", repr(group), fields, _case(group, fields, executions=executions, size=8))
        for size in (8, 16, 32, 64):
            yield Point("size", repr(group), size, _case(group, 32, executions=executions, size=size))


def _affordable(point: Point) -> Point:
    """Return the point with a batch that a small machine computes in a second or two."""
    case = point.case
    one = case.channels[0] * case.channels[1] * case.kernel**2 * case.size**2
    return replace(point, case=replace(case, batch=max(1, min(case.batch, LIMIT // one))))


SWEEPS = tuple(map(_affordable, _points()))


class Sweeps(Section):
    """Measure forward and backward of one layer at each point of each sweep."""

    def items(self, quick: bool) -> Sequence[Point]:
        """Return the points."""
        if not quick:
            return SWEEPS
        return [replace(point, case=small) for point in SWEEPS for small in tiny([point.case])]

    def measure(self, item: Point, setting: Setting) -> Row:
        """Return the times and multiplications at one point, by what computes it."""
        case = item.case
        builds: dict[str, Build] = dict(case.contestants())
        work = {name: multiplications(build, case) for name, build in builds.items()}
        times = step_times(builds | {"auto": partial(case.layer, "auto")}, case, setting, (STEP,))
        return {
            "sweep": item.sweep,
            "family": item.family,
            "value": item.value,
            "name": case.name,
            "input": [case.batch, case.channels[0], case.size, case.size],
            "auto": auto_takes(case, setting)["training"],
            "milliseconds": {name: times[name][STEP] for name in times},
            "multiplications": work,
        }

    def files(self, rows: Sequence[Row], setting: Setting) -> dict[str, str]:
        """Return the table, and a plot of each sweep."""
        return {"sweeps.md": sweeps_markdown(rows), **{f"{k}.svg": v for k, v in draw_sweeps(rows).items()}}


def sweeps_markdown(rows: Sequence[Row]) -> str:
    """Return the table in Markdown: the time of the dense convolution, and how many times faster the others are."""
    return markdown(HEADERS, [_cells(row) for row in rows], words=2)


def _cells(row: Row) -> list[str]:
    times = row["milliseconds"]
    batch, _, height, width = row["input"]
    dense = times[REFERENCE]
    plan = plan_of(row)
    ratios = {name: ratio(dense, times[name]) for name in ("dense", plan, "auto")}
    head = [row["name"], f"{batch}x {height}x{width}", f"{dense:.1f} ms", ratios["dense"]]
    return [*head, plan, ratios[plan], ratios["auto"], row["auto"]]
