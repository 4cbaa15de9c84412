"""Draw the figures of the documentation: ``python docs/figures.py FOLDER [COMMITTED]``."""

import sys
from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.image import imread
from nouns import pictures
from scipy.ndimage import gaussian_filter, rotate
from torch import Tensor

from equiconv import viz
from equiconv.bases import Derivatives
from equiconv.groups import O2, P4, Cyclic, HueShift, Trivial
from equiconv.layers import GroupConv2d
from equiconv.models import CNN
from equiconv.testing import equivariance_profile

ALIKE = 0.01  # the mean difference of colors from 0 to 1
GRAY, INK, PAPER = "#8a8a8a", "#2b2b2b", "#ffffff"
STYLE = {
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.edgecolor": GRAY,
    "axes.linewidth": 0.6,
    "figure.facecolor": PAPER,
    "figure.dpi": 110,
    "savefig.dpi": "figure",
}


def bird(size: int = 41) -> Tensor:
    """Return a small colored shape without any symmetry, (3, size, size), values in [0, 1]."""
    y, x = np.mgrid[1 : -1 : size * 1j, -1 : 1 : size * 1j]
    image = np.full((3, size, size), 0.97)
    parts = [
        ((x + 0.05) ** 2 / 0.30 + (y + 0.15) ** 2 / 0.17 < 1, (0.85, 0.22, 0.18)),  # body
        ((x - 0.45) ** 2 + (y - 0.38) ** 2 < 0.075, (0.93, 0.45, 0.15)),  # head
        ((x + 0.20) ** 2 / 0.10 + (y + 0.10) ** 2 / 0.035 < 1, (0.55, 0.10, 0.20)),  # wing
        ((abs(y - 0.36) < 0.12 * (0.98 - x) / 0.28) & (x > 0.70) & (x < 0.98), (0.95, 0.75, 0.10)),  # beak
        ((x < -0.45) & (x > -0.95) & (abs(y - 0.10 + 0.55 * (x + 0.55)) < 0.10), (0.40, 0.16, 0.45)),  # tail
        ((abs(x - 0.05) < 0.035) & (y < -0.5) & (y > -0.9), (0.35, 0.30, 0.10)),  # leg
        ((x - 0.50) ** 2 + (y - 0.44) ** 2 < 0.006, (0.10, 0.10, 0.15)),  # eye
    ]
    for where, color in parts:
        image[:, where] = np.array(color)[:, None]
    return torch.tensor(image, dtype=torch.float32)


def edge_kernel(size: int = 7) -> Tensor:
    """Return a kernel (1, 1, 3, size*size) that answers to red on the right of cyan."""
    y, x = np.mgrid[1 : -1 : size * 1j, -1 : 1 : size * 1j]
    edge = x * np.exp(-3 * (x**2 + y**2))
    return torch.tensor(np.multiply.outer([1.0, -0.5, -0.5], edge).reshape(1, 1, 3, -1), dtype=torch.float32)


def edges() -> GroupConv2d:
    """Return a lifting layer with this kernel."""
    group = HueShift(3) * P4()
    lift = GroupConv2d(group.image, 1 * group.regular, 7, padding=3, padding_mode="replicate", bias=False)
    lift.weight.data = edge_kernel()
    return lift


def maps() -> Figure:
    """An image and its regular features; the moved image and its features, moved in the same way."""
    return viz.fields(edges(), bird(), 5)


def random_kernels() -> GroupConv2d:
    """Return a lifting layer with a random kernel."""
    group = HueShift(3) * P4()
    torch.manual_seed(2)
    return GroupConv2d(group.image, 1 * group.regular, 5)


def gradient() -> Figure:
    """A gray image and its gradient, and both turned by an angle off the grid."""
    group = O2(1)
    basis = partial(Derivatives, max_order=1, smoothing=1.2)
    layer = GroupConv2d(group.trivial, 1 * group.vector, 7, padding=3, bias=False, basis=basis)
    layer.weight.data.fill_(1.0)
    return viz.fields(layer, 0.97 - bird().mean(0, keepdim=True), 12)


def profiles() -> Iterator[tuple[str, Figure]]:
    """The error of every layer of a network on HueShift(3) * P4(), and of an ordinary one."""
    group = HueShift(3) * P4()
    images = smooth_noise(4, 20, 3).double()
    for title, on, width in (("profile", group, 4), ("profile_ordinary", Trivial(), 14)):
        torch.manual_seed(0)
        network = CNN(on, width, kernel_sizes=(3, 3, 3, 3, 4)).double()
        yield title, viz.profile(equivariance_profile(network, group, images))


def recognized() -> Figure:
    """How many turned images of noise are told by their nearest logits: networks of random weights."""
    groups = {"Trivial()": Trivial(), "P4()": P4(), "Cyclic(8)": Cyclic(8)}
    degrees = range(0, 360, 15)
    images = [turned(smooth_noise(50, 20), angle) for angle in degrees]
    found: dict[str, list[list[float]]] = {name: [] for name in groups}
    for seed, (title, group) in product(range(3), groups.items()):
        torch.manual_seed(seed)
        network = CNN(group, 6, in_channels=1, kernel_sizes=(5, 5, 4))
        with torch.no_grad():
            logits = torch.stack([network(moved) for moved in images])  # (angles, images, classes)
        nearest = torch.cdist(logits, logits[:1]).argmin(2)  # (angles, images)
        found[title].append((nearest == torch.arange(50)).double().mean(1).tolist())
    return viz.wheel(found, degrees)


def smooth_noise(count: int, size: int = 28, channels: int = 1) -> Tensor:
    """Return images (count, channels, size, size) of noise without sharp edges, black outside of a disk."""
    noise = np.random.default_rng(0).standard_normal((count, channels, size, size))
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    return torch.tensor(gaussian_filter(noise, 2.0, axes=(-2, -1)) * np.exp(-3 * (x**2 + y**2)) * 10).float()


def turned(images: Tensor, degrees: float) -> Tensor:
    """Return images turned counter-clockwise."""
    return torch.tensor(rotate(images.numpy(), degrees, axes=(-1, -2), reshape=False, order=3))


def drawings() -> Iterator[tuple[str, Figure]]:
    """Draw all figures, with their names."""
    for draw in (maps, gradient, recognized):
        yield draw.__name__, draw()
    yield from pictures(HueShift(3) * P4(), bird(), edges(), random_kernels())
    yield from profiles()


def main(folder: Path, committed: Path | None = None) -> None:
    """Write every figure into a folder, as PNG without a date or a version.

    Args:
        folder: where to write.
        committed: a folder of figures that these have to look like, or else the command ends with code 1.
    """
    mpl.use("agg")
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        for title, figure in drawings():
            figure.savefig(folder / f"{title}.png", metadata={"Software": None})
            plt.close(figure)
    if committed is not None and (odd := unlike(folder, committed)):
        sys.exit(f"make figures: {', '.join(odd)} in {committed} are not what is drawn now")


def unlike(folder: Path, committed: Path) -> list[str]:
    """Return the names of the pictures that are in one folder only, or look otherwise in the other."""
    found, known = ({path.name for path in place.glob("*.png")} for place in (folder, committed))
    return sorted(found ^ known) + [name for name in sorted(found & known) if differ(folder / name, committed / name)]


def differ(one: Path, other: Path) -> bool:
    """Tell whether two pictures differ by more than another processor rounds."""
    a, b = imread(one), imread(other)
    return a.shape != b.shape or float(np.abs(a - b).mean()) > ALIKE


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
