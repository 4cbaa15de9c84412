"""
A separable kernel of SepGroupPy, taken apart
=============================================

A few weights of a checkpoint of SepGroupPy, and the large kernel that they stand for.
"""

# sphinx_gallery_thumbnail_number = 2

import torch
from matplotlib import pyplot as plt
from sklearn.datasets import load_sample_image
from torch import nn
from torch.nn.functional import interpolate

from equiconv import viz
from equiconv.interop import P4MConvZ2, from_sepgroupy, gcP4MConvP4M

photo = torch.tensor(load_sample_image("flower.jpg")).movedim(-1, 0) / 255  # (3, 427, 640)
image = photo[None, :, 60:260, 200:400]
image = interpolate(image, (49, 49), mode="bilinear", antialias=True)[0]

# %%
# Layers by their names
# ---------------------
# The layers have the names and arguments of SepGroupPy: channels in and out, kernel size, stride, padding. What they
# return are layers of equiconv. Here is a network of one's own, and what SepGroupPy would have saved of it.

net = nn.Sequential(P4MConvZ2(3, 8, 5, padding=2), nn.ReLU(), gcP4MConvP4M(8, 8, 5, padding=2))
torch.manual_seed(6)
y, x = torch.meshgrid(torch.linspace(-1, 1, 5), torch.linspace(-1, 1, 5), indexing="ij")
fading = torch.exp(-1.2 * (x**2 + y**2))
state = {
    "0.weight": torch.randn(8, 3, 1, 5, 5) * fading,
    "0.bias": torch.zeros(8),
    "2.pointwise_weight": torch.randn(8, 8, 8, 1, 1),
    "2.depthwise_weight": torch.randn(8, 1, 1, 5, 5) * fading,
    "2.bias": torch.zeros(8),
}
net = from_sepgroupy(state, into=net).eval()

# %%
# Few numbers
# -----------
# For one output and one input channel a kernel on ``P4M`` has eight parts, one for each turn and mirror image of what
# came before. Here they are one spatial kernel times eight numbers:

spatial = state["2.depthwise_weight"][0, 0, 0]
pointwise = state["2.pointwise_weight"][0, 0, :, 0, 0]
heights = (1, 4)
figure, axes = plt.subplots(2, 9, figsize=(9, 1.6), layout="constrained", height_ratios=heights)
limit = (spatial.abs().max() * pointwise.abs().max()).item()
for ax in axes.flat:
    ax.axis("off")
for ax, number in zip(axes[0, 1:], pointwise.tolist(), strict=True):
    ax.text(0.5, 0.5, f"{number:+.2f} x", ha="center", va="center", fontsize=12)
parts = [spatial * limit / spatial.abs().max(), *(spatial * number for number in pointwise)]
for ax, part in zip(axes[1], parts, strict=True):
    ax.imshow(part, cmap="RdBu_r", vmin=-limit, vmax=limit)
axes[0, 0].text(0.5, 0.5, "spatial", ha="center", va="center", fontsize=12)

# %%
# Many kernels
# ------------
# The group moves them as any other kernel: for each element they are turned or mirrored, and the eight change places.

viz.kernels(net[2])

# %%
# A convolution with this kernel is what the layer computes. Where it is faster, it goes factor by factor instead, as
# SepGroupPy does with ``separable=True``: the same function with fewer multiplications.

kernel = net[2].kernel()
weights = net[2].spatial.numel() + net[2].pointwise.numel()
print(f"{weights} weights, kernel of {kernel.numel():,} entries")

# %%
# The law holds
# -------------
# The image is turned by 90 degrees and flipped. So are the maps, in other places.

viz.fields(net, image, 5)

# %%
# :doc:`Coming from SepGroupPy </coming_from_sepgroupy>` has all names, and those of GrouPy; whole published networks
# are recognized by their weights.
