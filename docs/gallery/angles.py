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
    return torch.tensor(rotate(images, degrees, axes=(-1, -2), reshape=False, order=3)).float()


# %%
# The logits of a network that pools over its group should be the same for all angles. The error is how far they are from
# those of the upright images, relative to how far the logits of two different images are from each other. At 1, an image
# cannot be told from another one by where its logits are. The weights are random: this is what the architecture knows
# before it has seen anything.

degrees = np.arange(0, 181, 7.5)
groups = {"Trivial()": Trivial(), "P4()": P4(), "Cyclic(8)": Cyclic(8), "Cyclic(16)": Cyclic(16), "SO2(2)": SO2(2)}
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, group in groups.items():
    torch.manual_seed(0)
    net = CNN(group, 6, in_channels=1, kernel_sizes=(5, 5, 5, 5)).eval()
    with torch.no_grad():
        upright = net(turned(0))
        apart = torch.pdist(upright).mean()
        errors = [((net(turned(angle)) - upright).norm(dim=1).mean() / apart).item() for angle in degrees]
    ax.semilogy(degrees, np.maximum(errors, 1e-7), label=name, marker=".")
    print(f"{name:10}  largest error {max(errors):.2g}")
ax.set(xlabel="turned by (degrees)", ylabel="relative error", xticks=range(0, 181, 45), ylim=(3e-8, 3))
ax.legend(ncols=3, loc="lower right", fontsize=9)

# %%
# ``P4`` is exact at 90 and 180 degrees and falls to nothing at once. Between the elements of a larger group there is less
# room to fall. ``SO2`` promises all angles. What is left there is what pixels and nonlinearities do, and interpolation,
# which is part of this measurement: exact at quarter turns, and elsewhere about as good as the grid allows.
#
# Exact at four angles or nearly right at all: which is better depends on the data. Satellites see any angle; a document
# on a scanner lies in one of four ways. The :doc:`tables of the benchmarks </benchmarks>` have measurements of both.
