"""The plots of the equivariance error of each layer, while networks train and after that."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from benchmarks.plots import INK, band, legend
from benchmarks.studies.unseen_plots import of_row

__all__ = ["draw_layers", "draw_training", "is_watched", "last_errors", "watched_groups"]

Results = Mapping[str, Any]
Row = Mapping[str, Any]

LEAST = 1e-8  # what is smaller is drawn there: rounding


def is_watched(cell: Mapping[str, Any]) -> bool:
    """Tell whether the layers of a network were watched, and something could be measured of all of them."""
    errors = list(cell.get("watched", {}).values())
    return bool(errors) and all(error is not None for layer in errors for error in layer)


def watched_groups(rows: Sequence[Row]) -> list[str]:
    """Return the groups under which layers of some rows were watched, each once."""
    return list(dict.fromkeys(row["watched"]["group"] for row in rows if row.get("watched")))


def last_errors(results: Results, row: Row) -> list[float]:
    """Return the error of the last layer that was watched after the last epoch, of each seed."""
    return [list(cell["watched"].values())[-1][-1] for cell in of_row(results, row) if is_watched(cell)]


def draw_training(results: Results, rows: Sequence[Row]) -> Figure:
    """Draw the error of the last layer after each epoch, with the spread over the seeds."""
    return _lines(results, rows, "epoch", lambda errors: errors[-1])


def draw_layers(results: Results, rows: Sequence[Row]) -> Figure:
    """Draw the error of each layer after the last epoch, with the spread over the seeds."""
    return _lines(results, rows, "layer that is watched", lambda errors: errors[:, -1])


def _lines(results: Results, rows: Sequence[Row], label: str, part: Any) -> Figure:
    """Draw a part of the errors (layers, epochs) of the networks of each row; several groups are named beside them."""
    figure = Figure(figsize=(5.2, 4.4), layout="constrained")
    axes, several = figure.subplots(), len(watched_groups(rows)) > 1
    for index, row in enumerate(rows):
        seeds = np.array([part(_errors(cell)) for cell in of_row(results, row)])
        name = f"{row['name']}: {row['watched']['group']}" if several else row["name"]
        band(axes, index, name, range(1, seeds.shape[1] + 1), seeds)
    axes.set(xlabel=label, ylabel="equivariance error", yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.2, color=INK)
    legend(figure, axes)
    return figure


def _errors(cell: Mapping[str, Any]) -> NDArray[np.float64]:
    return np.array(list(cell["watched"].values())).clip(LEAST)
