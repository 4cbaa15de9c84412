"""Exported networks, beside the ordinary ones of the same expanded shape."""

import copy
from collections.abc import Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from benchmarks.speed.clock import Task, take_turns
from benchmarks.speed.networks import AUTO, CLASSES, ORDINARY, Network, cnn, resnet18, resnet44_preact
from benchmarks.speed.section import Row, Section
from benchmarks.speed.setting import Setting
from benchmarks.text import markdown, ratio
from equiconv.exporting import export
from equiconv.groups import P4, P4M, Group, HueShift
from equiconv.models import WideResNet

__all__ = ["EXPORTED", "ExportedNetworks", "exported_markdown"]

EQUIVARIANT, EXPORT, EXPORTED_ORDINARY = "equivariant", "exported", "ordinary, exported"
LAST = ", channels_last"
HEADERS = ("network", "images", ORDINARY, EXPORTED_ORDINARY, EQUIVARIANT, EXPORT, EXPORT + LAST)


def wide_resnet16(group: Group, widths: Sequence[int]) -> WideResNet:
    """Return a wide ResNet of 16 layers whose stages have 16, 32 and 64 times as many channels as ``widths[0]`` says.

    The stem of an equivariant one is wider than that of an ordinary one.
    """
    return WideResNet(group, 16, group.order * widths[0], keep="channels", classes=CLASSES)


EXPORTED = (
    Network("CNN", cnn, HueShift(3), (17,)),
    Network("CNN", cnn, HueShift(3) * P4(), (10,)),
    Network("CNN", cnn, P4M(), (15,)),
    Network("CNN", cnn, P4M(), (30,), factorization="gc"),
    Network("ResNet-18", resnet18, HueShift(3), (36, 73, 147, 295), image=32, batch=16),
    Network("ResNet-44, preactivation", resnet44_preact, P4M(), (11, 23, 45), image=33, batch=8),
    Network("Wide ResNet-16", wide_resnet16, P4(), (1,), image=33, batch=16),
)


class ExportedNetworks(Section):
    """Measure an evaluation of each network: as it is, with kernels that are kept, and exported."""

    def items(self, quick: bool) -> Sequence[Network]:
        """Return the networks."""
        return [EXPORTED[3].tiny()] if quick else EXPORTED

    def measure(self, item: Network, setting: Setting) -> Row:
        """Return the times of one network, by what computes it."""
        images = setting.tensor(item.batch, 3, item.image, item.image)
        builds = item.contestants()
        ordinary, net = (setting.place(builds[name]()).eval() for name in (ORDINARY, AUTO))
        contestants: dict[str, nn.Module] = {ORDINARY: ordinary, EXPORTED_ORDINARY: export(ordinary, images)}
        contestants |= {EQUIVARIANT: net, EXPORT: export(net, images)}
        tasks = {name: _evaluation(module, images) for name, module in contestants.items()}
        last: nn.Module = copy.deepcopy(contestants[EXPORT])
        last = last.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        tasks[EXPORT + LAST] = _evaluation(last, images.contiguous(memory_format=torch.channels_last))
        with setting.computing():
            times = take_turns(tasks, setting)
        return {"name": item.name, "input": list(images.shape), "milliseconds": times}

    def files(self, rows: Sequence[Row], setting: Setting) -> dict[str, str]:
        """Return the table."""
        return {"export.md": exported_markdown(rows)}


def _evaluation(module: nn.Module, images: Tensor) -> Task:
    return cast(Task, torch.no_grad()(partial(module, images)))


def exported_markdown(rows: Sequence[Row]) -> str:
    """Return the table in Markdown: milliseconds of the ordinary network, and how many times faster the others are."""
    cells = []
    for row in rows:
        batch, _, height, width = row["input"]
        times = row["milliseconds"]
        others = [ratio(times[ORDINARY], times[name]) for name in HEADERS[3:]]
        cells.append([row["name"], f"{batch}x {height}x{width}", f"{times[ORDINARY]:.1f} ms", *others])
    return markdown(HEADERS, cells, words=2)
