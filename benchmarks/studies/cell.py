"""One run of a study: a network is trained with one seed, and tested once."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.data import Dataset, float_batch
from benchmarks.data.augment import augmentation
from benchmarks.networks import count_parameters
from benchmarks.studies.row import Row
from benchmarks.studies.study import Study
from benchmarks.train import FORWARD_SHARE, Report, reproducible
from benchmarks.training import CPU, Hardware, Images, Task, fit
from benchmarks.training.logs import LogFolder

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


def cost(cell: StudyCell, data: Dataset, study: Study) -> float:
    """Return the work of a cell, in training images that are seen once."""
    images = min(cell.row.samples or len(data.train_labels), len(data.train_labels))
    return study.recipe_of(cell.row).epochs * images + FORWARD_SHARE * len(data.test_labels)


def run_cell(
    cell: StudyCell,
    report: Report,
    *,
    data: Dataset,
    study: Study,
    part: str = "test",
    hardware: Hardware = CPU,
    scratch: Callable[[StudyCell], Path] | None = None,
    logs: LogFolder | None = None,
) -> dict[str, Any]:
    """Train a network and test it once, after the last epoch.

    Args:
        cell: the row and the seed.
        report: called with the work done since the last call.
        data: the images.
        study: how to train.
        part: what its test images are: ``"test"``, or ``"validation"`` if they were split off the training images.
        hardware: where to train.
        scratch: tells the folder where the state is kept; None keeps nothing.
        logs: where the numbers of each epoch go; None writes none.

    Returns:
        The loss of each epoch, the error on that part, the parameters; fit for JSON.

    Raises:
        FloatingPointError: if the loss is not finite.
    """
    row, recipe = cell.row, study.recipe_of(cell.row)
    with reproducible(cell.seed):
        net = row.network(study.channels, len(data.classes))
        images, labels = as_tensor(data.train_images, study.channels), torch.tensor(data.train_labels)
        shown = Images(images[: row.samples], labels[: row.samples])
        task = Task(net, shown, augment=augmentation(study.augment_of(row)), seed=cell.seed)
        fabric = hardware.fabric(recipe.precision)
        written = logs.open(f"equiconv-{study.name}", _run_name(cell)) if logs and fabric.is_global_zero else ()
        history = fit(task, recipe, fabric, folder=scratch and scratch(cell), logs=written, report=report)
        tested = as_tensor(data.test_images, study.channels)
        wrong = (_predictions(net.eval(), tested, report) != torch.tensor(data.test_labels)).sum()
    return {
        "group": cell.label,
        "seed": cell.seed,
        "parameters": count_parameters(net),
        "error": {part: int(wrong) / len(data.test_labels)},
        "losses": [epoch["loss"] for epoch in history],
        "seconds": sum(epoch["seconds"] for epoch in history),
    }


def _run_name(cell: StudyCell) -> str:
    """Return the name of a run, fit for a file."""
    return f"{re.sub(r'[^A-Za-z0-9.]+', '-', cell.label)}-seed{cell.seed}"


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
    found, like = [], next(net.parameters())
    for batch in images.split(BATCH):
        found.append(net(float_batch(batch).to(like)).argmax(1).cpu())
        report(FORWARD_SHARE * len(batch))
    return torch.cat(found)
