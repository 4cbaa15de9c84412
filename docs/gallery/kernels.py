"""
A kernel: act, sample, fold
===========================

Everything in equiconv is one sentence: a group acts on a kernel. Here are the steps of that sentence, drawn for the
same layer twice, with quarter turns and with eighth turns.
"""

# sphinx_gallery_thumbnail_number = 5

from functools import partial

import torch
from matplotlib.figure import Figure

from equiconv import viz
from equiconv.bases import Harmonics
from equiconv.groups import P4, Cyclic, HueShift
from equiconv.layers import GroupConv2d


def maps(images, columns):
    """Draw maps in a table, red being positive and blue negative."""
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(0.95 * columns, 0.95 * rows), layout="constrained")
    for ax in figure.subplots(rows, columns, squeeze=False).flat:
        ax.axis("off")
    for ax, image in zip(figure.axes, images, strict=False):
        limit = abs(image).max()
        ax.imshow(image, cmap="RdBu_r", vmin=-limit, vmax=limit)
    return figure


# %%
# Act
# ---
# What is learned are coefficients ``(o, i, f, s)``: for each output field, input field, and entry of its fiber as
# many as the kernel has functions. With quarter turns these functions are the pixels of the window. Here one output
# field sees one gray image through a 5x5 window: 25 numbers.

torch.manual_seed(1)
layer = GroupConv2d(P4().trivial, P4().regular, 5)
print("coefficients", tuple(layer.weight.shape))

# %%
# Every element of the group moves them. A quarter turn permutes the pixels, so the step is one indexing, and the four
# kernels consist of the same 25 numbers.

viz.kernels(layer)

# %%
# Sample
# ------
# An eighth turn does not permute pixels. So the kernel is made of other functions: circular waves, which turning
# mixes among themselves. A wave of frequency *m* goes around *m* times. These are the functions of a 5x5 window, on
# its pixels.

basis = Harmonics((5, 5))
maps(basis.samples().reshape(-1, 5, 5), columns=9)

# %%
# The coefficients are turned, where turning is exact. Then the sum of the waves is drawn on the pixels: this is the
# step that samples.

torch.manual_seed(1)
layer = GroupConv2d(Cyclic(8).trivial, Cyclic(8).regular, 5)
print("coefficients", tuple(layer.weight.shape))
viz.kernels(layer)

# %%
# Wide rings in a larger window show the same with less of the grid in it.

torch.manual_seed(1)
smooth = partial(Harmonics, rings=[0, 3], widths=[1.5, 1.5], frequencies=[0, 3])
viz.kernels(GroupConv2d(Cyclic(8).trivial, Cyclic(8).regular, 13, basis=smooth))

# %%
# Colors
# ------
# A hue shift leaves the plane alone and moves the fiber, here the three channels of a kernel that sees an image. In a
# product both are moved.

torch.manual_seed(1)
group = HueShift(3) * P4()
layer = GroupConv2d(group.image, 2 * group.regular, 5)
viz.kernels(layer)

# %%
# Fold
# ----
# In the end the moved kernels are put side by side as those of one ordinary convolution, ``(o*g, i*f, k, k)``. It is
# all that PyTorch sees, and what makes the layer as fast as a convolution of this shape. Each row has the three
# channels of one kernel, the first twelve rows are the first field. The 150 coefficients fill 1800 places.

kernel = layer.kernel().detach()
print("weights", layer.weight.numel(), "kernel", tuple(kernel.shape), kernel.numel())
maps(kernel.movedim(0, 1).flatten(0, 1).numpy(), columns=24)
