"""Draw the figures of the documentation: ``python docs/figures.py FOLDER``. Nothing is read."""

import sys
from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from scipy.ndimage import gaussian_filter, rotate
from torch import Tensor

from equiconv import viz
from equiconv.bases import Derivatives, Pixels
from equiconv.groups import O2, P4, Cyclic, HueShift, Trivial
from equiconv.layers import GroupConv2d
from equiconv.models import CNN
from equiconv.testing import equivariance_profile

GRAY, INK, PAPER = "#8a8a8a", "#2b2b2b", "#ffffff"
STYLE = {
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.edgecolor": GRAY,
    "axes.linewidth": 0.6,
    "figure.facecolor": PAPER,
    "savefig.dpi": 110,
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


def orbit() -> Figure:
    """The twelve images that HueShift(3) * P4() makes of one."""
    return viz.orbit(HueShift(3) * P4(), bird())


def edge_kernel(size: int = 7) -> Tensor:
    """Return a kernel (1, 1, 3, size*size) that answers to red on the right of cyan."""
    y, x = np.mgrid[1 : -1 : size * 1j, -1 : 1 : size * 1j]
    edge = x * np.exp(-3 * (x**2 + y**2))
    return torch.tensor(np.multiply.outer([1.0, -0.5, -0.5], edge).reshape(1, 1, 3, -1), dtype=torch.float32)


def law() -> Figure:
    """An image and its regular features; the moved image and its features, moved in the same way."""
    group = HueShift(3) * P4()
    lift = GroupConv2d(group.image, 1 * group.regular, 7, padding=3, padding_mode="replicate", bias=False)
    lift.weight.data = edge_kernel()
    return viz.fields(lift, bird(), 5)


def kernels() -> Figure:
    """A kernel of a lifting layer, moved by every element."""
    group = HueShift(3) * P4()
    torch.manual_seed(2)
    return viz.kernels(GroupConv2d(group.image, 1 * group.regular, 5))


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


def matrices() -> Figure:
    """The matrices rho(g) of four representations of Cyclic(4)."""
    group = Cyclic(4)
    named = {"trivial": group.trivial, "irrep(1)": group.irrep(1), "irrep(2)": group.irrep(2), "regular": group.regular}
    figure, axes = plt.subplots(4, 4, figsize=(6.0, 3.6), layout="constrained", height_ratios=(1, 2, 1, 4))
    for (label, rep), row in zip(named.items(), axes, strict=True):
        half = rep.dim / 2
        for g, ax in enumerate(row):
            ax.imshow(rep.rho[g], cmap="RdBu_r", vmin=-1.6, vmax=1.6, extent=(-half, half, -half, half))
            ax.add_patch(Rectangle((-half, -half), rep.dim, rep.dim, fill=False, edgecolor=GRAY, linewidth=0.6))
            for i, j in product(range(rep.dim), repeat=2):
                text = f"{rep.rho[g, i, j] + 0.0:.0f}"
                ax.text(j + 0.5 - half, half - i - 0.5, text, ha="center", va="center", fontsize=8)
            ax.set(xlim=(-2.1, 2.1), ylim=(-half - 0.1, half + 0.1))
            ax.axis("off")
        row[0].text(-2.6, 0, label, ha="right", va="center")
    for g, ax in enumerate(axes[0]):
        ax.set_title(f"rho({g})")
    return figure


def double_arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw a thin arrow with two heads."""
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle="<->", mutation_scale=9, color=GRAY, shrinkA=0, shrinkB=0))


def fields() -> Figure:
    """The axes of a feature map: n fields, each a stack of d maps."""
    figure, ax = plt.subplots(figsize=(6.4, 2.5), layout="constrained")
    colors = ["#d9534f", "#f0ad4e", "#5cb85c", "#5b9bd5"]
    for n, d in product(range(3), reversed(range(4))):
        x, y = 3.1 * n + 0.28 * d, 0.28 * d
        ax.add_patch(Rectangle((x, y), 1.5, 1.5, facecolor=colors[d], edgecolor="white", linewidth=1.2))
    for n in range(3):
        ax.text(3.1 * n + 0.75, -0.35, f"field {n}", ha="center")
    ax.text(0.75, 0.75, "H, W", ha="center", va="center", color="white")
    double_arrow(ax, (1.62, 0.02), (2.44, 0.84))
    ax.text(2.14, 0.25, "d = 4")
    double_arrow(ax, (0.0, 2.65), (8.54, 2.65))
    ax.text(4.27, 2.76, "n = 3", ha="center")
    ax.set(xlim=(-0.1, 8.7), ylim=(-0.5, 3.1), aspect="equal")
    ax.axis("off")
    return figure


def pixels() -> Figure:
    """Where a quarter turn sends the pixels of a 3x3 and of a 2x2 window."""
    figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.1), layout="constrained")
    for (before, after), size in zip(axes.reshape(2, 2), (3, 2), strict=True):
        images = Pixels((size, size)).permutation(Cyclic(4))[1]
        moved = np.empty(size * size, int)
        moved[images] = np.arange(size * size)
        for ax, numbers, title in (
            (before, np.arange(size * size), f"{size}x{size} window"),
            (after, moved, "turned by 90°"),
        ):
            ax.imshow(numbers.reshape(size, size), cmap="viridis", vmin=-2, vmax=size * size)
            for i, j in product(range(size), repeat=2):
                ax.text(j, i, str(numbers[i * size + j]), ha="center", va="center", color="white")
            ax.set(xticks=[], yticks=[], title=title)
    return figure


def pipeline() -> Figure:
    """Act, sample, fold, convolve, with the shapes in between."""
    boxes = [
        ("(o, i, f, s)", "coefficients", "act"),
        ("(o, g, i, f, s)", "moved by every element:\nfiber and plane", "sample"),
        ("(o, g, i, f, k·k)", "basis functions\non the pixels", "fold"),
        ("(o·g, i·f, k, k)", "the kernel of\none convolution", "convolve"),
        ("(B, o·g, H, W)", "with the input\n(B, i·f, H, W)", ""),
    ]
    figure, ax = plt.subplots(figsize=(9.6, 1.5), layout="constrained")
    width, gap = 2.0, 1.1
    for k, (shape, text, step) in enumerate(boxes):
        x = k * (width + gap)
        ax.add_patch(Rectangle((x, 0), width, 0.8, facecolor="#eef3f8", edgecolor="#5b9bd5"))
        ax.text(x + width / 2, 0.4, shape, ha="center", va="center", family="monospace", fontsize=9)
        ax.text(x + width / 2, -0.12, text, ha="center", va="top", color="#6a6a6a", fontsize=8)
        if step:
            start, end = (x + width + 0.08, 0.4), (x + width + gap - 0.08, 0.4)
            ax.add_patch(
                FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=10, color=INK, shrinkA=0, shrinkB=0)
            )
            ax.text(x + width + gap / 2, 0.5, step, ha="center", va="bottom", weight="bold", fontsize=9)
    ax.set(xlim=(-0.1, 5 * width + 4 * gap + 0.1), ylim=(-0.72, 0.9))
    ax.axis("off")
    return figure


def drawings() -> Iterator[tuple[str, Figure]]:
    """Draw all figures, with their names."""
    for draw in (orbit, law, kernels, gradient, recognized, matrices, fields, pixels, pipeline):
        yield draw.__name__, draw()
    yield from profiles()


def main(folder: Path) -> None:
    """Write every figure into a folder, as PNG without a date or a version."""
    mpl.use("agg")
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        for title, figure in drawings():
            figure.savefig(folder / f"{title}.png", metadata={"Software": None})
            plt.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
