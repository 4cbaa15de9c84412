"""Names and ticks in plots: names that do not cover each other, logarithmic axes that can be read."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from matplotlib.transforms import Bbox

from benchmarks.plots import INK

__all__ = ["label_points", "scale", "short"]

POINTS = 72  # those of an inch
RINGS = (7, 14, 22, 32, 44, 58, 74, 92, 112)  # gaps between a point and its name, in points
ANGLES = (0, 180, 90, 270, 45, 135, 315, 225, 20, 160, 200, 340, 70, 110, 250, 290)  # of a name, in degrees
NEAR = 8  # so far apart they need no line
GAP = 3  # between two names
MARKER = 4  # half of what a marker takes
TICKS = ((10, (1, 1.5, 2, 3, 4, 5, 7)), (500, (1, 2, 5)), (math.inf, (1,)))  # for ranges up to a factor


def short(value: float, _: Any = None) -> str:
    """Return a number as a tick shows it, such as 500, 1.5 k or 20 M."""
    value = float(f"{value:.6g}")  # 1 M where the tick is at 999999.9999
    for factor, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= factor:
            return f"{value / factor:g}{unit}"
    return f"{value:.6g}"


def scale(axes: Axes, which: str, values: Sequence[float]) -> None:
    """Make an axis logarithmic if its values are positive and span a factor of two, and write its ticks in short.

    Args:
        axes: where the values are drawn already.
        which: ``"x"`` or ``"y"``.
        values: what it shows.
    """
    low, high = min(values), max(values)
    axis = axes.xaxis if which == "x" else axes.yaxis
    if 0 < 2 * low <= high:
        axes.set(**{f"{which}scale": "log"})
        axis.set_major_locator(LogLocator(subs=next(subs for factor, subs in TICKS if high / low <= factor)))
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(short))


def label_points(
    figure: Figure, axes: Axes, points: Sequence[tuple[float, float, float]], names: Sequence[str]
) -> None:
    """Write a name beside each point, where it covers no other name and no point if there is such a place.

    Args:
        figure: with everything but the names.
        axes: those of the points.
        points: x, y and the length of the bar above and below.
        names: one for each of the points.
    """
    figure.draw_without_rendering()  # sets the layout
    unit = figure.dpi / POINTS
    taken = [_marker(axes, point, MARKER * unit) for point in points]
    for (x, y, _), name in zip(points, names, strict=True):
        note = axes.annotate(name, (x, y), (0, 0), textcoords="offset points", ha="center", va="center")
        note.set(fontsize=8, in_layout=False)
        box = note.get_window_extent()
        places = [box.translated(dx, dy) for dx, dy in _offsets(box, unit)]
        place = min(places, key=lambda place: _cost(place, taken, axes.bbox))
        taken.append(place.padded(GAP * unit))
        note.set_position(((place.x0 - box.x0) / unit, (place.y0 - box.y0) / unit))
        _join(axes, (x, y), place, unit)


def _marker(axes: Axes, point: tuple[float, float, float], size: float) -> Bbox:
    """Return the box of a marker with its bar."""
    x, y, bar = point
    ends = axes.transData.transform([(x, y), (x, y + bar)])
    height = ends[1, 1] - ends[0, 1] + size
    return Bbox([ends[0] - (size, height), ends[0] + (size, height)])


def _offsets(box: Bbox, unit: float) -> Iterator[tuple[float, float]]:
    """Yield where the center of a name may be, relative to its point; the best places first."""
    for ring in RINGS:
        for degrees in ANGLES:
            cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
            yield cos * (ring * unit + box.width / 2), sin * (ring * unit + box.height / 2)


def _cost(place: Bbox, taken: Sequence[Bbox], frame: Bbox) -> int:
    """Return how many boxes a place covers; leaving the frame counts as much as all of them."""
    inside = frame.x0 <= place.x0 and place.x1 <= frame.x1 and frame.y0 <= place.y0 and place.y1 <= frame.y1
    return place.count_overlaps(taken) + (0 if inside else len(taken))


def _join(axes: Axes, point: tuple[float, float], place: Bbox, unit: float) -> None:
    """Draw a line from a point to its name if they are apart."""
    x, y = axes.transData.transform(point)
    end = (min(max(x, place.x0), place.x1) - x) / unit, (min(max(y, place.y0), place.y1) - y) / unit
    if math.hypot(*end) > NEAR:
        line = {"arrowstyle": "-", "color": INK, "alpha": 0.5, "linewidth": 0.6, "shrinkA": 0, "shrinkB": MARKER}
        axes.annotate("", point, end, textcoords="offset points", arrowprops=line).set_in_layout(False)
