"""The plots of what trained networks do on images that they have not seen: moved ones, and class by class."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.data.families import FAMILIES
from benchmarks.plots import INK, band, legend, series

__all__ = ["draw_categories", "draw_classes", "draw_confusion", "draw_curve", "of_row"]

Results = Mapping[str, Any]
Row = Mapping[str, Any]


def of_row(results: Results, row: Row) -> list[Mapping[str, Any]]:
    """Return the cells of a row."""
    return [cell for cell in results["cells"] if cell["group"] == row["name"]]


def draw_curve(results: Results, rows: Sequence[Row], name: str, key: str = "curves") -> Figure:
    """Draw the accuracy of each row against the moves of a family, with the spread over the seeds.

    Args:
        results: the content of ``results.json``.
        rows: those that are drawn.
        name: of the family.
        key: what of each cell is drawn: ``"curves"``, or ``"curves_top5"``.
    """
    family = FAMILIES[name]
    figure = Figure(figsize=(5.2, 4.4), layout="constrained")
    axes = figure.subplots()
    for index, row in enumerate(rows):
        seeds = 100 * np.array([cell[key][name] for cell in of_row(results, row)])
        band(axes, index, row["name"], family.values, seeds)
    axes.set(
        xlabel=f"{family.title} ({family.unit})",
        ylabel="accuracy (%)" if key == "curves" else "top-5 accuracy (%)",
        ylim=(0, 102),
    )
    axes.set_xlim(family.values[0], family.values[-1])
    axes.set_xticks(family.values[:: max(1, len(family.values) // 6)])
    axes.grid(alpha=0.2, color=INK)
    legend(figure, axes)
    return figure


def draw_categories(results: Results, rows: Sequence[Row]) -> Figure:
    """Draw the error of each row on the images of each category, side by side."""
    names = list(results["categories"])
    figure = Figure(figsize=(5.2, 4.4), layout="constrained")
    axes = figure.subplots()
    for index, row in enumerate(rows):
        places = np.arange(len(names)) + 0.7 * ((index + 0.5) / len(rows) - 0.5)
        errors, bars = ([row["categories"][name][key] or 0 for name in names] for key in ("error", "std"))
        axes.errorbar(places, errors, yerr=bars, linestyle="none", markersize=5, **series(index, row["name"]))
    axes.set_xticks(range(len(names)), names)
    axes.set(xlabel="category", ylabel=f"{results['part']} error (%)")
    axes.grid(alpha=0.2, color=INK, axis="y")
    legend(figure, axes)
    return figure


def draw_classes(results: Results, rows: Sequence[Row]) -> Figure:
    """Draw the accuracy of each row on each class, the classes in the order of their training images."""
    sizes = np.array(results["data"]["train_by_class"])
    order = np.argsort(-sizes, kind="stable")
    figure = Figure(figsize=(max(5.2, 0.24 * len(sizes)), 4.8), layout="constrained")
    axes = figure.subplots()
    for index, row in enumerate(rows):
        counts = np.array([cell["confusion"] for cell in of_row(results, row)])  # (seeds, K, K)
        accuracies = 100 * np.diagonal(counts, axis1=1, axis2=2) / counts.sum(2).clip(1)
        band(axes, index, row["name"], range(len(order)), accuracies[:, order])
    names = [f"{results['data']['classes'][label]} ({sizes[label]})" for label in order]
    axes.set_xticks(range(len(order)), names, rotation=90, fontsize=7)
    axes.set(xlabel="class (training images)", ylabel=f"{results['part']} accuracy (%)", ylim=(0, 102))
    axes.grid(alpha=0.2, color=INK)
    legend(figure, axes)
    return figure


def draw_confusion(results: Results, row: Row) -> Figure:
    """Draw which classes a row takes for which, in percent of the images of each class, over all seeds."""
    counts = np.sum([cell["confusion"] for cell in of_row(results, row)], axis=0)
    shares = 100 * counts / counts.sum(1, keepdims=True).clip(1)
    figure = Figure(figsize=(5.2, 4.8), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=100)
    classes = results["data"]["classes"]
    size = 8 if len(classes) <= 12 else 5
    axes.set_xticks(range(len(classes)), classes, rotation=90, fontsize=size)
    axes.set_yticks(range(len(classes)), classes, fontsize=size)
    axes.set(xlabel="taken for", ylabel="class")
    figure.colorbar(image, label="% of the class")
    return figure
