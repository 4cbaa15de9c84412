"""How the rates were found by which ``execution="auto"`` chooses, and whether it chooses well."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial

import torch

from benchmarks.speed.cases import COLORS, FACTORIZED, SPATIAL, Build, Case, tiny
from benchmarks.speed.plans import step_times
from benchmarks.speed.section import Row, Section
from benchmarks.speed.setting import DTYPES, Setting
from benchmarks.text import markdown, ratio
from equiconv.execution import rates
from equiconv.execution.choice import GAIN, PLANS
from equiconv.execution.plan import Work
from equiconv.execution.rates import gain
from equiconv.groups import P4, P4M, Cyclic, Group, HueShift

__all__ = ["GRID", "Rates", "in_use", "is_taken", "pixels", "rate", "rates_markdown", "slower", "work"]

DENSE = "dense"
STEPS = {"training": "forward_backward", "evaluation": "evaluation"}
HEADERS = ("layer", "maps", "plan", "promised", *STEPS, "taken")
SUMMARY = ("plan", "rate in use", "median measured", "largest measured", "taken", "slowest taken", "fastest left")
MARK = "<!-- by plan -->"
POINTS = ((16, 16), (32, 16), (64, 16), (64, 8), (128, 8))  # fields, rows and columns
WIDEST = 1024  # channels of a 1x1 kernel

_colors, _spatial, _factorized = (
    partial(Case, batch=16, executions=executions) for executions in (COLORS, SPATIAL, FACTORIZED)
)


def _at(case: Callable[..., Case], group: Group, points: Sequence[tuple[int, int]] = POINTS) -> Iterator[Case]:
    for fields, size in points:
        yield case(group, fields, size=size)


def _small() -> Iterator[Case]:
    """Yield layers on few pixels, where what is done once counts."""
    for batch, size in ((1, 8), (1, 16), (2, 16), (4, 8), (16, 4)):
        for group, fields in ((HueShift(3), 32), (HueShift(3), 64), (HueShift(4), 32), (HueShift(8), 16)):
            yield _colors(group, fields, batch=batch, size=size)
        yield _colors(P4M(), 64, kernel=1, batch=batch, size=size)
        yield _spatial(P4M(), 128, batch=batch, size=size)
        for factored in (HueShift(3), P4M()):
            yield _factorized(factored, 16, "gc", batch=batch, size=size)


def _grid() -> Iterator[Case]:
    for n in (3, 4, 6):
        yield from _at(_colors, HueShift(n), (*POINTS, (32, 32)))
    yield _colors(HueShift(3) * P4M(), 16, size=16)
    for group in (P4M(), P4(), HueShift(3) * P4M()):
        affordable = [point for point in POINTS if group.order * point[0] <= WIDEST]
        yield from _at(partial(_colors, kernel=1), group, affordable)
    for group in (P4(), P4M()):
        yield from _at(_spatial, group)
    for kernel in (3, 5):
        yield from _at(partial(_spatial, kernel=kernel), Cyclic(8), ((16, 16), (32, 16), (64, 8)))
    yield _spatial(P4M(), 64, kernel=5, harmonics=True, size=8)
    for group in (HueShift(3), P4(), P4M()):
        points = ((8, 16), (16, 16), (32, 16), (64, 16), (128, 8))
        yield from _at(partial(_factorized, factorization="gc"), group, points)
    yield from _small()


GRID = tuple(_grid())


class Rates(Section):
    """Measure the dense plan and another one, and at which rate its promise would be what was measured."""

    def stem(self, name: str, setting: Setting) -> str:
        """Return the name of the report: each precision has its own."""
        return name if setting.dtype == "float32" else f"{name}_{setting.dtype}"

    def items(self, quick: bool) -> Sequence[Case]:
        """Return the layers; the plan that is measured is the last of their executions."""
        return tiny(GRID) if quick else GRID

    def measure(self, item: Case, setting: Setting) -> Row:
        """Return the times of both plans, the ratio that is promised and those measured, and the rates."""
        plan, works = item.executions[-1], work(item)
        builds: dict[str, Build] = {name: partial(item.layer, name) for name in works}
        times = step_times(builds, item, setting, list(STEPS.values()))
        measured = {name: times[DENSE][step] / times[plan][step] for name, step in STEPS.items()}
        device, dtype = setting.device, DTYPES[setting.dtype]
        used = in_use(device, dtype)
        return {
            "name": item.name,
            "input": [item.batch, item.channels[0], item.size, item.size],
            "plan": plan,
            "milliseconds": times,
            "work": {name: asdict(effort) for name, effort in works.items()},
            "promised": gain(plan, works[plan], works[DENSE], pixels(item), device, dtype),
            "measured": measured,
            "rate": used.traffic.get(plan),
            "rates": {
                name: rate(value, works[plan], works[DENSE], pixels(item), used) for name, value in measured.items()
            },
        }

    def files(self, rows: Sequence[Row], setting: Setting) -> dict[str, str]:
        """Return the tables."""
        return {f"{self.stem('rates', setting)}.md": rates_markdown(rows)}


def work(case: Case) -> dict[str, Work]:
    """Return what the dense plan does for a layer, and what the plan does that is measured."""
    job = case.layer(DENSE).dense.job
    return {name: PLANS[name].work(job) for name in (DENSE, case.executions[-1])}


def pixels(case: Case) -> int:
    """Return the pixels of the output, in all images."""
    return case.batch * case.size**2


def in_use(device: str, dtype: torch.dtype) -> rates.Rates:
    """Return the rates by which ``"auto"`` chooses; where nothing has been measured, all but the traffic is free."""
    return rates.RATES.get((device, dtype), rates.Rates({}, kernel=0.0, call=0.0))


def rate(measured: float, effort: Work, dense: Work, pixels: float, used: rates.Rates) -> float:
    """Return the rate of traffic at which the promise of a plan would be the measured ratio: ``gain``, backwards.

    Args:
        measured: how many times faster than the dense plan it was.
        effort: what it does.
        dense: what the dense plan does.
        pixels: of the output, in all images.
        used: the other rates.
    """
    return (used.cost(dense, 0.0, pixels) / measured - used.cost(effort, 0.0, pixels)) / effort.traffic


def is_taken(row: Row) -> bool:
    """Tell whether the promise is large enough for ``"auto"`` to take the plan."""
    return bool(row["promised"] > GAIN)


def slower(row: Row) -> float:
    """Return the smaller one of the measured ratios."""
    return min(row["measured"].values())


def rates_markdown(rows: Sequence[Row]) -> str:
    """Return two tables in Markdown: every layer, and after a mark a summary by plan."""
    plans = dict.fromkeys(row["plan"] for row in rows)
    summary = [_summary(plan, [row for row in rows if row["plan"] == plan]) for plan in plans]
    layers = markdown(HEADERS, [_cells(row) for row in rows], words=HEADERS.index("promised"))
    return f"{layers}\n{MARK}\n\n{markdown(SUMMARY, summary)}"


def _cells(row: Row) -> list[str]:
    batch, _, height, width = row["input"]
    ratios = [_factor(row["promised"]), *(_factor(row["measured"][name]) for name in STEPS)]
    return [row["name"], f"{batch}x {height}x{width}", row["plan"], *ratios, "yes" if is_taken(row) else "no"]


def _summary(plan: str, rows: Sequence[Row]) -> list[str]:
    used = rows[0]["rate"]
    measured = [value for row in rows for value in row["rates"].values()]
    taken = [slower(row) for row in rows if is_taken(row)]
    left = [slower(row) for row in rows if not is_taken(row)]
    rates = ["-" if used is None else f"{used:.0f}", f"{statistics.median(measured):.0f}", f"{max(measured):.0f}"]
    extremes = [_factor(min(taken, default=0)), _factor(max(left, default=0))]
    return [plan, *rates, f"{len(taken)} of {len(rows)}", *extremes]


def _factor(value: float) -> str:
    """Return how many times faster something is; a dash for 0, which says that there is nothing."""
    return ratio(value, 1) if value else "-"
