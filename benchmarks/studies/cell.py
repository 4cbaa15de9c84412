"""One run of a study: a network is trained with one seed, and tested once."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from benchmarks.data import float_batch
from benchmarks.data.augment import augmentation
from benchmarks.networks import count_parameters
from benchmarks.studies.implicit import Watched
from benchmarks.studies.row import Row
from benchmarks.studies.scores import measured, passes
from benchmarks.studies.study import Study
from benchmarks.studies.supply import Supply
from benchmarks.studies.trained import TrainedNetwork
from benchmarks.train import FORWARD_SHARE, Report, reproducible
from benchmarks.training import CPU, CrossEntropy, Feed, Hardware, Task, fit
from benchmarks.training.logs import LogFolder

__all__ = ["StudyCell", "Supplies", "cost", "run_cell"]

Supplies = Mapping[str, Supply]
ERROR = "equivariance error of "


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


def cost(cell: StudyCell, data: Supplies, study: Study) -> float:
    """Return the work of a cell, in training images that are seen once."""
    own = data[study.data_of(cell.row)]
    images = study.samples_of(cell.row) or own.count
    moved = (passes(study.curves) - 1) * min(own.tested, study.curve_images or own.tested)
    return study.recipe_of(cell.row).epochs * images + FORWARD_SHARE * (own.tested + moved)


def run_cell(
    cell: StudyCell,
    report: Report,
    *,
    data: Supplies,
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
        data: where the images come from, by the names of the data sets.
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
        prepare, fabric = own.normalization(study.normalize_of(row), count), hardware.fabric(recipe.precision)
        task = _task(net, own.feed(count), prepare.to(fabric.device), study, cell)
        if (watched := study.watched_of(row)) is not None:
            first = next(iter(own.tests(0, 1)))[0][: watched.images].to(fabric.device)
            task = replace(task, validate=partial(_watched, net, watched, prepare(float_batch(first))))
        folder = scratch and scratch(cell)
        name = f"equiconv-{study.name}", _run_name(cell, folder)
        with logs.opened(*name) if logs and fabric.is_global_zero else nullcontext(()) as written:
            history = fit(task, recipe, fabric, folder=folder, logs=written, report=report)
        trained = _trained(cell, net, prepare, own, study)
        if networks is not None and fabric.is_global_zero:
            trained.save(networks / f"{name[1]}.pt")
        found = measured(trained.model, own, study.curves, fabric, report, part=part, moved=study.curve_images)
    return {
        "group": cell.label,
        "seed": cell.seed,
        "parameters": count_parameters(net),
        **found,
        "losses": [epoch["loss"] for epoch in history],
        "equivariance_penalties": [epoch["penalty"] for epoch in history if "penalty" in epoch],
        "watched": _by_layer(history),
        "seconds": sum(epoch["seconds"] for epoch in history),
    }


def _watched(net: nn.Module, watched: Watched, images: Tensor, _: nn.Module) -> dict[str, float]:
    """Return the equivariance error of each layer of a network, which is in evaluation mode."""
    return {f"{ERROR}{name}": error for name, error in watched.errors(net, images).items()}


def _by_layer(history: Sequence[Mapping[str, float]]) -> dict[str, list[float | None]]:
    """Return what was measured of each layer after each epoch; None where nothing could be."""
    names = [name for name in history[-1] if name.startswith(ERROR)] if history else []
    values = {name: [epoch[name] for epoch in history] for name in names}
    return {
        name.removeprefix(ERROR): [value if math.isfinite(value) else None for value in errors]
        for name, errors in values.items()
    }


def _trained(cell: StudyCell, net: nn.Module, prepare: nn.Module, own: Supply, study: Study) -> TrainedNetwork:
    """Return a network with all that is needed to build it again."""
    return TrainedNetwork(
        study=study.name,
        row=cell.row,
        seed=cell.seed,
        data=own.name,
        image=own.size,
        channels=study.channels,
        classes=own.classes,
        normalize=study.normalize_of(cell.row),
        augment=study.augment_of(cell.row),
        net=net,
        prepare=prepare,
    )


def _task(net: nn.Module, shown: Feed, prepare: nn.Module, study: Study, cell: StudyCell) -> Task:
    """Return what is trained; images are normalized before they are augmented, or after."""
    augment = augmentation(study.augment_of(cell.row))
    taught = cell.row.taught
    objective = CrossEntropy() if taught is None else taught.objective(net)
    task = Task(net, shown, prepare, augment, objective, seed=cell.seed)
    if not study.normalize_first:
        return task
    return replace(task, prepare=nn.Identity(), augment=nn.Sequential(prepare, augment))


def _run_name(cell: StudyCell, folder: Path | None) -> str:
    """Return the name of a run, fit for a file; that of its folder tells it from runs on other data, or otherwise."""
    name = f"{re.sub(r'[^A-Za-z0-9.]+', '-', cell.label)}-seed{cell.seed}"
    return name if folder is None else f"{name}-{folder.stem[:8]}"
