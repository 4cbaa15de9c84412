"""
A network of e2cnn goes on without e2cnn
========================================

The example of e2cnn's README, the same layers in equiconv, and then the trained network itself: taken over with its
weights, map by map the same.
"""

import warnings

import torch
from matplotlib import pyplot as plt
from sklearn.datasets import load_sample_image
from torch.nn.functional import interpolate

from equiconv import viz
from equiconv.groups import Cyclic
from equiconv.interop import from_e2cnn
from equiconv.interop.e2cnn import repair
from equiconv.layers import GroupConv2d, Pointwise

warnings.simplefilter("ignore")  # of the source of e2cnn, for today's Python
repair()  # lets e2cnn 0.2.3 run on today's NumPy and PyTorch

from e2cnn import gspaces
from e2cnn import nn as enn

photo = torch.tensor(load_sample_image("flower.jpg")).movedim(-1, 0) / 255  # (3, 427, 640)
image = photo[None, :, 60:260, 200:400]
image = interpolate(image, (49, 49), mode="bilinear", antialias=True)[0]
y, x = torch.meshgrid(torch.linspace(-1, 1, 49), torch.linspace(-1, 1, 49), indexing="ij")
image = image * torch.sigmoid(16 * (0.7 - (x**2 + y**2).sqrt()))  # black outside of a disk

# %%
# The same, twice
# ---------------
# e2cnn names a space, lists the fields, and wraps tensors:

torch.manual_seed(0)
space = gspaces.Rot2dOnR2(N=8)
images = enn.FieldType(space, 3 * [space.trivial_repr])
features = enn.FieldType(space, 10 * [space.regular_repr])
conv = enn.R2Conv(images, features, kernel_size=5, padding=2)
theirs = enn.SequentialModule(conv, enn.ReLU(features)).eval()
with torch.no_grad():
    expected = theirs(enn.GeometricTensor(image[None], images)).tensor
print("e2cnn   ", tuple(expected.shape))

# %%
# equiconv names a group, and takes tensors as they are. Fields have an axis of their own:

group = Cyclic(8)
own = torch.nn.Sequential(
    GroupConv2d(3 * group.trivial, 10 * group.regular, 5, padding=2),
    Pointwise(10 * group.regular),
)
with torch.no_grad():
    print("equiconv", tuple(own(image[None]).shape))

# %%
# Taken over
# ----------
# ``from_e2cnn`` returns a network of such layers with the weights of the other one. It needs e2cnn no more. These are
# the eight maps of one field, as both compute them. What differs is rounding, drawn a million times larger.

ours = from_e2cnn(theirs)
with torch.no_grad():
    maps = ours(image[None])  # (1, 10, 8, 49, 49)
difference = maps - expected.unflatten(1, (10, 8))
rows = {
    "e2cnn": expected.unflatten(1, (10, 8))[0, 4],
    "equiconv": maps[0, 4],
    "difference\ntimes a million": 1e6 * difference[0, 4],
}
limit = rows["e2cnn"].max()
figure, axes = plt.subplots(3, 8, figsize=(9, 3.4), layout="constrained")
for line, (name, found) in zip(axes, rows.items(), strict=True):
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for ax, drawn in zip(line, found, strict=True):
        ax.imshow(drawn, cmap="RdBu_r", vmin=-limit, vmax=limit)
        ax.set(xticks=[], yticks=[])
print(f"largest difference {difference.abs().max():.1g}, of values up to {limit:.2g}")

# %%
# It is a network of equiconv now, so everything here works on it. Turn the image by 45 degrees: the maps turn, and
# each takes the place of the next.

viz.fields(ours, image, 1, field=4)

# %%
# :doc:`Coming from e2cnn </coming_from_e2cnn>` has all names beside each other, and says which networks are taken over.
