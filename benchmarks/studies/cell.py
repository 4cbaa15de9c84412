"""One run of a study: a network is trained with one seed, and tested once."""

import re
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.data import Dataset, float_batch
from benchmarks.data.augment import augmentation
from benchmarks.data.families import FAMILIES, Family
from benchmarks.data.normalize import normalization
from benchmarks.networks import count_parameters
from benchmarks.studies.row import Row
from benchmarks.studies.study import Study
from benchmarks.studies.trained import TrainedNetwork
from benchmarks.train import FORWARD_SHARE, Report, reproducible
from benchmarks.training import CPU, Hardware, Images, Task, fit
from benchmarks.training.logs import LogFolder

__all__ = ["Datasets", "StudyCell", "as_tensor", "cost", "predictions", "run_cell"]

Datasets = Mapping[str, Dataset]
Move = Callable[[Tensor], Tensor]
MOST_CLASSES = 128  # of which it is told which are taken for which
BATCH = 256  # images that are tested at a time


def _unmoved(x: Tensor) -> Tensor:
    """Return images as they are."""
    return x


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


def cost(cell: StudyCell, data: Datasets, study: Study) -> float:
    """Return the work of a cell, in training images that are seen once."""
    own = data[study.data_of(cell.row)]
    images = len(own.train_labels[: study.samples_of(cell.row)])
    moved = sum(len(FAMILIES[name].values) for name in study.curves) * len(own.test_labels[: study.curve_images])
    return study.recipe_of(cell.row).epochs * images + FORWARD_SHARE * (len(own.test_labels) + moved)


def run_cell(
    cell: StudyCell,
    report: Report,
    *,
    data: Datasets,
    study: Study,
    part: str = "test",
    hardware: Hardware = CPU,
    scratch: Callable[[StudyCell], Path] | None = None,
    logs: LogFolder | None = None,
    networks: Path | None = None,
) -> dict[str, Any]:
    """Train a network and test it once, after the last epoch.

    Args:
        cell: the row and the seed.
        report: called with the work done since the last call.
        data: the images, by the names of the data sets.
        study: how to train.
        part: what its test images are: ``"test"``, or ``"validation"`` if they were split off the training images.
        hardware: where to train.
        scratch: tells the folder where the state is kept; None keeps nothing.
        logs: where the numbers of each epoch go; None writes none.
        networks: the folder that the trained network is written to, under the name of the run; None writes none.

    Returns:
        The loss of each epoch, the parameters, and on that part the error, how often each class is taken for each
        other, and the accuracy under the moves of ``study.curves``; fit for JSON.

    Raises:
        FloatingPointError: if the loss is not finite.
    """
    row, recipe, own = cell.row, study.recipe_of(cell.row), data[study.data_of(cell.row)]
    count = study.samples_of(row)
    with reproducible(cell.seed):
        net = row.network(study.channels, len(own.classes))
        images = as_tensor(own.train_images[:count], study.channels)
        shown = Images(images, torch.tensor(own.train_labels[:count]))
        prepare = normalization(study.normalize_of(row), images.numpy())
        fabric = hardware.fabric(recipe.precision)
        task, folder = _task(net, shown, prepare.to(fabric.device), study, cell), scratch and scratch(cell)
        name = f"equiconv-{study.name}", _run_name(cell, folder)
        with logs.opened(*name) if logs and fabric.is_global_zero else nullcontext(()) as written:
            history = fit(task, recipe, fabric, folder=folder, logs=written, report=report)
        trained = _trained(cell, net, prepare, own, study)
        if networks is not None and fabric.is_global_zero:
            trained.save(networks / f"{name[1]}.pt")
        measured = _measured(trained.model, own, study, part, report)
    return {
        "group": cell.label,
        "seed": cell.seed,
        "parameters": count_parameters(net),
        **measured,
        "losses": [epoch["loss"] for epoch in history],
        "seconds": sum(epoch["seconds"] for epoch in history),
    }


def _trained(cell: StudyCell, net: nn.Module, prepare: nn.Module, data: Dataset, study: Study) -> TrainedNetwork:
    """Return a network with all that is needed to build it again."""
    return TrainedNetwork(
        study.name,
        cell.row,
        cell.seed,
        data.name,
        data.size,
        study.channels,
        data.classes,
        study.normalize_of(cell.row),
        study.augment_of(cell.row),
        net,
        prepare,
    )


def _task(net: nn.Module, shown: Images, prepare: nn.Module, study: Study, cell: StudyCell) -> Task:
    """Return what is trained; images are normalized before they are augmented, or after."""
    augment = augmentation(study.augment_of(cell.row))
    if study.normalize_first:
        return Task(net, shown, augment=nn.Sequential(prepare, augment), seed=cell.seed)
    return Task(net, shown, augment=augment, prepare=prepare, seed=cell.seed)


def _measured(net: nn.Module, data: Dataset, study: Study, part: str, report: Report) -> dict[str, Any]:
    """Return what a trained network does on images that it has not seen: fit for JSON."""
    images, labels = as_tensor(data.test_images, study.channels), torch.tensor(data.test_labels)
    predicted, few = predictions(net, images, report), slice(study.curve_images)
    return {
        "error": {part: int((predicted != labels).sum()) / len(labels)},
        "confusion": _confusion(predicted, labels, len(data.classes)),
        "curves": {name: _curve(net, images[few], labels[few], FAMILIES[name], report) for name in study.curves},
    }


def _confusion(predicted: Tensor, labels: Tensor, classes: int) -> list[list[int]] | None:
    """Return how often images of each class (row) are taken for each (column); None of very many classes."""
    if classes > MOST_CLASSES:
        return None
    return torch.bincount(labels * classes + predicted, minlength=classes**2).view(classes, classes).tolist()


def _curve(net: nn.Module, images: Tensor, labels: Tensor, family: Family, report: Report) -> list[float]:
    """Return the accuracy at each move of a family."""
    accuracies = []
    for value in family.values:
        predicted = predictions(net, images, report, family.by(value))
        accuracies.append(int((predicted == labels).sum()) / len(labels))
    return accuracies


def _run_name(cell: StudyCell, folder: Path | None) -> str:
    """Return the name of a run, fit for a file; that of its folder tells it from runs on other data, or otherwise."""
    name = f"{re.sub(r'[^A-Za-z0-9.]+', '-', cell.label)}-seed{cell.seed}"
    return name if folder is None else f"{name}-{folder.stem[:8]}"


def as_tensor(images: Any, channels: int) -> Tensor:
    """Return images ``(N, C, H, W)`` with the wanted number of channels: colors become gray by their mean.

    Args:
        images: an array with 1 or 3 channels.
        channels: 1 or 3.
    """
    tensor = torch.tensor(images).contiguous()
    if tensor.shape[1] == channels:
        return tensor
    return float_batch(tensor).mean(1, keepdim=True) if channels == 1 else tensor.expand(-1, channels, -1, -1)


@torch.no_grad()
def predictions(net: nn.Module, images: Tensor, report: Report, move: Move = _unmoved) -> Tensor:
    """Return the classes ``(N,)`` that a network gives to images.

    Args:
        net: maps images in [0, 1] to logits.
        images: ``(N, C, S, S)``.
        report: called with the work done since the last call.
        move: changes a batch before that.
    """
    found, like = [], next(net.parameters())
    for batch in images.split(BATCH):
        found.append(net(move(float_batch(batch)).to(like)).argmax(1).cpu())
        report(FORWARD_SHARE * len(batch))
    return torch.cat(found)
