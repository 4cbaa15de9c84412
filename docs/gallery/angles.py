"""
The error at every angle
========================

Which angles does a network hold at? A finite group answers for its own elements. What happens between them can be
measured.
"""

import numpy as np
import torch
from matplotlib import pyplot as plt
from scipy.ndimage import gaussian_filter, rotate

from equiconv.groups import P4, SO2, Cyclic, Trivial
from equiconv.models import CNN

# %%
# Smooth images that are black outside of a disk: turning them cuts nothing off, and interpolates little.

size = 30
noise = np.random.default_rng(0).standard_normal((16, 1, size, size))
y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
images = gaussian_filter(noise, 2.0, axes=(-2, -1)) * np.exp(-4 * (x**2 + y**2)) * 10


def turned(degrees):
    """Return the images turned counter-clockwise."""
    moved = rotate(images, degrees, axes=(-1, -2), reshape=False, order=3)
    return torch.tensor(moved).float()


# %%
# The logits of a network that pools over its group should be the same for all angles. The error is how far they are
# from those of the upright images, relative to how far the logits of two different images are from each other. At 1,
# an image cannot be told from another one by where its logits are. The weights are random: this is what the
# architecture knows before it has seen anything.

degrees = np.arange(0, 181, 7.5)
groups = [Trivial(), P4(), Cyclic(8), Cyclic(16), SO2(2)]
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for group in groups:
    torch.manual_seed(0)
    net = CNN(group, 6, in_channels=1, kernel_sizes=(5, 5, 5, 5)).eval()
    with torch.no_grad():
        upright = net(turned(0))
        apart = torch.pdist(upright).mean()
        changes = [net(turned(angle)) - upright for angle in degrees]
    errors = [(change.norm(dim=1).mean() / apart).item() for change in changes]
    ax.semilogy(degrees, np.maximum(errors, 1e-7), label=repr(group), marker=".")
    print(f"{group!r:10}  largest error {max(errors):.2g}")
ax.set(xlabel="turned by (degrees)", ylabel="relative error")
ax.set(xticks=range(0, 181, 45), ylim=(3e-8, 3))
figure.legend(loc="outside upper center", ncols=5, frameon=False)

# %%
# All but the ordinary network are exact at quarter turns: pixels go to pixels there. ``P4``, which is drawn as
# ``Cyclic(4)``, promises nothing between. ``Cyclic(8)`` has an element at 45 degrees, and its error has a dip there,
# but is not zero: its kernels turn exactly on the plane, and are sampled on pixels. The more elements a group has,
# the less room there is between them. ``SO2`` promises all angles. What is left is what pixels and nonlinearities do,
# and interpolation, which is a part of this measurement.
#
# Exact at four angles or nearly right at all: which is better depends on the data. Satellites see any angle; a
# document on a scanner lies in one of four ways. :doc:`Which symmetry do I need? </which>` has measurements of both.
