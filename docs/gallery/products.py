"""
A product of two symmetries
===========================

Symmetries are multiplied. ``HueShift(3) * P4()`` has twelve elements, a hue and a turn each, and one line of a
program is all that changes.
"""

# sphinx_gallery_thumbnail_number = 2

import torch
from sklearn.datasets import load_sample_image
from torch.nn.functional import interpolate

from equiconv import viz
from equiconv.groups import P4, HueShift
from equiconv.layers import GroupConv2d
from equiconv.models import CNN
from equiconv.testing import equivariance_profile

photo = torch.tensor(load_sample_image("flower.jpg")).movedim(-1, 0) / 255  # (3, 427, 640)
image = photo[None, :, 60:260, 200:400]
image = interpolate(image, (49, 49), mode="bilinear", antialias=True)[0]
group = HueShift(3) * P4()

# %%
# The last factor runs fastest: element ``4 * hue + turn``. Two factors commute as they act. First the hue and then
# the turn is the same as first the turn and then the hue.

hue, turn = 4, 1
print("hue after turn:", group.table[hue, turn])
print("turn after hue:", group.table[turn, hue])

# %%
# A kernel in three hues and four turns. Its colors and its pixels are moved at once.

torch.manual_seed(2)
layer = GroupConv2d(group.image, 4 * group.regular, 5, padding=2, padding_mode="replicate")
viz.kernels(layer)

# %%
# The image, and below the image with another hue, turned once: element 5. The map that is framed goes to place 5.

viz.fields(layer, image, 5)

# %%
# How far is a whole network from this law? The error of every layer is measured for each of the twelve elements, and
# for the angles and hues between. For the elements it is that of rounding. Between them it is large: no element is
# there, and nothing is promised. Only the first layer, which is linear, keeps the law for all hues.

torch.manual_seed(0)
parts = photo.unfold(1, 84, 84).unfold(2, 84, 84).flatten(1, 2)  # (3, parts, 84, 84)
images = interpolate(parts.movedim(0, 1)[:4], (20, 20), mode="bilinear", antialias=True)
net = CNN(group, 4, kernel_sizes=(3, 3, 3, 3, 4)).double()
profile = equivariance_profile(net, group, images.double())
print(profile)
viz.profile(profile)
