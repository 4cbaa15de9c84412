"""Panels: images and maps without ticks, in the table of the elements of a group."""

from collections.abc import Iterator

import torch
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from torch import Tensor

from equiconv.errors import EquiconvError, ShapeError
from equiconv.groups import Group
from equiconv.groups.moves import is_signed_permutation
from equiconv.viz.elements import Table
from equiconv.viz.style import GRAY, MARK

SIGNED = "RdBu_r"  # the colors of maps of both signs
Box = tuple[float, float, float, float]
WIDTH, SMALLEST, LARGEST = 6.4, 0.8, 1.6  # inches, of a row of panels and of each
FAINTEST = 1e-2  # opacity for which a color is known
SLACK = 1e-3  # by which rounding may leave [0, 1]


def check_image(image: Tensor) -> Tensor:
    """Return an image (C, H, W) without gradient, on the CPU; raise unless it is gray or RGB, with values in [0, 1]."""
    if not isinstance(image, Tensor) or image.dim() != 3 or image.shape[0] not in (1, 3):
        shape = tuple(image.shape) if isinstance(image, Tensor) else image
        raise ShapeError(f"expected one image, a tensor (1, H, W) or (3, H, W); got {shape}")
    image = image.detach().cpu()
    if not image.is_floating_point() or not -SLACK <= image.min() <= image.max() <= 1 + SLACK:
        raise EquiconvError(
            f"expected an image of floating-point values in [0, 1]; got {image.dtype} from {image.min():g} to "
            f"{image.max():g}: divide by 255, or undo a normalization"
        )
    return image


def show(ax: Axes, image: Tensor, limit: float | None = None, box: Box | None = None) -> None:
    """Draw an image or a map (h, w) of both signs, without ticks.

    Args:
        ax: where to draw.
        image: what to draw; an image is (1, h, w), (3, h, w), or (4, h, w) with opacity. Colors are clipped to [0, 1].
        limit: of the values of a map; None takes the largest.
        box: left, right, bottom and top; None takes the pixels as units.
    """
    if image.dim() == 3:
        pixels = (image.expand(3, -1, -1) if len(image) == 1 else image).clamp(0, 1).movedim(0, -1)
        ax.imshow(pixels.numpy(), interpolation="nearest", extent=box)
    else:
        limit = float(image.abs().max()) if limit is None else limit
        ax.imshow(image.numpy(), cmap=SIGNED, vmin=-limit, vmax=limit, interpolation="nearest", extent=box)
    bare(ax)


def moved(group: Group, image: Tensor, g: int) -> Tensor:
    """Return an image moved by an element, to be drawn: what comes from outside of it is transparent."""
    colors = group.transform_image(image, g)
    if is_signed_permutation(group.plane[g]):
        return colors
    inside = group.transform_image(torch.ones_like(image[:1]).expand(3, -1, -1), g)[:1]
    return torch.cat([colors.expand(3, -1, -1) / inside.clamp(min=FAINTEST), inside])


def bare(ax: Axes, color: str = GRAY, width: float = 0.6) -> None:
    """Take the ticks of some axes away, and give them a frame."""
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set(visible=True, color=color, linewidth=width)


def mark(ax: Axes) -> None:
    """Frame some axes so that they are seen first."""
    bare(ax, MARK, 2.2)


def grid(figure: FigureBase, table: Table, fontsize: float = 10) -> Iterator[tuple[int, Axes]]:
    """Make axes for the elements in a table, with the names of rows and columns; yield them, element by element."""
    axes = figure.subplots(*table.elements.shape, squeeze=False)
    for column, text in zip(axes[0], table.columns, strict=True):
        column.set_title(text, pad=3, fontsize=fontsize)
    for row, text in zip(axes[:, 0], table.rows, strict=True):
        row.set_ylabel(text, fontsize=fontsize)
    yield from zip(table.elements.ravel().tolist(), axes.flat, strict=True)


def size_of(table: Table, ratio: float) -> tuple[float, float, float]:
    """Return width and height in inches of a figure of panels ``ratio`` times as high as wide, and its font size."""
    rows, columns = table.elements.shape
    panel = min(max(WIDTH / columns, SMALLEST), LARGEST)
    height = max(panel * ratio, SMALLEST if any(table.rows) else 0)
    width = panel * columns + 0.45 * any(table.rows) + 0.1
    return max(width, 2.5), height * rows + 0.35 + 0.3 * bool(table.title), 10 if panel > 1.2 else 8


def numbers(maps: Tensor) -> Tensor:
    """Return what a network has made, as numbers that can be drawn."""
    return maps.detach().cpu().to(torch.float64)
