"""The look of all drawings."""

from io import BytesIO
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

__all__ = ["COLORS", "DASHES", "GRAY", "INK", "MARK", "MARKERS", "STYLE", "Drawing", "series", "styled"]

INK = "#102030"  # a color of its own, so that a page can put its text color in its place
GRAY = "#8a8a8a"
MARK = "#e8820c"
COLORS = ("#8c8c8c", "#3b82d6", "#12a594", "#d97706", "#d6489a", "#8b5cf6", "#e5484d", "#65a30d", "#a16207", "#0891b2")
MARKERS = "osD^vPX<>h"
DASHES = ("-", "--", ":", "-.")  # a new one when all colors are taken
STYLE: Any = {
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

styled = mpl.rc_context(STYLE)  # a decorator: what it draws has the style, and no setting stays changed


class Drawing(Figure):
    """A figure that a notebook shows where it is the value of a cell, also if pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        png = BytesIO()
        self.savefig(png, format="png")
        return png.getvalue()


def series(index: int, label: str) -> dict[str, Any]:
    """Return color, marker and label of a series, as arguments of matplotlib."""
    return {"color": COLORS[index % len(COLORS)], "marker": MARKERS[index % len(MARKERS)], "label": label}
