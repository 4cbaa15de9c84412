"""The plots of the comparison, as SVG."""

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from benchmarks.data.moves import CONDITIONS
from benchmarks.summary import Row

__all__ = ["BANDS", "COLORS", "DASHES", "INK", "MARKERS", "PLOTS", "STYLE", "band", "draw", "legend", "series", "svg"]

INK = "#102030"  # a color of its own, so that a page can put its text color in its place
COLORS = ("#8c8c8c", "#3b82d6", "#12a594", "#d97706", "#d6489a", "#8b5cf6", "#e5484d", "#65a30d", "#a16207", "#0891b2")
MARKERS = "osD^vPX<>h"
DASHES = ("-", "--", ":", "-.")  # a new one when all colors are taken
STYLE: Any = {
    "svg.fonttype": "path",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.titlesize": 10,
    "xtick.color": INK,
    "ytick.color": INK,
}
BANDS = "Bands: standard deviation over the seeds."
PLOTS = {  # the title and how to read it
    "accuracy_rotation": ("Accuracy against the angle by which the test images are turned (degrees)", BANDS),
    "accuracy_hue": ("Accuracy against the hue shift of the test images (degrees, in HSV)", BANDS),
    "error_macs": (
        "Test error against the cost of the network",
        "One panel a condition; bars: standard deviation over the seeds.",
    ),
}


def draw(rows: Sequence[Row]) -> dict[str, str]:
    """Return the plots by name, as SVG with a transparent background and ``currentColor`` for lines and text."""
    figures = {
        "accuracy_rotation": _curves(rows, "rotation", "rotation of the test images (degrees)", 90),
        "accuracy_hue": _curves(rows, "hue", "hue shift of the test images (degrees)", 60),
        "error_macs": _costs(rows),
    }
    return {name: svg(figure, name) for name, figure in figures.items()}


def _curves(rows: Sequence[Row], what: str, label: str, tick: int) -> Figure:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 4.2), layout="constrained")
        axes = figure.subplots()
        for index, row in enumerate(rows):
            points = {int(degrees): value for degrees, value in row["curves"][what].items()}
            points[360] = points[0]  # the same image
            mean = [100 * value["mean"] for value in points.values()]
            std = [100 * (value["std"] or 0) for value in points.values()]
            style = series(index, row["group"])
            axes.plot(list(points), mean, linewidth=1.5, markersize=3.5, **style)
            low, high = ([m + sign * s for m, s in zip(mean, std, strict=True)] for sign in (-1, 1))
            axes.fill_between(list(points), low, high, color=style["color"], alpha=0.15, linewidth=0)
        axes.set(xlabel=label, ylabel="accuracy (%)", xticks=range(0, 361, tick), xlim=(0, 360), ylim=(0, 102))
        axes.grid(alpha=0.2, color=INK)
        legend(figure, axes)
    return figure


def _costs(rows: Sequence[Row]) -> Figure:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 5.2), layout="constrained")
        panels = figure.subplots(2, 2, sharex=True)
        for axes, condition in zip(panels.flat, CONDITIONS, strict=True):
            for index, row in enumerate(rows):
                error = row["error"][condition]
                spread = 100 * (error["std"] or 0)
                axes.errorbar(
                    row["macs"] / 1e6, 100 * error["mean"], yerr=spread, linestyle="none", **series(index, row["group"])
                )
            axes.set(title=condition, xscale="log")
            axes.set_ylim(bottom=0)
            axes.grid(alpha=0.2, color=INK)
        figure.supxlabel("million MACs an image (log scale)", fontsize=10, color=INK)
        figure.supylabel("test error (%)", fontsize=10, color=INK)
        legend(figure, panels[0, 0])
    return figure


def series(index: int, label: str) -> dict[str, Any]:
    """Return color, marker and label of a series, as arguments of matplotlib."""
    return {"color": COLORS[index % len(COLORS)], "marker": MARKERS[index % len(MARKERS)], "label": label}


def band(axes: Axes, index: int, label: str, x: ArrayLike, seeds: NDArray[np.float64], markersize: float = 3) -> None:
    """Draw the mean over the seeds ``(seeds, points)``, and a band of their standard deviation."""
    mean, std = seeds.mean(0), seeds.std(0, ddof=1) if len(seeds) > 1 else np.zeros(seeds.shape[1])
    style = series(index, label) | {"linestyle": DASHES[index // len(COLORS) % len(DASHES)]}
    axes.plot(x, mean, linewidth=1.5, markersize=markersize, **style)
    axes.fill_between(x, mean - std, mean + std, color=style["color"], alpha=0.12, linewidth=0)


def legend(figure: Figure, axes: Axes) -> None:
    """Put the legend of some axes above a figure."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(3, len(labels)), frameon=False, fontsize=9)


def svg(figure: Figure, name: str) -> str:
    """Return a figure as SVG, with a transparent background and ``currentColor`` for lines and text."""
    stream = io.StringIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = re.sub(r"<metadata>.*?</metadata>", "", stream.getvalue(), flags=re.DOTALL)
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)  # ids are global in a page
