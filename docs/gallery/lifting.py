"""
Features that move with the image
=================================

A network on a group is not invariant, layer by layer. Its features move with the image. Only where they are pooled
over the group, something comes out that does not move.
"""

import torch
from sklearn.datasets import load_sample_image
from torch import nn
from torch.nn.functional import interpolate

from equiconv import viz
from equiconv.groups import P4
from equiconv.layers import GroupConv2d, GroupPool

photo = torch.tensor(load_sample_image("flower.jpg")).movedim(-1, 0) / 255  # (3, 427, 640)
image = photo[None, :, 60:260, 200:400]
image = interpolate(image, (49, 49), mode="bilinear", antialias=True)[0]
group = P4()

# %%
# Lifting
# -------
# The first layer takes an image to a function on the group: one map for each turn of the kernel. Below, the image is
# turned by 90 degrees. The framed map above, number 0, comes out turned as well, and in another place: as number 1.
# The others follow it, the last one to the front.

torch.manual_seed(4)
regular = 8 * group.regular
lift = GroupConv2d(group.image, regular, 5, padding=2, padding_mode="replicate")
viz.fields(lift, image, 1, field=3)

# %%
# One layer more
# --------------
# The next layer sees such functions, and makes such functions. Its kernels turn, and while they turn, the four
# entries of the fiber change places. The law is the same: another place, and turned.

conv = GroupConv2d(regular, regular, 5, padding=2, padding_mode="replicate")
net = nn.Sequential(lift, nn.ReLU(), conv, nn.ReLU())
viz.fields(net, image, 1, field=5)

# %%
# Pooling over the group
# ----------------------
# The largest of the four does not know any more which of them it was. What is left moves with the plane as an image
# does, and has nothing that changes places.

invariant = nn.Sequential(*net, GroupPool(regular))
viz.fields(invariant, image, 1, field=5)

# %%
# Pooling over the plane
# ----------------------
# The mean over the pixels does not move at all. These are the numbers that a classifier sees, for the four turns of
# the image: they are equal, up to rounding.

with torch.no_grad():
    turns = torch.stack([group.transform_image(image, g) for g in range(4)])
    print(invariant(turns).mean((2, 3))[:, :5])

# %%
# If your network is not invariant, look for what is missing here: a group that is not pooled over before the head, a
# ``Flatten`` of maps that still move, or a stride or a padding that lets the window start elsewhere when the image
# turns (:doc:`/conventions` says which). An ordinary layer has no such law, and its channels tell the turn:

torch.manual_seed(4)
ordinary = nn.Sequential(nn.Conv2d(3, 5, 5, padding=2), nn.ReLU())
with torch.no_grad():
    print(ordinary(turns).mean((2, 3)))
