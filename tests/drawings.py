"""What tests of drawings share."""

import numpy as np
import torch
from matplotlib.colors import to_rgb

from equiconv.groups import P4, HueShift
from equiconv.testing import Profile
from equiconv.viz.style import MARK

COLORED = HueShift(3) * P4()


def image(channels=3, side=9):
    return torch.rand(channels, side, side)


def drawn(ax, number=0):
    return np.array(ax.images[number].get_array())


def shown(colors):
    """An image (3, h, w) as it is drawn."""
    return colors.clamp(0, 1).movedim(0, -1).numpy()


def framed(axes):
    """The axes with the frame that is seen first."""
    return [ax for ax in axes if to_rgb(ax.spines["left"].get_edgecolor()) == to_rgb(MARK)]


def measured(layers=3, **sweeps):
    errors = 10.0 ** -np.arange(layers * 4).reshape(layers, 4)
    return Profile(P4(), tuple(f"layer{i}" for i in range(layers)), errors, **sweeps)
