"""
Hue, saturation, value
======================

A photograph in all hues, saturations and values that a group can give it. Most of these are no matrices, so the
first layer moves the image instead of the kernel.
"""

# sphinx_gallery_thumbnail_number = 1

import torch
from sklearn.datasets import load_sample_image
from torch.nn.functional import interpolate

from equiconv import viz
from equiconv.groups import Color, HueShift, Saturation, Value
from equiconv.layers import GroupConv2d

photo = torch.tensor(load_sample_image("flower.jpg")).movedim(-1, 0)[None] / 255  # (1, 3, 427, 640)
image = interpolate(photo[..., 60:360, 130:430], (96, 96), mode="bilinear", antialias=True)[0]

# %%
# Four hues and four steps of saturation. Half a turn of the circle changes a saturation s to 1 - s; the steps between
# are reflected where they would leave the interval.

viz.orbit(Color(4, 4), image)

# %%
# The value alone, in steps of a quarter: brighter, until the brightest colors are reflected.

viz.orbit(Value(8), image)

# %%
# The hue shift of RGB that a matrix makes, next to the one of HSV. At multiples of 120 degrees they are the same;
# between them the matrix makes colors that no screen can show, cut off here.

viz.orbit(HueShift(6), image)

# %%

viz.orbit(HueShift(6, "hsv"), image)

# %%
# The features move with the image. Above, an image and its features for each of four saturations; below, the image with
# one step more: each map has moved on by one place, but for the colors that were reflected.

torch.manual_seed(1)
small = interpolate(image[None], (48, 48), mode="bilinear", antialias=True)[0]
group = Saturation(4)
layer = GroupConv2d(group.image, 4 * group.regular, 3, padding=1, padding_mode="replicate", bias=False)
viz.fields(layer, small, 1)
