"""Feature fields, and how they move with the image."""

import copy
from collections.abc import Callable

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from torch import Tensor, nn

from equiconv.errors import FieldTypeError
from equiconv.groups import FieldType, Representation
from equiconv.groups.field_type import as_type
from equiconv.groups.values import integer
from equiconv.taps import Taps
from equiconv.viz.elements import Table, name
from equiconv.viz.images import entries
from equiconv.viz.panels import bare, check_image, grid, mark, moved, numbers, show
from equiconv.viz.style import GRAY, INK, Drawing, styled

__all__ = ["fields"]

IMAGE, PANEL = 3.0, 1.05  # inches, of the image and of the panels of its maps
ARROWS = 18  # along a side
LENGTH, FAINT = 2.2, 0.08  # of the longest arrow, in steps between arrows; of the shortest, relative to it


@styled
def fields(
    layer: Callable[[Tensor], Tensor],
    image: Tensor,
    g: int,
    *,
    field: int = 0,
    out_type: FieldType | Representation | None = None,
) -> Figure:
    """Draw an image with the features that a layer makes of it, and below the moved image with its features.

    A regular field is drawn as one map for each element, any other permutation field as one for each entry; the map
    that is framed above is sent to the one that is framed below. A field of dimension 2, such as a vector or an irrep
    of a rotation, is drawn as arrows on its norm; one of dimension 1 as one map; all others by their norm.

    Args:
        layer: a layer, a network or any function from images ``(1, C, H, W)`` to features. Of a module a copy runs, in
            evaluation.
        image: ``(C, H, W)``, values in [0, 1].
        g: the element of the group of ``out_type`` that moves the image.
        field: the number of the field that is drawn.
        out_type: the type of the features; None takes ``layer.out_type``, or of a network of layers the type of the
            last one.

    Returns:
        The figure; all maps have one scale. Of a large group only some elements are shown.

    Raises:
        FieldTypeError: if the type of the features is not known, or has no such field.
        GroupError: if g is not an element.
        ShapeError: if it is not one image, or the features are not of this type.

    Example:
        >>> import torch
        >>> from equiconv.groups import P4
        >>> from equiconv.layers import GroupConv2d
        >>> figure = fields(GroupConv2d(P4().image, P4().regular, 3), torch.rand(3, 9, 9), 1)
        >>> [part.get_title() for part in figure.axes[:1]], len(figure.axes)
        (['x'], 10)
    """
    image = check_image(image)
    still, known = _run(layer, image)
    kind = _type(known if out_type is None else out_type)
    group = kind.group
    chosen = integer(field)
    if chosen is None or not 0 <= chosen < kind.n:
        raise FieldTypeError(f"field is a number from 0 to {kind.n - 1}; got {field!r}")
    moving, _ = _run(layer, group.transform_image(image, g))
    features = [kind.fields(maps)[0, chosen] for maps in (still, moving)]  # (d, h, w) each
    places, marked = _places(kind, int(g))
    limit = max(float(values.abs().max()) for values in features) or 1.0
    rows, columns = places.elements.shape
    panel = PANEL if places.elements.size > 1 else IMAGE
    height = max(IMAGE, panel * rows) + 0.45
    figure = Drawing(figsize=(IMAGE + panel * columns + 0.6, 2 * height), layout="constrained")
    parts = figure.subfigures(2, 2, width_ratios=(IMAGE, panel * columns + 0.5), squeeze=False)
    titles = (("x", "f(x)"), (f"g·x, g: {name(group, g)}", "f(g·x)"))
    for part, x, values, which, (left, right) in zip(
        parts, (image, moved(group, image, g)), features, marked, titles, strict=True
    ):
        ax = part[0].subplots()
        show(ax, x)
        ax.set_title(left, pad=4)
        part[1].suptitle(right, fontsize=10)
        _draw(part[1], kind, values, places, which, limit)
    return figure


def _type(known: FieldType | Representation | None) -> FieldType:
    if known is None:
        raise FieldTypeError("say out_type: this layer does not know what its features are made of")
    return as_type(known)


def _run(layer: Callable[[Tensor], Tensor], image: Tensor) -> tuple[Tensor, FieldType | Representation | None]:
    """Return the features, and what the layer says that they are made of."""
    known = getattr(layer, "out_type", None)
    if not isinstance(layer, nn.Module):
        with torch.no_grad():
            return numbers(layer(image[None])), known
    run = copy.deepcopy(layer).eval()
    held = next(run.parameters(), image)
    with torch.no_grad(), Taps(run) as taps:
        features = run(image[None].to(held.device, held.dtype))
    return numbers(features), _last_type(taps, features) if known is None else known


def _last_type(taps: Taps, features: Tensor) -> FieldType | None:
    """Return the type of the last map that was heard, if it is what came out."""
    last = taps.taps[-1] if taps.taps else None
    return last.field_type if last is not None and last.value is features else None


def _places(kind: FieldType, g: int) -> tuple[Table, tuple[int, int]]:
    """Return how the entries are arranged, and where the first entry of the still field is, then of the moved one."""
    permutation = kind.representation.permutation
    if permutation is None or kind.fiber == 1:
        return Table(np.zeros((1, 1), np.int64), ("",), ("",), ""), (-1, -1)
    return entries(kind), (0, int(permutation[g, 0]))


def _draw(part: SubFigure, kind: FieldType, values: Tensor, places: Table, marked: int, limit: float) -> None:
    """Draw a field (d, h, w)."""
    if kind.fiber > 1 and not kind.representation.is_permutation:
        ax = part.subplots()
        show(ax, values.norm(dim=0), limit)
        if kind.fiber == 2:
            _arrows(ax, values, limit)
        return
    for entry, ax in grid(part, places, 8):
        show(ax, values[entry], limit)
        if places.elements.size > 1:
            ax.text(0.04, 0.94, str(entry), transform=ax.transAxes, va="top", color=GRAY, fontsize=8)
        if entry == marked:
            mark(ax)


def _arrows(ax: Axes, values: Tensor, limit: float) -> None:
    """Draw vectors (2, h, w): x right, y up."""
    height, width = values.shape[-2:]
    step = max(1, -(-max(height, width) // ARROWS))
    y, x = (grid.ravel() for grid in np.mgrid[step // 2 : height : step, step // 2 : width : step])
    u, v = values[:, y, x].numpy()
    seen = np.hypot(u, v) > FAINT * limit
    scale = limit / (LENGTH * step)
    ax.quiver(
        x[seen],
        y[seen],
        u[seen],
        v[seen],
        color=INK,
        pivot="mid",
        angles="uv",
        scale_units="xy",
        scale=scale,
        width=0.008,
    )
    bare(ax)
