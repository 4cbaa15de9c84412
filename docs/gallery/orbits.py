"""
The orbit of an image
=====================

A group is known by what it does to an image. The images that its elements make of one are the *orbit* of it. A
network that is equivariant to the group treats all of them alike.
"""

# sphinx_gallery_thumbnail_number = 7

import torch
from sklearn.datasets import load_sample_image
from torch.nn.functional import interpolate

from equiconv import viz
from equiconv.groups import O2, P4, P4M, Cyclic, Flip, HueShift

photo = torch.tensor(load_sample_image("flower.jpg")).movedim(-1, 0) / 255  # (3, 427, 640)
image = photo[None, :, :, 120:547]
image = interpolate(image, (96, 96), mode="bilinear", antialias=True)[0]

# %%
# Quarter turns
# -------------
# ``P4`` has four elements. They send pixels to pixels, so nothing is lost: the fourth turn brings the same image
# back, to the bit.

viz.orbit(P4(), image)

# %%
# Quarter turns and mirror images
# -------------------------------
# ``P4M`` has four more: each turn, then the rows flipped. ``Flip`` has a mirror image alone, and is what most
# photographs allow.

viz.orbit(P4M(), image)

# %%

viz.orbit(Flip(), image)

# %%
# Other angles
# ------------
# Eighth turns do not send pixels to pixels. The images between the quarter turns are interpolated, and their corners
# come from outside of the photograph. This is why equivariance to ``Cyclic(8)`` is exact on the plane and approximate
# on pixels.

viz.orbit(Cyclic(8), image)

# %%
# Hues
# ----
# ``HueShift(3)`` permutes the three channels: red becomes green, green blue, and blue red. That is exact.

viz.orbit(HueShift(3), image)

# %%
# With other numbers of hues, colors are turned about the gray axis. Strong colors leave the range from 0 to 1 between
# the thirds, and an image has to cut them off. A network that sees clipped images is equivariant up to what was cut.

moved = HueShift(6).transform_image(image, 1)
outside = (moved < 0) | (moved > 1)
print(f"{outside.float().mean():.0%} of the numbers are out of range")
viz.orbit(HueShift(6), image)

# %%
# A product
# ---------
# ``HueShift(3) * P4()`` has every pair of a hue and a turn: element ``4 * hue + turn``.

viz.orbit(HueShift(3) * P4(), image)

# %%
# A continuous group
# ------------------
# ``O2`` has every angle, and mirror images. Some of its elements are drawn, spread evenly.

viz.orbit(O2(), image)
