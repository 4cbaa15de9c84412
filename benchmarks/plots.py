"""The plots of the comparison, as SVG."""

import io
import math
import re
from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.data.conditions import CONDITIONS
from benchmarks.summary import Row
from equiconv.viz.curves import band, legend
from equiconv.viz.style import COLORS, DASHES, INK, MARKERS, STYLE, series

__all__ = ["BANDS", "COLORS", "DASHES", "INK", "MARKERS", "PLOTS", "STYLE", "band", "draw", "legend", "series", "svg"]

COLUMNS = 2  # of panels
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
        figure = Figure(figsize=(5.2, 1 + 1.05 * len(CONDITIONS)), layout="constrained")
        panels = figure.subplots(math.ceil(len(CONDITIONS) / COLUMNS), COLUMNS, sharex=True)
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


def svg(figure: Figure, name: str) -> str:
    """Return a figure as SVG, with a transparent background and ``currentColor`` for lines and text."""
    stream = io.StringIO()
    with mpl.rc_context({**STYLE, "svg.fonttype": "path", "svg.hashsalt": name}):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = re.sub(r"<metadata>.*?</metadata>", "", stream.getvalue(), flags=re.DOTALL)
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)  # ids are global in a page
