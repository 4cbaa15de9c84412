"""The error of equivariance, layer by layer."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import FuncNorm
from matplotlib.figure import Figure

from equiconv.errors import EquiconvError
from equiconv.groups.laws import Floats
from equiconv.testing import Profile, Sweep
from equiconv.viz.elements import name, table
from equiconv.viz.style import INK, Drawing, styled

__all__ = ["profile"]

EXPONENTS, SHARES = (-16, -3, 0), (0, 0.3, 1)  # the scale of the colors: what is not zero has the larger share
TICKS = (-16, -12, -8, -3, -2, -1, 0)  # exponents
ROW, CELL = 0.18, 0.15  # inches
LABELS = 24  # names on an axis, at most
TICK = 60  # degrees


@styled
def profile(measured: Profile) -> Figure:
    """Draw the errors of all layers: under the elements, and if they were measured by the angle and the hue between.

    Layers are rows, the first one on top; the brighter, the larger the error. All figures have the same logarithmic
    scale from 1e-16 to 1, compressed below 1e-3. Infinity and NaN are written into their cells.

    Args:
        measured: what ``equiconv.testing.equivariance_profile`` returns.

    Returns:
        The figure.

    Raises:
        EquiconvError: if it is something else.

    Example:
        >>> import torch
        >>> from equiconv.groups import P4
        >>> from equiconv.layers import GroupConv2d
        >>> from equiconv.testing import equivariance_profile
        >>> net = torch.nn.Sequential(GroupConv2d(P4().image, P4().regular, 3), torch.nn.ReLU())
        >>> figure = profile(equivariance_profile(net, P4(), torch.rand(2, 3, 9, 9)))
        >>> [text.get_text() for text in figure.axes[0].get_yticklabels()]
        ['0', '1']
    """
    if not isinstance(measured, Profile):
        raise EquiconvError(
            f"profile draws what equiconv.testing.equivariance_profile returns; got {type(measured).__name__}"
        )
    panels = [("elements", measured.elements)]
    panels += [(title, sweep.errors) for title, sweep in _sweeps(measured)]
    widths = [max(1.6, min(3.6, CELL * errors.shape[1])) for _, errors in panels]
    height = ROW * min(len(measured.layers), 3 * LABELS) + 1.9
    figure = Drawing(figsize=(sum(widths) + 2.6, height), layout="constrained")
    figure.suptitle(repr(measured.group), fontsize=10)
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True, width_ratios=widths)[0]
    for ax, (title, errors) in zip(axes, panels, strict=True):
        _cells(ax, errors, title)
    _name_layers(axes[0], measured.layers)
    _name_elements(axes[0], measured)
    for ax, (_, sweep) in zip(axes[1:], _sweeps(measured), strict=True):
        shown = [i for i, angle in enumerate(sweep.degrees) if angle % TICK == 0] or range(len(sweep.degrees))
        ax.set_xticks(list(shown), [f"{sweep.degrees[i]:.4g}°" for i in shown], fontsize=8, rotation=90)
    bar = figure.colorbar(axes[0].images[0], ax=axes, extend="max", fraction=0.05, aspect=25)
    bar.set_ticks([10.0**tick for tick in TICKS], labels=[f"$10^{{{tick}}}$" for tick in TICKS], fontsize=8)
    bar.set_label("error")
    return figure


def _sweeps(measured: Profile) -> list[tuple[str, Sweep]]:
    named = {"image turned by": measured.angles, "hue shifted by": measured.hues}
    return [(title, sweep) for title, sweep in named.items() if sweep is not None]


def _cells(ax: Axes, errors: Floats, title: str) -> None:
    colors = colormaps["cividis"].with_extremes(bad="#ffffff")
    norm = FuncNorm((_share, _error), vmin=10.0 ** TICKS[0], vmax=10.0 ** TICKS[-1])
    drawn = np.where(np.isfinite(errors), errors, np.nan)
    ax.imshow(drawn, cmap=colors, norm=norm, aspect="auto", interpolation="nearest")
    for row, column in np.argwhere(~np.isfinite(errors)):
        text = "?" if np.isnan(errors[row, column]) else "∞"
        ax.text(column, row, text, ha="center", va="center", fontsize=7, color=INK)
    ax.set_title(title, pad=4)
    ax.tick_params(length=2)


def _share(errors: Floats) -> Floats:
    """Return where errors are on the scale of the colors, from 0 to 1."""
    return np.interp(np.log10(np.maximum(errors, 1e-300)), EXPONENTS, SHARES)


def _error(shares: Floats) -> Floats:
    return 10 ** np.interp(shares, SHARES, EXPONENTS)


def _name_layers(ax: Axes, layers: Sequence[str]) -> None:
    every = -(-len(layers) // (3 * LABELS))
    ax.set_yticks(range(0, len(layers), every), layers[::every], fontsize=8)


def _name_elements(ax: Axes, measured: Profile) -> None:
    group = measured.group
    shown = sorted(table(group).elements.ravel().tolist()) if group.order > LABELS else range(group.order)
    ax.set_xticks(list(shown), [name(group, g) for g in shown], fontsize=8, rotation=90)
