"""What the loss of implicit equivariance adds to a step of training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.speed.clock import Task, take_turns
from benchmarks.speed.section import Row, Section
from benchmarks.speed.setting import Setting
from benchmarks.text import markdown
from benchmarks.training.memory import keep_memory
from equiconv.groups import P4, P4M, Cyclic, Group, HueShift, Trivial
from equiconv.layers import Pointwise
from equiconv.losses import EquivarianceLoss
from equiconv.models import create
from equiconv.taps import Layers

__all__ = ["TAUGHT", "ImplicitSteps", "Taught", "implicit_markdown"]

HEADERS = ("network", "group of the loss", "images", "plain step", "two plain batches", "step with the loss")
CLASSES = 10


@dataclass(frozen=True)
class Taught:
    """Describe a network, and the loss that teaches it.

    Args:
        title: what it is.
        build: makes it.
        group: of the loss.
        layers: those that are compared; None takes the ``taps`` of the network, pooled by its ``pool``.
        channels: those of the images.
        image: rows and columns of the images.
        batch: images in a batch.
    """

    title: str
    build: Callable[[], nn.Module]
    group: Group
    layers: Layers | None = None
    channels: int = 3
    image: int = 32
    batch: int = 32

    def loss(self, net: Any) -> EquivarianceLoss:
        """Return the loss of the network."""
        if self.layers is None:
            return EquivarianceLoss(self.group, net.taps, carried=net.pool)
        return EquivarianceLoss(self.group, self.layers)


def _resnet(width: int) -> nn.Module:
    return create("resnet18", Trivial(), stem="small", widths=width, classes=CLASSES)


def _ien(name: str, **options: Any) -> nn.Module:
    return create(name, orders=4, classes=CLASSES, **options)


STAGES = tuple(f"blocks.{last}" for last in (1, 3, 5, 7))
WIDE, NARROW = partial(_resnet, 64), partial(_resnet, 16)
SMALL: Mapping[str, Any] = {"channels": 1, "image": 28}
TAUGHT = (
    Taught("ResNet-18, 64 channels, four stages", WIDE, P4(), STAGES, batch=16),
    Taught("ResNet-18, 64 channels, every activation", WIDE, P4(), Pointwise, batch=16),
    Taught("ResNet-18, 64 channels, every activation", WIDE, HueShift(3) * P4M(), Pointwise, batch=16),
    Taught("ResNet-18, 64 channels, every activation", WIDE, Cyclic(8), Pointwise, batch=16),
    Taught("ResNet-18, 16 channels, every activation", NARROW, P4(), Pointwise),
    Taught("CNN, 20 channels, every activation", partial(create, "cnn", Trivial(), width=20, in_channels=1), P4(),
           Pointwise, batch=64, **SMALL),
    Taught("CNN on P4M, 8 fields, every activation", partial(create, "cnn", P4M(), width=8, in_channels=1), P4M(),
           Pointwise, **SMALL),
    Taught("cnn-basic, 128 channels, pooled by fours", partial(_ien, "cnn-basic"), P4(), batch=8, **SMALL),
    Taught("cnn-basic, 16 channels, pooled by fours", partial(_ien, "cnn-basic", width=16), P4(), **SMALL),
    Taught("resnet18-ien, 136 channels, pooled by fours", partial(_ien, "resnet18-ien"), P4(), image=33, batch=4),
)  # fmt: skip
QUICK = (Taught("CNN, 4 channels", partial(create, "cnn", Trivial(), width=4), P4(), Pointwise, image=28, batch=4),)


class ImplicitSteps(Section):
    """Measure a step of training: with a batch, with two batches, and with a batch and the loss."""

    def items(self, quick: bool) -> Sequence[Taught]:
        """Return the networks."""
        return QUICK if quick else TAUGHT

    def measure(self, item: Taught, setting: Setting) -> Row:
        """Return the times of the steps; all train the same network."""
        keep_memory()
        with setting.computing():
            net = setting.place(item.build())
            images = setting.tensor(item.batch, item.channels, item.image, item.image)
            labels = torch.arange(item.batch, device=images.device) % CLASSES
            times = take_turns(_steps(net, item.loss(net), images, labels), setting)
        return {"name": item.title, "group": repr(item.group), "batch": item.batch, "milliseconds": times}

    def files(self, rows: Sequence[Row], setting: Setting) -> dict[str, str]:
        """Return the table."""
        return {"implicit.md": implicit_markdown(rows)}


def _steps(net: nn.Module, loss: EquivarianceLoss, images: Tensor, labels: Tensor) -> dict[str, Task]:
    optimizer = torch.optim.SGD(net.parameters(), 1e-3)

    def step(total: Callable[[], Tensor]) -> None:
        optimizer.zero_grad()
        total().backward()
        optimizer.step()

    def taught() -> Tensor:
        logits, penalty, _ = loss(net, images)
        return F.cross_entropy(logits, labels.repeat(2)) + penalty

    return {
        "plain": lambda: step(lambda: F.cross_entropy(net(images), labels)),
        "doubled": lambda: step(lambda: F.cross_entropy(net(torch.cat([images, images])), labels.repeat(2))),
        "taught": lambda: step(taught),
    }


def implicit_markdown(rows: Sequence[Row]) -> str:
    """Return the table of steps in Markdown: milliseconds of the plain one, and how often that time the others take."""
    cells = []
    for row in rows:
        plain, doubled, taught = (row["milliseconds"][name] for name in ("plain", "doubled", "taught"))
        times = [f"{plain:.1f} ms", f"{doubled / plain:.2f} times", f"{taught / plain:.2f} times"]
        cells.append([row["name"], row["group"], str(row["batch"]), *times])
    return markdown(HEADERS, cells, words=2)
