"""
Vector fields
=============

Features need not be numbers. A gradient is a field of vectors. When the image turns, a vector moves with the pixel,
and its direction turns too.
"""

from functools import partial

import torch
from sklearn.datasets import load_sample_image
from torch import nn
from torch.nn.functional import interpolate

from equiconv import viz
from equiconv.bases import Derivatives
from equiconv.groups import O2, SO2
from equiconv.layers import GroupConv2d, NormActivation

photo = torch.tensor(load_sample_image("flower.jpg")).movedim(-1, 0) / 255  # (3, 427, 640)
gray = photo[:, 60:260, 200:400].mean(0)
image = interpolate(gray[None, None], (49, 49), mode="bilinear", antialias=True)[0]
y, x = torch.meshgrid(torch.linspace(-1, 1, 49), torch.linspace(-1, 1, 49), indexing="ij")
disk = torch.sigmoid(16 * (0.7 - (x**2 + y**2).sqrt()))
image = disk * image  # black outside of a disk, so that no corner is cut

# %%
# The gradient
# ------------
# Say that the input is invariant and the output a vector, and the group leaves only few kernels: those that turn as a
# vector does. Made of derivatives up to the first order, there is one, the gradient. Below, the image is turned by 45
# degrees; the arrows turn with it.

conv = partial(GroupConv2d, kernel_size=7, padding=3, padding_mode="replicate", bias=False)
group = O2(1)
derivatives = partial(Derivatives, max_order=1, smoothing=1.2)
gradient = conv(group.trivial, group.vector, basis=derivatives)
gradient.weight.data.fill_(1.0)
print("coefficients", gradient.weight.numel())
viz.fields(gradient, image, 12)

# %%
# Other kernels to vectors
# ------------------------
# With circular waves of several radii there are more. Without mirror images, on ``SO2``, vectors may also stand
# across the gradient: every kernel comes a second time, turned by 90 degrees. Random coefficients mix them.

torch.manual_seed(3)
group = SO2(1)
layer = conv(group.trivial, group.vector)
print("coefficients", layer.weight.numel())
viz.fields(layer, image, group.steps // 8)

# %%
# What to do with vectors
# -----------------------
# ReLU of the two components would keep the law for no turn but the quarter turns. A function of the length keeps it
# for all, and so does the next convolution, from vectors to vectors.

torch.manual_seed(3)
many = 4 * group.vector
net = nn.Sequential(
    conv(group.trivial, many),
    NormActivation(many),
    conv(many, group.vector),
)
viz.fields(net, image, group.steps // 8)

# %%
# How large is the difference between "turned, then computed" and "computed, then turned"? Turned images and turned
# fields are interpolated, and that is in this number too.

turn = group.steps // 8
with torch.no_grad():
    first_turned = net(group.transform_image(image[None], turn))
    turned_last = net[-1].out_type.transform(net(image[None]), turn)
print(f"{(first_turned - turned_last).norm() / turned_last.norm():.3f}")
