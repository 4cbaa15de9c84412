"""The plots of a study, as SVG."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.data.families import FAMILIES
from benchmarks.labels import label_points, scale
from benchmarks.pages import Plot
from benchmarks.plots import BANDS, COLORS, DASHES, INK, STYLE, legend, series, svg
from benchmarks.studies.unseen_plots import draw_categories, draw_classes, draw_confusion, draw_curve, of_row
from benchmarks.studies.watched_plots import draw_layers, draw_training, is_watched, watched_groups
from benchmarks.summary import listed

__all__ = ["draw"]

Results = Mapping[str, Any]
Row = Mapping[str, Any]

MEASURED, PUBLISHED = COLORS[1], COLORS[3]
BARS = "Bars: standard deviation over the seeds."
AXES = {"samples": "training images", "parameters": "parameters", "value": "{varies}"}  # of sweeps
COSTS = {
    "parameters": ("the number of parameters", "parameters"),
    "macs": ("multiplications", "multiply-accumulate operations an image"),
    "training_macs": ("what training multiplies", "multiply-accumulate operations of training, an image"),
}


def draw(results: Results) -> list[Plot]:
    """Return the plots of what was measured, with a transparent background and ``currentColor`` for lines and text.

    Args:
        results: the content of ``results.json``.

    Returns:
        Of a table: the errors, the errors against parameters and against multiplications, the losses, the accuracy
        under moves, the classes. Of a sweep: the errors against parameters or training images.
    """
    rows = [row for row in results["rows"] if row["error"] is not None]
    if not rows:
        return []
    with mpl.rc_context(STYLE):
        return [_sweep(results, rows)] if results["sweep"] else _table(results, rows)


def _table(results: Results, rows: Sequence[Row]) -> list[Plot]:
    part = results["part"].capitalize()
    plots = [_plot(results, "errors", f"{part} error, row by row", f"Dots: seeds. {BARS}", _errors(results, rows))]
    taught = any(row.get("implicit") for row in rows)  # or else all cost as much in training as in the test
    for cost, (words, _) in list(COSTS.items())[: None if taught else -1]:
        plots.append(
            _plot(results, f"error_{cost}", f"{part} error against {words}", BARS, _costs(results, rows, cost))
        )
    losses = _losses(results, rows)
    plots.append(_plot(results, "losses", "Training loss after each epoch", "Means over the seeds.", losses))
    return plots + _watched(results, rows) + _unseen(results, rows)


def _watched(results: Results, rows: Sequence[Row]) -> list[Plot]:
    """Return the plots of the equivariance of layers, if it was measured."""
    if not all(map(is_watched, results["cells"])):
        return []
    under = f"Equivariance error under {listed(watched_groups(rows))}"
    return [
        _plot(results, f"equivariance_{name}", f"{under}, {when}", BANDS, drawn(results, rows))
        for name, when, drawn in (
            ("training", "of the last layer after each epoch", draw_training),
            ("layers", "of each layer after training", draw_layers),
        )
    ]


def _unseen(results: Results, rows: Sequence[Row]) -> list[Plot]:
    """Return the plots of moved images and of classes, as far as they were measured."""
    cells = results["cells"]
    plots = [
        _plot(
            results,
            f"{key.replace('curves', 'curve')}_{name}",
            f"{what} against {FAMILIES[name].title}",
            BANDS,
            draw_curve(results, rows, name, key),
        )
        for key, what in (("curves", "Accuracy"), ("curves_top5", "Top-5 accuracy"))
        for name in cells[0].get(key, {})
        if all(name in cell.get(key, {}) for cell in cells)
    ]
    if results.get("categories"):
        figure = draw_categories(results, rows)
        plots.append(_plot(results, "categories", "Error on the images of each category", BARS, figure))
    if all(cell["confusion"] for cell in cells):
        note = f"The classes with most training images come first. {BANDS}"
        plots.append(_plot(results, "classes", "Accuracy of each class", note, draw_classes(results, rows)))
        best = min(rows, key=lambda row: row["error"])
        for name, row in (("confusion_first", rows[0]), ("confusion_best", best)):
            title = f"Classes that {row['name']} takes for others"
            plots.append(_plot(results, name, title, "Over all seeds.", draw_confusion(results, row)))
    return plots


def _plot(results: Results, name: str, title: str, note: str, figure: Figure) -> Plot:
    """Return a plot; its name begins with that of the study, so that plots of several can lie in one folder."""
    full = f"{'-'.join(filter(None, (results['study'], results.get('dataset'))))}_{name}"
    return Plot(full, title, note, svg(figure, full))


def _errors(results: Results, rows: Sequence[Row]) -> Figure:
    """Draw a line for each row, from the top: the seeds and their mean, and the published error below them."""
    figure = Figure(figsize=(5.2, 1.3 + 0.34 * len(rows)), layout="constrained")
    axes, places = figure.subplots(), np.arange(len(rows))
    cells = [_errors_of(results, row) for row in rows]
    means, bars = [row["error"] for row in rows], [row["std"] or 0 for row in rows]
    axes.errorbar(means, places - 0.12, xerr=bars, fmt="o", color=MEASURED, markersize=5, label="measured: mean")
    dots = [(error, place - 0.12) for place, errors in enumerate(cells) for error in errors]
    axes.plot(*zip(*dots, strict=True), "o", color=INK, markersize=2, alpha=0.7, zorder=3, label="seeds")
    known = [(row["published"]["error"], place + 0.2) for place, row in enumerate(rows) if "error" in row["published"]]
    if known:
        axes.plot(*zip(*known, strict=True), "D", color=PUBLISHED, fillstyle="none", markersize=5, label="published")
    axes.set(yticks=places, yticklabels=[row["name"] for row in rows], xlabel=f"{results['part']} error (%)")
    axes.set_ylim(len(rows) - 0.5, -0.5)
    scale(axes, "x", [error for error, _ in dots + known])
    axes.grid(alpha=0.2, color=INK)
    legend(figure, axes)
    return figure


def _errors_of(results: Results, row: Row) -> list[float]:
    """Return the errors of the seeds of a row, in percent."""
    return [100 * error for cell in of_row(results, row) for error in cell["error"].values()]


def _costs(results: Results, rows: Sequence[Row], cost: str) -> Figure:
    """Draw a point for each row, with its name; a color for each group."""
    figure = Figure(figsize=(5.2, 4.4), layout="constrained")
    axes = figure.subplots()
    points = [(row[cost], row["error"], row["std"] or 0) for row in rows]
    for index, group in enumerate(dict.fromkeys(row["group"] for row in rows)):
        chosen = [point for point, row in zip(points, rows, strict=True) if row["group"] == group]
        x, y, bars = zip(*chosen, strict=True)
        axes.errorbar(x, y, yerr=bars, linestyle="none", markersize=5, **series(index, group))
    axes.set(xlabel=COSTS[cost][1], ylabel=f"{results['part']} error (%)")
    axes.margins(0.12)
    for which, values in zip("xy", zip(*points, strict=True), strict=False):
        scale(axes, which, values)
    axes.grid(alpha=0.2, color=INK)
    legend(figure, axes)
    label_points(figure, axes, points, [row["name"] for row in rows])
    return figure


def _losses(results: Results, rows: Sequence[Row]) -> Figure:
    figure = Figure(figsize=(5.2, 4.4), layout="constrained")
    axes = figure.subplots()
    for index, row in enumerate(rows):
        losses = np.mean([cell["losses"] for cell in of_row(results, row)], axis=0)
        style = series(index, row["name"]) | {"linestyle": DASHES[index // len(COLORS) % len(DASHES)]}
        every = max(1, len(losses) // 8)
        axes.plot(range(1, len(losses) + 1), losses, linewidth=1.2, markersize=3.5, markevery=every, **style)
    axes.set(xlabel="epoch", ylabel="training loss", yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.2, color=INK)
    legend(figure, axes)
    return figure


def _sweep(results: Results, rows: Sequence[Row]) -> Plot:
    """Draw a line through the points of each line of the sweep, with its spread."""
    sweep = results["sweep"]
    figure = Figure(figsize=(5.2, 4.4), layout="constrained")
    axes = figure.subplots()
    values = _values(rows)
    points = [(row["line"], _place(results, row, values), row["error"], row["std"] or 0) for row in rows]
    for index, line in enumerate(dict.fromkeys(row["line"] for row in rows)):
        x, error, std = np.array(sorted(point[1:] for point in points if point[0] == line)).T
        style = series(index, line)
        axes.plot(x, error, linewidth=1.5, markersize=4, **style)
        axes.fill_between(x, error - std, error + std, color=style["color"], alpha=0.15, linewidth=0)
    axes.set(xlabel=AXES[sweep["axis"]].format(**sweep), ylabel=f"{results['part']} error (%)")
    if sweep["axis"] == "value":
        axes.set_xticks(range(len(values)), [f"{value:g}" for value in values])
    else:
        scale(axes, "x", [point[1] for point in points])
    scale(axes, "y", [point[2] for point in points])
    axes.grid(alpha=0.2, color=INK)
    legend(figure, axes)
    return _plot(results, sweep["name"], sweep["title"], "Bands: standard deviation over the seeds.", figure)


def _place(results: Results, row: Row, values: Sequence[float]) -> int:
    """Return where the point of a row is: its training images, its parameters, or the place of its value in order."""
    if results["sweep"]["axis"] == "value":
        return values.index(row["value"])
    if results["sweep"]["axis"] == "samples":
        return row["samples"] or results["data"]["train"]
    return row["parameters"]


def _values(rows: Sequence[Row]) -> list[float]:
    """Return the values of a sweep, in order."""
    return sorted({row["value"] for row in rows})
