"""
An ordinary ResNet learns to turn
=================================

A residual network of PyTorch's own layers becomes equivariant in one call. Then a flower is turned once around in
front of both.
"""

import numpy as np
import torch
from matplotlib import pyplot as plt
from scipy.ndimage import gaussian_filter, rotate
from sklearn.datasets import load_sample_image
from torch import nn
from torch.nn.functional import interpolate

from equiconv import convert
from equiconv.groups import P4, Cyclic
from equiconv.testing import equivariance_profile

# %%
# An ordinary network
# -------------------
# Nothing in it knows of equiconv.


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self, width=16, classes=10):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 5, 2, 2)
        self.blocks = nn.Sequential(Block(width, width), Block(width, 2 * width, stride=2))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(2 * width, classes)

    def forward(self, x):
        return self.head(self.pool(self.blocks(self.stem(x))).flatten(1))


# %%
# One call
# --------
# ``convert`` follows the forward, builds the same graph on a group with as many parameters, and reports what became of
# every module.

torch.manual_seed(1)
ordinary = ResNet()
net, report = convert(ordinary, P4(), image_size=64)
print(report)

# %%
# Once around
# -----------
# The ten logits while the image turns, with random weights, divided by how far those of different images are from each
# other. The ordinary network sees another image at every angle. On ``P4`` the answer comes back at every quarter turn,
# exactly. On ``Cyclic(8)``, whose eighth turns are nearly exact, it hardly changes at any angle.

photo = torch.tensor(load_sample_image("flower.jpg")).movedim(-1, 0) / 255  # (3, 427, 640)
parts = photo[:, :420].unfold(1, 140, 70).unfold(2, 140, 70)  # (3, 5, 8, 140, 140)
parts = parts.flatten(1, 2).movedim(0, 1)  # (40, 3, 140, 140)
images = interpolate(parts, (64, 64), mode="bilinear", antialias=True)
y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
disk = torch.exp(-4 * (x**2 + y**2))  # nothing is cut off when it turns
images = torch.tensor(gaussian_filter(images.numpy(), 1.5, axes=(-1, -2))) * disk
degrees = range(0, 361, 9)
image = images[19].numpy()
turned = [rotate(image, angle, axes=(-1, -2), reshape=False) for angle in degrees]
turned = torch.tensor(np.stack(turned))

on_eight, _ = convert(ordinary, Cyclic(8), image_size=64)
networks = {"ordinary": ordinary, "on P4": net, "on Cyclic(8)": on_eight}
figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained", sharey=True)
for ax, (title, network) in zip(axes, networks.items(), strict=True):
    network.train()(images)  # the statistics of the batch norms
    with torch.no_grad():
        apart = network.eval()(images).std(0).mean()
        logits = network(turned)
    ax.plot(degrees, (logits - logits[0]) / apart)
    ax.set(title=title, xlabel="turned by (degrees)", xticks=range(0, 361, 90), xlim=(0, 360))
axes[0].set_ylabel("change of the logits")

# %%
# Layer by layer
# --------------
# The largest error of each layer under the four turns, in double precision. Before, it is large from the first layer
# on. After, it is that of rounding.

figure, ax = plt.subplots(figsize=(8, 4), layout="constrained")
for label, network in {"ordinary": ordinary, "on P4": net}.items():
    profile = equivariance_profile(network.double(), P4(), images[:2].double(), angles=())
    errors = dict(zip(profile.layers, profile.worst, strict=True))
    names = [name for name, _ in ordinary.named_modules() if name in errors]
    ax.semilogy(range(len(names)), [errors[name] for name in names], marker="o", label=label)
ax.set(ylabel="relative error", ylim=(1e-17, 30))
ax.set_xticks(range(len(names)), names, rotation=60, ha="right")
ax.legend(loc="center right", frameon=False)

# %%
# The network has to be trained anew: its weights were drawn, not taken from the ordinary one. :doc:`Convert a network
# </converting>` says which networks can be converted, and what the notes in the report mean.
