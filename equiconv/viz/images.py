"""Images and kernels, moved by the elements of a group."""

from collections.abc import Iterator

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from equiconv.errors import FieldTypeError
from equiconv.groups import FieldType, Group
from equiconv.groups.values import integer
from equiconv.layers import GroupConv2d
from equiconv.viz.elements import Table, table
from equiconv.viz.panels import bare, check_image, grid, moved, numbers, show, size_of
from equiconv.viz.style import GRAY, Drawing, styled

__all__ = ["kernels", "orbit"]

GAP = 0.12  # between kernels in a panel, relative to one


@styled
def orbit(group: Group, image: Tensor) -> Figure:
    """Draw an image as every element of a group moves it: turns in columns, hues and mirrors in rows.

    Args:
        group: the group. Of a large or continuous one some elements are shown, spread evenly, as a title says.
        image: ``(C, H, W)``, values in [0, 1]; C = 3 if the group moves colors, else 1 or 3.

    Returns:
        The figure. Colors that leave [0, 1] are clipped; what comes from outside of the image is left blank.

    Raises:
        ShapeError: if it is not one image, or has no colors that the group could move.
        EquiconvError: if its values are not in [0, 1].

    Example:
        >>> import torch
        >>> from equiconv.groups import HueShift, P4
        >>> figure = orbit(HueShift(3) * P4(), torch.rand(3, 16, 16))
        >>> len(figure.axes), figure.axes[1].get_title(), figure.axes[4].get_ylabel()
        (12, 'turn 90°', 'hue 120°')
    """
    image, places = check_image(image), table(group)
    figure, panels = _panels(places, image.shape[1] / image.shape[2])
    for g, ax in panels:
        show(ax, moved(group, image, g))
    return figure


@styled
def kernels(layer: GroupConv2d, *, out_field: int = 0, in_field: int = 0) -> Figure:
    """Draw the kernel between two fields of a layer, arranged as the output fiber: by elements if it is regular.

    A kernel that sees an image is drawn in its colors, gray being zero. One that sees other fields is drawn as one map
    for each entry of the input fiber, arranged in the same way, red being positive and blue negative.

    Args:
        layer: the layer.
        out_field: the number of the output field.
        in_field: the number of the input field, in its block if the layer has ``channel_groups``.

    Returns:
        The figure; all kernels have one scale. Of a large group some elements are shown.

    Raises:
        FieldTypeError: if the layer is no ``GroupConv2d``, or has no such field.

    Example:
        >>> from equiconv.groups import P4
        >>> from equiconv.layers import GroupConv2d
        >>> figure = kernels(GroupConv2d(P4().image, 2 * P4().regular, 5))
        >>> len(figure.axes), figure.axes[2].get_title()
        (4, 'turn 180°')
    """
    if not isinstance(layer, GroupConv2d):
        raise FieldTypeError(f"kernels draws those of a GroupConv2d; got {type(layer).__name__}")
    source, target = layer.in_type, layer.out_type
    if layer.lifting is not None:
        target = target.n * layer.lifting.out_rep
    kernel = numbers(layer.kernel()).unflatten(0, (target.n, target.fiber)).unflatten(2, (-1, source.fiber))
    found = _field(_field(kernel, 0, out_field, "out_field"), 1, in_field, "in_field")  # (d, f, kh, kw)
    limit = float(found.abs().max()) or 1.0
    places, inside = entries(target), entries(source)
    colored = source.representation == source.group.image
    rows, columns = (1, 1) if colored else inside.elements.shape
    figure, panels = _panels(places, rows / columns)
    for g, ax in panels:
        if colored:
            show(ax, 0.5 + 0.5 * found[g] / limit)
        else:
            _mosaic(ax, found[g], inside, limit)
    return figure


def entries(field_type: FieldType) -> Table:
    """Return how the entries of a fiber are arranged: as the elements if the fields are regular, else in a row."""
    if field_type.representation.is_regular:
        return table(field_type.group)
    count = field_type.fiber
    names = tuple(f"entry {entry}" for entry in range(count)) if count > 1 else ("",)
    return Table(np.arange(count)[None], ("",), names, "")


def _panels(places: Table, ratio: float) -> tuple[Figure, Iterator[tuple[int, Axes]]]:
    """Return a figure, and its axes element by element."""
    width, height, fontsize = size_of(places, ratio)
    figure = Drawing(figsize=(width, height), layout="constrained")
    if places.title:
        figure.suptitle(places.title, fontsize=10)
    return figure, grid(figure, places, fontsize)


def _mosaic(ax: Axes, maps: Tensor, inside: Table, limit: float) -> None:
    """Draw the maps (f, kh, kw) for the entries of the input fiber, side by side."""
    rows, columns = inside.elements.shape
    for (i, j), entry in np.ndenumerate(inside.elements):
        left, top = j * (1 + GAP), i * (1 + GAP)
        show(ax, maps[entry], limit, (left, left + 1, top + 1, top))
    ax.set(xlim=(-GAP, columns * (1 + GAP)), ylim=(rows * (1 + GAP), -GAP))
    bare(ax, GRAY)


def _field(kernel: Tensor, axis: int, number: int, what: str) -> Tensor:
    count, chosen = kernel.shape[axis], integer(number)
    if chosen is None or not 0 <= chosen < count:
        raise FieldTypeError(f"{what} is a number from 0 to {count - 1}; got {number!r}")
    return torch.select(kernel, axis, chosen)
