"""
A checkpoint of CEConv, and every hue
=====================================

The weights of a color equivariant network of CEConv are loaded, and it sees a flower in all hues.
"""

# sphinx_gallery_thumbnail_number = 2

import torch
from matplotlib import pyplot as plt
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv
from sklearn.datasets import load_sample_image
from torch.nn.functional import interpolate

from equiconv import viz
from equiconv.groups import Trivial
from equiconv.interop import from_ceconv
from equiconv.models import CNN

photo = torch.tensor(load_sample_image("flower.jpg")).movedim(-1, 0) / 255  # (3, 427, 640)
image = photo[None, :, 60:260, 200:400]
image = interpolate(image, (28, 28), mode="bilinear", antialias=True)[0]

# %%
# What CEConv saves
# -----------------
# CEConv itself is not needed. There, the network was ``CECNN(17, 3, groupcosetmaxpool=True)``, made of layers such as
# ``CEConv2d(3, 3, 17, 17, 3)``: rotations in and out, channels in and out, kernel size. These are the names and shapes
# that such a network saves; the numbers are random here, and those of your file otherwise: ``read_checkpoint`` reads
# it.

torch.manual_seed(3)
sizes, width, hues = (3, 3, 3, 3, 3, 3, 4), 17, 3
state = {}
for number, size in enumerate(sizes):
    name, inputs = f"ceconv_list.{number}", width if number else 3
    state[f"{name}.0.weight"] = 0.7 * torch.randn(width, inputs, 1, size, size)
    state[f"{name}.0.bias"] = 0.1 * torch.randn(width)
    if number:
        state[f"{name}.0.pointwise_weight"] = torch.randn(width, inputs, hues, 1, 1)
    else:
        state[f"{name}.0.transformation_matrix"] = torch.eye(3).roll(1, 0)
    state[f"{name}.1.weight"] = torch.ones(width)
    state[f"{name}.1.bias"] = 0.1 * torch.randn(width)
    state[f"{name}.1.running_mean"] = torch.zeros(width)
    state[f"{name}.1.running_var"] = torch.full((width,), 4.0 if number == 0 else 100.0)
    state[f"{name}.1.num_batches_tracked"] = torch.tensor(1000)
state["fc.weight"], state["fc.bias"] = torch.randn(10, width), torch.zeros(10)

# %%
# Which network it is, its width, its rotations and its classes, is read off these names and shapes.

net = from_ceconv(state).eval()
parameters = sum(p.numel() for p in net.parameters())
print(f"{net.in_type} to {net.out_type}, {parameters:,} parameters")
viz.kernels(net.features[0], out_field=2)

# %%
# All hues
# --------
# The ten logits, while the hue of the flower is shifted once around. On the left an ordinary network, on the right
# the one of CEConv. At 120 and 240 degrees it gives the same answer, to the last digits, and all three parts of its
# circle are alike. In one part they change: nothing is promised there.


def shifted(degrees):
    """Return the image with its hue shifted, in HSV."""
    hsv = rgb_to_hsv(image.movedim(0, -1).numpy())
    hsv[..., 0] = (hsv[..., 0] + degrees / 360) % 1
    return torch.tensor(hsv_to_rgb(hsv)).movedim(-1, 0).float()


degrees = range(0, 361, 5)
images = torch.stack([shifted(angle) for angle in degrees])
torch.manual_seed(0)
networks = {"ordinary": CNN(Trivial(), 20).eval(), "from CEConv: HueShift(3)": net}
figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
for ax, (title, network) in zip(axes, networks.items(), strict=True):
    with torch.no_grad():
        logits = network(images)
    spread = logits - logits.mean(0, keepdim=True)
    ax.plot(degrees, spread / spread.abs().max())
    ring = hsv_to_rgb([[((angle % 360) / 360, 1, 1) for angle in range(361)]])
    ax.imshow(ring, extent=(0, 360, -1.25, -1.15), aspect="auto")
    ax.set(title=title, xlabel="hue shifted by (degrees); the ring: what red becomes")
    ax.set(xlim=(0, 360), ylim=(-1.25, 1.1), xticks=range(0, 361, 60), yticks=[])
    change = (logits[24] - logits[0]).abs().max() / spread.abs().max()
    print(f"{title:25} changed by 120 degrees: {change:.1g} of the largest change")
axes[0].set_ylabel("logits, their means taken off")

# %%
# :doc:`Coming from CEConv </coming_from_ceconv>` has the names of its layers and networks here, and what differs.
