"""Whole networks: how many images they train on and classify in a second."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.speed.cases import Build
from benchmarks.speed.clock import Task, take_turns
from benchmarks.speed.executions import set_execution
from benchmarks.speed.section import Row, Section
from benchmarks.speed.setting import Setting
from benchmarks.speed.steps import compiled
from benchmarks.text import markdown
from equiconv.groups import P4, P4M, Group, HueShift, Trivial
from equiconv.models import CNN, RESNET18, RESNET44, ResNet

__all__ = ["NETWORKS", "Network", "Networks", "networks_markdown"]

CLASSES = 10
ORDINARY, DENSE, AUTO, PLAIN = "ordinary network", "dense", "auto", "plain network"
STEPS = ("training", "evaluation")
HEADERS = ("network", "images", "computed by", "training, images/s", "evaluation, images/s")


def cnn(group: Group, widths: Sequence[int], factorization: str | None = None) -> CNN:
    """Return the seven-layer network of the published experiments; all layers have the same width."""
    return CNN(group, widths[0], factorization=factorization, classes=CLASSES)


def resnet18(group: Group, widths: Sequence[int]) -> ResNet:
    """Return ResNet-18 for small images."""
    return ResNet(group, replace(RESNET18, stem="small"), widths, classes=CLASSES)


def resnet44(group: Group, widths: Sequence[int], factorization: str | None = None) -> ResNet:
    """Return the ResNet-44 of the published experiments with hue shifts."""
    return ResNet(group, RESNET44, widths, factorization=factorization, classes=CLASSES)


def resnet44_preact(group: Group, widths: Sequence[int], factorization: str | None = None) -> ResNet:
    """Return the ResNet-44 of the published experiments with turns and mirrors, made invariant."""
    architecture = replace(RESNET44, preactivation=True)
    return ResNet(group, architecture, widths, factorization=factorization, classes=CLASSES)


@dataclass(frozen=True)
class Network:
    """Describe a network and its input.

    Args:
        title: what it is.
        build: makes it, of the group and the numbers of fields.
        group: the group of all layers.
        widths: the numbers of fields.
        image: rows and columns of the images.
        batch: images in a batch.
        factorization: of the hidden layers, where it has one.
        plain: the channels of the ordinary network that it replaces, to be measured as well.
    """

    title: str
    build: Callable[..., nn.Module]
    group: Group
    widths: tuple[int, ...]
    image: int = 28
    batch: int = 32
    factorization: str | None = None
    plain: tuple[int, ...] = ()

    def contestants(self) -> dict[str, Build]:
        """Return what builds the ordinary network of the same expanded shape, and this one with two executions.

        The last one is the plain network, if there is one to compare with.
        """
        wide = tuple(self.group.order * width for width in self.widths)
        builds: dict[str, Build] = {ORDINARY: partial(self.build, Trivial(), wide)}
        builds |= {name: partial(self._with, name) for name in (DENSE, AUTO)}
        return builds | ({PLAIN: partial(self.build, Trivial(), self.plain)} if self.plain else {})

    def tiny(self) -> "Network":
        """Return the same with two fields in each layer, and two images."""
        return replace(self, widths=(2,) * len(self.widths), plain=(2,) * len(self.plain), batch=2)

    def _with(self, execution: str) -> nn.Module:
        options = {"factorization": self.factorization} if self.factorization else {}
        net = self.build(self.group, self.widths, **options)
        set_execution(net, execution)
        return net

    @property
    def name(self) -> str:
        """What the table calls it."""
        kind = f", {self.factorization}" if self.factorization else ""
        return f"{self.title} on {self.group!r}{kind}, width {', '.join(map(str, dict.fromkeys(self.widths)))}"


resnet44_in_color = partial(Network, "ResNet-44", resnet44, HueShift(3), image=32, plain=(32, 64, 128))
resnet44_turned = partial(Network, "ResNet-44", resnet44_preact, P4M(), image=32, batch=8, plain=(32, 64, 128))
NETWORKS = (
    Network("CNN", cnn, HueShift(3), (17,)),
    Network("CNN", cnn, HueShift(4), (17,)),
    Network("CNN", cnn, HueShift(3) * P4(), (10,)),
    Network("CNN", cnn, HueShift(3), (64,)),
    Network("CNN", cnn, HueShift(4), (64,)),
    Network("CNN", cnn, HueShift(3) * P4(), (32,)),
    Network("CNN", cnn, P4M(), (30,), factorization="gc"),
    Network("ResNet-18", resnet18, HueShift(3), (36, 73, 147, 295), image=32),
    resnet44_in_color((18, 36, 73)),
    resnet44_in_color((27, 55, 110), factorization="g"),
    resnet44_turned((11, 23, 45)),
    resnet44_turned((19, 38, 76), factorization="g"),
    resnet44_turned((28, 56, 112), factorization="gc"),
)


class Networks(Section):
    """Measure a training step and an evaluation of each network."""

    def items(self, quick: bool) -> Sequence[Network]:
        """Return the networks."""
        return [network.tiny() for network in NETWORKS] if quick else NETWORKS

    def measure(self, item: Network, setting: Setting) -> Row:
        """Return the times of one network, by what computes it."""
        torch.compiler.reset()
        builds = item.contestants()
        if setting.compiled:
            builds |= {f"{name}, compiled": compiled(build) for name, build in builds.items()}
        with setting.computing():
            images = setting.tensor(item.batch, 3, item.image, item.image)
            labels = torch.randint(CLASSES, (item.batch,), device=images.device)
            tasks = {name: _steps(build, images, labels, setting) for name, build in builds.items()}
            turns = {f"{name}|{step}": tasks[name][step] for step in STEPS for name in tasks}
            times = take_turns(turns, setting)
        return {
            "name": item.name,
            "input": list(images.shape),
            "milliseconds": {name: {step: times[f"{name}|{step}"] for step in STEPS} for name in tasks},
        }

    def files(self, rows: Sequence[Row], setting: Setting) -> dict[str, str]:
        """Return the table."""
        return {"networks.md": networks_markdown(rows)}


def _steps(build: Build, images: Tensor, labels: Tensor, setting: Setting) -> dict[str, Task]:
    net, ready = (setting.place(build()) for _ in range(2))
    ready.eval()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)

    def train() -> None:
        optimizer.zero_grad()
        F.cross_entropy(net(images), labels).backward()
        optimizer.step()

    return {"training": train, "evaluation": torch.no_grad()(lambda: ready(images))}


def networks_markdown(rows: Sequence[Row]) -> str:
    """Return the table in Markdown: images per second, and in parentheses how many times those of ``dense``."""
    return markdown(HEADERS, [cells for row in rows for cells in _lines(row)], words=3)


def _lines(row: Row) -> list[list[str]]:
    batch, _, height, width = row["input"]
    lines = []
    for place, (name, times) in enumerate(row["milliseconds"].items()):
        what = ["", ""] if place else [row["name"], f"{batch}x {height}x{width}"]
        cells = [_rate(batch, times[step], row["milliseconds"][DENSE][step]) for step in STEPS]
        lines.append([*what, name, *cells])
    return lines


def _rate(batch: int, milliseconds: float, dense: float) -> str:
    rate = 1000 * batch / milliseconds
    return f"{rate:,.{0 if rate >= 100 else 1}f} ({dense / milliseconds:.2f} x)"
