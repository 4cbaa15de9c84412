"""What it does to shifted hues that an image has to keep its colors between 0 and 1."""

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv
from sklearn.datasets import load_sample_images
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks.text import markdown
from equiconv.groups import HueShift
from equiconv.groups.laws import Floats
from equiconv.layers import GroupConv2d

__all__ = ["HUES", "clipping_markdown", "measure_clipping"]

HUES = (2, 3, 4, 6, 12)
SIDE = 33  # colors of the cube along an edge
PIXELS = 96  # rows and columns of the photographs
SLACK = 1e-9
COLUMNS = {
    "cube": "colors of the cube that leave it",
    "photographs": "of two photographs",
    "mean": "clipping moves a color by, mean",
    "largest": "at most",
    "layer": "error of a layer on clipped photographs",
    "hsv": "distance from the hue of HSV, mean",
    "hsv_largest": "at most",
}


def measure_clipping(n: int) -> dict[str, float]:
    """Return what the shifts of ``HueShift(n)`` do to colors, of all steps but the first together.

    Args:
        n: the number of hues.

    Returns:
        ``cube``, ``photographs``: which part of the colors leaves the cube. ``mean``, ``largest``: how far clipping
        then moves the colors of the cube, as Euclidean distance in RGB, whose values are from 0 to 1. ``layer``: the
        largest relative error of a lifting layer whose input was shifted and clipped. ``hsv``, ``hsv_largest``: how far
        the shifted colors are from those that HSV has at the same angle.
    """
    group, images = HueShift(n), _photographs()
    edge = np.linspace(0, 1, SIDE)
    cube = np.stack(np.meshgrid(edge, edge, edge), -1).reshape(-1, 3)
    seen = images.movedim(1, -1).reshape(-1, 3).numpy()
    shifted = np.stack([cube @ matrix.T for matrix in group.color[1:]])  # (n - 1, colors, 3)
    photo = np.stack([seen @ matrix.T for matrix in group.color[1:]])
    lost, lost_there = (np.linalg.norm(colors - colors.clip(0, 1), axis=-1) for colors in (shifted, photo))
    apart = np.linalg.norm(shifted - np.stack([_hsv(cube, step / n) for step in range(1, n)]), axis=-1)
    return {
        "cube": float((lost > SLACK).mean()),
        "photographs": float((lost_there > SLACK).mean()),
        "mean": float(lost.mean()),
        "largest": float(lost.max()),
        "layer": _layer_error(group, images),
        "hsv": float(apart.mean()),
        "hsv_largest": float(apart.max()),
    }


def _photographs() -> Tensor:
    """Return the two photographs that come with scikit-learn, ``(2, 3, 96, 96)`` in [0, 1]."""
    photos = torch.from_numpy(np.stack(load_sample_images().images)).movedim(-1, 1).double() / 255
    return interpolate(photos, (PIXELS, PIXELS), mode="bilinear", antialias=True)


def _hsv(colors: Floats, turns: float) -> Floats:
    """Return colors whose hue in HSV was shifted."""
    hsv = rgb_to_hsv(colors)
    hsv[:, 0] = (hsv[:, 0] + turns) % 1
    return hsv_to_rgb(hsv)


def _layer_error(group: HueShift, images: Tensor) -> float:
    torch.manual_seed(0)
    layer = GroupConv2d(group.image, 8 * group.regular, 3).double()
    with torch.no_grad():
        still = layer(images)
        apart = (still - still.roll(1, 0)).norm()
        moved = [(group.transform_image(images, g), layer.out_type.transform(still, g)) for g in range(1, group.order)]
        return max(float((layer(x.clip(0, 1)) - expected).norm() / apart) for x, expected in moved)


def clipping_markdown(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Return the table in Markdown.

    Args:
        rows: what was measured, by the name of the group.
    """
    cells = [[f"`{name}`", *(_shown(row[column], column) for column in COLUMNS)] for name, row in rows.items()]
    return markdown(["group", *COLUMNS.values()], cells)


def _shown(value: float, column: str) -> str:
    if value < SLACK:
        return "0"
    return f"{100 * value:.2g} %" if column in ("cube", "photographs", "layer") else f"{value:.2f}"
