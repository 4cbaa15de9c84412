"""Curves: accuracy against the angle of a move, as wheels."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from equiconv.errors import ShapeError
from equiconv.viz.style import COLORS, DASHES, INK, Drawing, series, styled

__all__ = ["band", "legend", "wheel"]

RING = 72  # colors of the hue wheel
DIGITS = 9  # of a degree, by which angles differ


@styled
def wheel(curves: Mapping[str, ArrayLike], degrees: Sequence[float], *, hues: bool = False) -> Figure:
    """Draw how much is right when images are turned, or their hue is shifted, as distance from the center of a wheel.

    Args:
        curves: for each name accuracies from 0 to 1, ``(angles,)``, or ``(seeds, angles)``: then their mean is drawn,
            and a band of their standard deviation.
        degrees: the angles, at least one, each once around: not both 0 and 360.
        hues: whether the angles are of the hue; a ring then shows what red becomes.

    Returns:
        The figure.

    Raises:
        ShapeError: if there is no angle, or one is there twice; or if there is no curve, or one has not as many values
            as there are angles, or one out of range.

    Example:
        >>> figure = wheel({"P4": [[1.0, 0.6, 1.0, 0.6], [0.9, 0.5, 0.9, 0.5]]}, [0, 45, 90, 135])
        >>> figure.axes[0].lines[0].get_ydata().round().tolist()
        [95.0, 55.0, 95.0, 55.0, 95.0]
    """
    around = _around(degrees)
    if not curves:
        raise ShapeError("curves: expected one name with its accuracies at least")
    figure = Drawing(figsize=(5.2, 5.6), layout="constrained")
    axes: Any = figure.subplots(subplot_kw={"projection": "polar"})
    angles = np.append(around, around[0])
    for index, (name, values) in enumerate(curves.items()):
        seeds = 100 * _seeds(name, values, len(around))
        band(axes, index, name, angles, np.append(seeds, seeds[:, :1], 1), markersize=0)
    if hues:
        centers = np.linspace(0, 2 * math.pi, RING, endpoint=False)
        ring = hsv_to_rgb(np.stack([centers / (2 * math.pi), np.full(RING, 0.75), np.full(RING, 0.9)], -1))
        axes.bar(centers, 6, width=2 * math.pi / RING, bottom=103, color=ring, linewidth=0)
    axes.set(ylim=(0, 109 if hues else 100), yticks=(25, 50, 75, 100))
    axes.set_yticklabels(["", "50", "", "100 %"], fontsize=8)
    axes.grid(alpha=0.25, color=INK)
    axes.spines["polar"].set_visible(False)
    legend(figure, axes)
    return figure


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


def _around(degrees: Sequence[float]) -> NDArray[np.float64]:
    """Return angles as radians, ``(angles,)``, or raise unless they are numbers that differ once around."""
    angles = np.asarray(degrees, np.float64)
    places = np.round(angles, DIGITS) % 360
    if angles.ndim != 1 or not angles.size or not np.isfinite(angles).all() or len(np.unique(places)) < len(places):
        raise ShapeError(
            "degrees: expected at least one angle, each once around: leave out 360 if there is 0; got "
            f"{angles.tolist()}"
        )
    return np.radians(angles)


def _seeds(name: str, values: ArrayLike, count: int) -> NDArray[np.float64]:
    """Return accuracies as ``(seeds, angles)``."""
    seeds = np.atleast_2d(np.asarray(values, np.float64))
    if seeds.ndim != 2 or seeds.shape[1] != count or not len(seeds):
        raise ShapeError(
            f"curves: {name} needs accuracies ({count},) or (seeds, {count}), one for each angle; got "
            f"{np.shape(values)}"
        )
    if not ((seeds >= 0) & (seeds <= 1)).all():
        raise ShapeError(f"curves: {name} needs accuracies from 0 to 1; got {seeds.min():g} to {seeds.max():g}")
    return seeds
