"""Plots of accuracy against moves: wheels for turns and hues, lines for what has two ends, maps for pairs."""

import math
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.data.families import FAMILIES, GRIDS, Family
from benchmarks.pages import Plot
from benchmarks.plots import BANDS, INK, STYLE, band, legend, svg
from equiconv.viz import wheel

__all__ = ["draw"]

Results = Mapping[str, Any]

WHEEL = "The angle is that of the move, the distance from the center the accuracy."
HUES = "The ring shows the hue that red becomes."
COLUMNS, PANEL = 2, 2.6  # of maps, and the inches of each


def draw(results: Results) -> list[Plot]:
    """Return the plots: one for each kind of move.

    Args:
        results: the content of ``results.json``.
    """
    with mpl.rc_context(STYLE):
        return [_grid(results, kind) if kind in GRIDS else _family(results, kind) for kind in results["kinds"]]


def _family(results: Results, kind: str) -> Plot:
    family = FAMILIES[kind]
    title, note = f"Accuracy against {family.title}", BANDS
    if family.cyclic:
        note = f"{WHEEL}{f' {HUES}' if family.colors else ''} {BANDS}"
    return _plot(kind, title, note, (_wheel if family.cyclic else _line)(results, kind, family))


def _plot(kind: str, title: str, note: str, figure: Figure) -> Plot:
    name = f"robustness_{kind}"
    return Plot(name, title, note, svg(figure, name))


def _wheel(results: Results, kind: str, family: Family) -> Figure:
    first, last = family.values[0], family.values[-1]
    degrees = family.values[:-1] if (last - first) % 360 == 0 else family.values  # each once around
    curves = {each["name"]: _accuracies(each, kind)[:, : len(degrees)] / 100 for each in results["networks"]}
    return wheel(curves, degrees, hues=family.colors)


def _line(results: Results, kind: str, family: Family) -> Figure:
    figure = Figure(figsize=(5.2, 4.4), layout="constrained")
    axes = figure.subplots()
    for index, network in enumerate(results["networks"]):
        band(axes, index, network["name"], family.values, _accuracies(network, kind))
    axes.set(xlabel=f"{family.title} ({family.unit})", ylabel="accuracy (%)", ylim=(0, 102))
    axes.set_xlim(family.values[0], family.values[-1])
    axes.grid(alpha=0.2, color=INK)
    legend(figure, axes)
    return figure


def _grid(results: Results, kind: str) -> Plot:
    """Draw a map for each network; all have one scale."""
    grid, networks = GRIDS[kind], results["networks"]
    columns = min(COLUMNS, len(networks))
    rows = math.ceil(len(networks) / columns)
    figure = Figure(figsize=(max(5.2, PANEL * columns + 1), PANEL * rows + 0.6), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes, network in zip(panels.flat, networks, strict=False):
        mean = _accuracies(network, kind).mean(0).reshape(len(grid.rows), len(grid.columns))
        image = axes.imshow(mean, cmap="cividis", vmin=0, vmax=100, aspect="auto")
        axes.set_title(network["name"])
        axes.set_xticks(range(0, len(grid.columns), 3), grid.columns[::3])
        axes.set_yticks(range(0, len(grid.rows), 2), grid.rows[::2])
    for axes in panels.flat[len(networks) :]:
        axes.set_visible(False)
    first, second = FAMILIES[grid.first], FAMILIES[grid.second]
    figure.supxlabel(f"{second.title} ({second.unit})", fontsize=10, color=INK)
    figure.supylabel(f"{first.title} ({first.unit})", fontsize=10, color=INK)
    figure.colorbar(image, ax=panels, label="accuracy (%)")
    return _plot(kind, f"Accuracy when {grid.title}", "Means over the seeds.", figure)


def _accuracies(network: Mapping[str, Any], kind: str) -> NDArray[np.float64]:
    """Return the accuracy of each seed at each move, ``(seeds, moves)``, in percent."""
    return 100 * np.array([cell["accuracy"][kind] for cell in network["cells"]])
