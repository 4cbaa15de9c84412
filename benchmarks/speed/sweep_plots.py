"""The plots of the sweeps, as SVG."""

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.plots import COLORS, INK, MARKERS, STYLE, svg
from benchmarks.speed.cases import REFERENCE
from benchmarks.speed.section import Row

__all__ = ["draw_sweeps", "plan_of"]

LABELS = {"order": "order n of the group", "fields": "fields", "size": "rows and columns of the maps"}
PLAN = "plan with blocks"
SERIES = (REFERENCE, "dense", PLAN, "auto")
BOUND = "its bound by multiplications"


def draw_sweeps(rows: Sequence[Row]) -> dict[str, str]:
    """Return the plots by name: for each sweep a line of panels for each family of groups, time and ratio of a step.

    Args:
        rows: of the report.
    """
    plots = {}
    for sweep in dict.fromkeys(row["sweep"] for row in rows):
        name = f"sweep_{sweep}"
        with mpl.rc_context(STYLE):
            plots[name] = svg(_figure([row for row in rows if row["sweep"] == sweep], LABELS[sweep]), name)
    return plots


def plan_of(row: Row) -> str:
    """Return the plan with blocks that was measured beside the dense one."""
    return next(name for name in row["milliseconds"] if name not in SERIES)


def _figure(rows: Sequence[Row], label: str) -> Figure:
    families = list(dict.fromkeys(row["family"] for row in rows))
    figure = Figure(figsize=(7.2, 1 + 2.7 * len(families)), layout="constrained")
    panels = figure.subplots(len(families), 2, squeeze=False)
    for family, (times, ratios) in zip(families, panels, strict=True):
        points = [row for row in rows if row["family"] == family]
        _times(times, points)
        _ratios(ratios, points)
        times.set(title=f"{family}: milliseconds an image", yscale="log")
        ratios.set(title=f"{family}: times faster than {REFERENCE}")
        for axes in (times, ratios):
            _ticks(axes, [row["value"] for row in points], label)
    handles, labels = (list(part) for part in panels[0, 0].get_legend_handles_labels())
    for handle, name in zip(*panels[0, 1].get_legend_handles_labels(), strict=True):
        if name not in labels:
            handles.append(handle)
            labels.append(name)
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    return figure


def _milliseconds(row: Row) -> dict[str, float]:
    """Return the times by series."""
    return row["milliseconds"] | {PLAN: row["milliseconds"][plan_of(row)]}


def _times(axes: Axes, rows: Sequence[Row]) -> None:
    for index, name in enumerate(SERIES):
        points = [(row["value"], _milliseconds(row)[name] / row["input"][0]) for row in rows]  # batches may differ
        _line(axes, points, index, name)


def _ratios(axes: Axes, rows: Sequence[Row]) -> None:
    axes.axhline(1, color=COLORS[0], linewidth=1.5)
    for index, name in enumerate(SERIES[1:], 1):
        times = [(row["value"], _milliseconds(row)) for row in rows]
        _line(axes, [(value, series[REFERENCE] / series[name]) for value, series in times], index, name)
    work = [(row["value"], row["multiplications"], plan_of(row)) for row in rows]
    bound = [(value, counts[REFERENCE] / counts[plan]) for value, counts, plan in work]
    axes.plot(*zip(*bound, strict=True), color=COLORS[2], linewidth=1.2, linestyle="--", label=BOUND)
    axes.set_ylim(bottom=0)


def _line(axes: Axes, points: Sequence[tuple[int, float]], index: int, name: str) -> None:
    color, marker = COLORS[index], MARKERS[index]
    axes.plot(*zip(*points, strict=True), label=name, color=color, marker=marker, markersize=3.5, linewidth=1.5)


def _ticks(axes: Axes, values: Sequence[int], label: str) -> None:
    """Mark the measured values; on a log scale where they double."""
    if values[-1] > 4 * values[0] and values[1] == 2 * values[0]:
        axes.set_xscale("log", base=2)
    axes.set_xticks(values, [str(value) for value in values], minor=False)
    axes.set_xlabel(label)
    axes.grid(alpha=0.2, color=INK)
