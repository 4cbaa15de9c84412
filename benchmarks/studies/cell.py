"""One run of a study: a network is trained with one seed, and tested once."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.data import Dataset, float_batch
from benchmarks.networks import count_parameters
from benchmarks.studies.study import Row, Study
from benchmarks.train import FORWARD_SHARE, Report, reproducible
from benchmarks.training import CPU, Hardware, Images, Task, fit

__all__ = ["StudyCell", "as_tensor", "cost", "run_cell"]

BATCH = 256  # images that are tested at a time


@dataclass(frozen=True)
class StudyCell:
    """Hold what differs between the runs of a study."""

    row: Row
    seed: int

    @property
    def label(self) -> str:
        """What people call it."""
        return self.row.name

    @property
    def key(self) -> object:
        """What determines the result; the name and what was published do not."""
        return self.row.key, self.seed


def cost(data: Dataset, study: Study) -> float:
    """Return the work of a cell, in training images that are seen once."""
    return study.recipe.epochs * len(data.train_labels) + FORWARD_SHARE * len(data.test_labels)


def run_cell(
    cell: StudyCell,
    report: Report,
    *,
    data: Dataset,
    study: Study,
    hardware: Hardware = CPU,
    scratch: Callable[[StudyCell], Path] | None = None,
) -> dict[str, Any]:
    """Train a network and test it once, after the last epoch.

    Args:
        cell: the row and the seed.
        report: called with the work done since the last call.
        data: the images.
        study: how to train.
        hardware: where to train.
        scratch: tells the folder where the state is kept; None keeps nothing.

    Returns:
        The loss of each epoch, the test error, the parameters; fit for JSON.

    Raises:
        FloatingPointError: if the loss is not finite.
    """
    with reproducible(cell.seed):
        net = cell.row.network(study.channels, len(data.classes))
        images, labels = as_tensor(data.train_images, study.channels), torch.tensor(data.train_labels)
        fabric = hardware.fabric(study.recipe.precision)
        task = Task(net, Images(images, labels), seed=cell.seed)
        history = fit(task, study.recipe, fabric, folder=scratch and scratch(cell), report=report)
        tested = as_tensor(data.test_images, study.channels)
        wrong = (_predictions(net.eval(), tested, report) != torch.tensor(data.test_labels)).sum()
    return {
        "group": cell.label,
        "seed": cell.seed,
        "parameters": count_parameters(net),
        "error": {"test": int(wrong) / len(data.test_labels)},
        "losses": [epoch["loss"] for epoch in history],
        "seconds": sum(epoch["seconds"] for epoch in history),
    }


def as_tensor(images: Any, channels: int) -> Tensor:
    """Return images ``(N, C, H, W)`` with the wanted number of channels: colors become gray by their mean.

    Args:
        images: an array with 1 or 3 channels.
        channels: 1 or 3.
    """
    tensor = torch.tensor(images).contiguous()
    if tensor.shape[1] == channels:
        return tensor
    return tensor.float().mean(1, keepdim=True) if channels == 1 else tensor.expand(-1, channels, -1, -1)


@torch.no_grad()
def _predictions(net: nn.Module, images: Tensor, report: Report) -> Tensor:
    found, device = [], next(net.parameters()).device
    for batch in images.split(BATCH):
        found.append(net(float_batch(batch.to(device))).argmax(1).cpu())
        report(FORWARD_SHARE * len(batch))
    return torch.cat(found)
