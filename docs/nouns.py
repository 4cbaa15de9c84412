"""Draw the pictures of the five nouns and of the pipeline: narrow ones, whose words can be read on a phone."""

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import FancyArrowPatch, Rectangle
from torch import Tensor

from equiconv import viz
from equiconv.bases import Harmonics, Pixels
from equiconv.groups import Cyclic, Group
from equiconv.layers import GroupConv2d
from equiconv.viz.panels import bare, mark, show

GRAY, INK, BLUE = "#8a8a8a", "#2b2b2b", "#5b9bd5"
WIDTH, DPI = 4.2, 180  # inches, of what is 330 pixels wide on a phone


def drawn(height: float) -> Figure:
    """Return an empty figure of the width of a phone."""
    return plt.figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")


def orbit(group: Group, image: Tensor) -> Figure:
    """The images that a group makes of one, with the numbers of the elements."""
    figure = viz.orbit(group, image)
    figure.set_size_inches(WIDTH, 3.3)
    figure.set_dpi(DPI)
    for g, ax in enumerate(figure.axes):
        ax.text(0.05, 0.95, str(g), transform=ax.transAxes, va="top", color=GRAY, fontsize=9)
    return figure


def kernels(layer: GroupConv2d) -> Figure:
    """The kernels that the elements make of one."""
    figure = viz.kernels(layer)
    figure.set_size_inches(WIDTH, 3.3)
    figure.set_dpi(DPI)
    return figure


def matrices(group: Group) -> Figure:
    """The matrices rho(g) of four representations of the four rotations."""
    named = {"trivial": group.trivial, "irrep(1)": group.irrep(1), "irrep(2)": group.irrep(2), "regular": group.regular}
    figure = drawn(3.0)
    axes = figure.subplots(4, 4, height_ratios=(1.3, 2.1, 1.3, 4.1))
    for (label, rep), row in zip(named.items(), axes, strict=True):
        half = rep.dim / 2
        for g, ax in enumerate(row):
            ax.imshow(rep.rho[g], cmap="RdBu_r", vmin=-1.6, vmax=1.6, extent=(-half, half, -half, half))
            ax.add_patch(Rectangle((-half, -half), rep.dim, rep.dim, fill=False, edgecolor=GRAY, linewidth=0.6))
            for i, j in product(range(rep.dim), repeat=2):
                text = f"{rep.rho[g, i, j] + 0.0:.0f}"
                ax.text(j + 0.5 - half, half - i - 0.5, text, ha="center", va="center", fontsize=8)
            ax.set(xlim=(-2.05, 2.05), ylim=(-half - 0.1, half + 0.1))
            ax.axis("off")
        row[0].text(-2.3, 0, label, ha="right", va="center", fontsize=9)
    for g, ax in enumerate(axes[0]):
        ax.set_title(f"rho({g})")
    return figure


def double_arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw a thin arrow with two heads."""
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle="<->", mutation_scale=9, color=GRAY, shrinkA=0, shrinkB=0))


def fields() -> Figure:
    """The axes of a feature map: n fields, each a stack of d maps."""
    figure = drawn(1.7)
    ax = figure.subplots()
    colors = ["#d9534f", "#f0ad4e", "#5cb85c", "#5b9bd5"]
    for n, d in product(range(3), reversed(range(4))):
        x, y = 3.1 * n + 0.28 * d, 0.28 * d
        ax.add_patch(Rectangle((x, y), 1.5, 1.5, facecolor=colors[d], edgecolor="white", linewidth=1.2))
    for n in range(3):
        ax.text(3.1 * n + 0.75, -0.5, f"field {n}", ha="center")
    ax.text(0.75, 0.75, "H, W", ha="center", va="center", color="white")
    double_arrow(ax, (1.62, 0.02), (2.44, 0.84))
    ax.text(2.12, 0.02, "d = 4", fontsize=9)
    double_arrow(ax, (0.0, 2.65), (8.54, 2.65))
    ax.text(4.27, 2.76, "n = 3", ha="center")
    ax.set(xlim=(-0.1, 8.7), ylim=(-0.6, 3.3), aspect="equal")
    ax.axis("off")
    return figure


def basis() -> Figure:
    """Pixels, permuted by quarter turns; and two harmonics, mixed by an eighth of a turn."""
    figure = drawn(3.2)
    upper, lower = figure.subfigures(2, 1)
    upper.suptitle("Pixels: a quarter turn permutes them", fontsize=10)
    for g, ax in enumerate(upper.subplots(1, 3)):
        numbers = np.empty(9, int)
        numbers[Pixels((3, 3)).permutation(Cyclic(4))[g]] = np.arange(9)
        ax.imshow(numbers.reshape(3, 3), cmap="viridis", vmin=-2, vmax=9)
        for i, j in product(range(3), repeat=2):
            ax.text(j, i, str(numbers[3 * i + j]), ha="center", va="center", color="white")
        ax.set_xlabel(f"{90 * g}°", labelpad=3)
        bare(ax)
    lower.suptitle("Harmonics: an eighth of a turn mixes a pair", fontsize=10)
    side = 21
    waves = Harmonics((side, side), rings=[5.5], widths=[3.0], frequencies=[1])
    pair = torch.from_numpy(waves.samples().reshape(-1, side, side)[1:])  # cosine and sine
    turned = np.sqrt(0.5) * (pair[0] + pair[1])
    for ax, name, wave in zip(lower.subplots(1, 3), ("a", "b", "0.7 a + 0.7 b"), (*pair, turned), strict=True):
        show(ax, wave)
        ax.set_xlabel(name, labelpad=3, fontsize=10)
    return figure


def law(layer: GroupConv2d, image: Tensor, g: int, rows: int) -> Figure:
    """An image and its regular features; the moved image and its features, moved in the same way."""
    group = layer.in_type.group
    figure = drawn(4.6)
    places = (0, int(group.table[g, 0]))
    images = (image, group.transform_image(image, g))
    titles = (("x", "f(x)"), ("g·x", "f(g·x)"))
    with torch.no_grad():
        maps = [layer(each[None])[0, 0] for each in images]  # (d, h, w) each
    limit = float(maps[0].abs().max())
    for part, x, found, place, names in zip(figure.subfigures(2, 1), images, maps, places, titles, strict=True):
        left, right = part.subfigures(1, 2, width_ratios=(1.25, 2))
        ax = left.subplots()
        show(ax, x)
        ax.set_title(names[0], pad=4)
        right.suptitle(names[1], fontsize=10)
        _maps(right, found, place, rows, limit)
    return figure


def _maps(part: SubFigure, maps: Tensor, marked: int, rows: int, limit: float) -> None:
    for h, ax in enumerate(part.subplots(rows, len(maps) // rows).flat):
        show(ax, maps[h], limit)
        ax.text(0.05, 0.95, str(h), transform=ax.transAxes, va="top", color=GRAY, fontsize=9)
        if h == marked:
            mark(ax)


STEPS = (
    ("(o, i, f, s)", "the learned coefficients", "act"),
    ("(o, g, i, f, s)", "moved by every element: fiber and plane", "sample"),
    ("(o, g, i, f, k·k)", "the basis functions on the pixels", "fold"),
    ("(o·g, i·f, k, k)", "the kernel of one convolution", "convolve"),
    ("(B, o·g, H, W)", "with the input (B, i·f, H, W)", ""),
)


def pipeline() -> Figure:
    """Act, sample, fold, convolve, with the shapes in between."""
    figure = drawn(4.4)
    ax = figure.subplots()
    height, gap = 0.62, 0.36
    for k, (shape, text, step) in enumerate(STEPS):
        y = -k * (height + gap)
        ax.add_patch(Rectangle((0, y - height), 4, height, facecolor="#eef3f8", edgecolor=BLUE))
        ax.text(2, y - 0.19, shape, ha="center", va="center", family="monospace", fontsize=10)
        ax.text(2, y - 0.44, text, ha="center", va="center", color="#555555", fontsize=9)
        if step:
            start, end = (2, y - height - 0.03), (2, y - height - gap + 0.03)
            style = {"arrowstyle": "-|>", "mutation_scale": 10, "color": INK, "shrinkA": 0, "shrinkB": 0}
            ax.add_patch(FancyArrowPatch(start, end, **style))
            ax.text(2.12, y - height - gap / 2, step, va="center", weight="bold")
    ax.set(xlim=(-0.05, 4.05), ylim=(-5 * height - 4 * gap - 0.05, 0.05))
    ax.axis("off")
    return figure


def pictures(colored: Group, image: Tensor, edges: GroupConv2d, random: GroupConv2d) -> Iterator[tuple[str, Figure]]:
    """Draw all, with their names.

    Args:
        colored: the group of the first picture.
        image: what it moves.
        edges: the layer whose features are drawn.
        random: the layer whose kernels are.
    """
    draw: dict[str, Callable[[], Figure]] = {
        "orbit": lambda: orbit(colored, image),
        "matrices": lambda: matrices(Cyclic(4)),
        "fields": fields,
        "basis": basis,
        "law": lambda: law(edges, image, 5, rows=3),
        "pipeline": pipeline,
        "kernels": lambda: kernels(random),
    }
    for name, drawing in draw.items():
        yield name, drawing()
