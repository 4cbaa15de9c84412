"""The error of equivariance against the angle, as SVG."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.plots import COLORS, INK, MARKERS, STYLE, svg

__all__ = ["draw_errors"]


def draw_errors(rows: Sequence[dict]) -> dict[str, str]:
    """Return the plots by name: for each group and frequency, a panel for each kernel size and depth.

    Args:
        rows: of the report.
    """
    plots = {}
    for group, fmax in dict.fromkeys((row["group"], row["fmax"]) for row in rows):
        chosen = [row for row in rows if (row["group"], row["fmax"]) == (group, fmax)]
        name = f"angles_{group}_{fmax}"
        with mpl.rc_context(STYLE):
            plots[name] = svg(_panels(chosen), name)
    return plots


def _panels(rows: Sequence[dict]) -> Figure:
    kernels, depths = (sorted({row[key] for row in rows}) for key in ("kernel", "depth"))
    figure = Figure(figsize=(1 + 2.4 * len(depths), 1 + 1.9 * len(kernels)), layout="constrained")
    panels = figure.subplots(len(kernels), len(depths), sharex=True, squeeze=False)
    for i, kernel in enumerate(kernels):
        for j, depth in enumerate(depths):
            _panel(panels[i, j], [row for row in rows if (row["kernel"], row["depth"]) == (kernel, depth)])
            panels[i, j].set_title(f"{kernel}x{kernel}, {depth} layer{'s' * (depth > 1)}")
    figure.supxlabel("rotation of the image (degrees)", fontsize=10, color=INK)
    figure.supylabel("error at the center (%), median over the weights", fontsize=10, color=INK)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(3, len(labels)), frameon=False, fontsize=9)
    return figure


def _panel(axes: Axes, rows: Sequence[dict]) -> None:
    """Draw the errors of all networks; where there are mirrored elements, the mean of the two of each angle."""
    for index, row in enumerate(rows):
        errors = 100 * np.median(row["errors"]["center"], axis=0)
        degrees = np.array(row["degrees"])
        angles = np.unique(degrees)
        means = [errors[degrees == angle].mean() for angle in angles]
        axes.plot(angles, means, color=COLORS[index], marker=MARKERS[index], markersize=3, label=row["network"])
    axes.set(xlim=(0, 360), xticks=range(0, 361, 90))
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.2, color=INK)
