"""The loop that trains every network."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from benchmarks.data import float_batch
from benchmarks.training.checkpoint import Checkpoint
from benchmarks.training.feed import Feed, Share, seed_of
from benchmarks.training.logs import Log
from benchmarks.training.objective import CrossEntropy, Objective
from benchmarks.training.recipe import Recipe
from equiconv import EquiconvError

__all__ = ["Task", "fit"]

Epoch = dict[str, float]
CHECKED = 200  # steps after which it is looked whether the loss is still a number


def _nothing(_: float) -> None:
    """Note nothing."""


def _same(images: Tensor) -> Tensor:
    """Return the images as they are."""
    return images


@dataclass(frozen=True)
class Task:
    """Hold what is trained, on what.

    Args:
        net: maps images to logits.
        data: the training images.
        prepare: normalizes a batch in [0, 1]; whoever tests the network does the same.
        augment: changes a batch in [0, 1] before that.
        objective: what is made small.
        validate: returns numbers about the network after an epoch, by name.
        seed: of everything that is random: order, augmentation, dropout.
    """

    net: nn.Module
    data: Feed
    prepare: Callable[[Tensor], Tensor] = _same
    augment: Callable[[Tensor], Tensor] = _same
    objective: Objective = field(default_factory=CrossEntropy)
    validate: Callable[[nn.Module], Epoch] | None = None
    seed: int = 0


@dataclass
class _Run:
    """Hold the state of a run."""

    fabric: Fabric
    net: Any
    optimizer: Any
    schedule: Any
    history: list[Epoch] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        """Return what a run needs to go on."""
        net, optimizer = self.net.state_dict(), self.optimizer.state_dict()  # with the names of a plain network
        return {"net": net, "optimizer": optimizer, "schedule": self.schedule.state_dict(), "history": self.history}

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.history = state["history"]


def fit(
    task: Task,
    recipe: Recipe,
    fabric: Fabric,
    *,
    folder: Path | None = None,
    logs: tuple[Log, ...] = (),
    report: Callable[[float], None] = _nothing,
) -> list[Epoch]:
    """Train a network.

    Everything random in an epoch follows from the seed, the epoch and the process, so that a run that was killed and
    resumed gives the same numbers, to the bit, as one that was not. On several processes each takes its share of every
    batch; without batch statistics the losses of images in memory are those of one process, up to rounding. Streams are
    read in another order for every number of processes.

    Args:
        task: the network, the data, and what is done to them.
        recipe: how to train.
        fabric: where; launched.
        folder: where the state is kept after each epoch; a run that is found there goes on. None keeps nothing.
        logs: where the numbers of each epoch are written.
        report: called with the number of images done since the last call, on all processes.

    Returns:
        The numbers of each epoch: of the objective, learning rate, seconds, those of ``task.validate``. It is trained
        in place, and the same on all processes.

    Raises:
        FloatingPointError: if the loss is not finite; the state before that epoch is kept.
        EquiconvError: if the folder holds another run.
    """
    checkpoint = None if folder is None else Checkpoint(folder / "last.pt", _identity(task, recipe, fabric))
    run = _start(task, recipe, fabric, checkpoint)
    report(float(len(run.history) * task.data.count))
    for epoch in range(len(run.history), recipe.epochs):
        run.history.append(_epoch(run, task, recipe, epoch, report))
        if fabric.is_global_zero:
            for log in logs:
                log.write(run.history)
            if checkpoint is not None:
                checkpoint.save(run.state())
    _agree(task.net, fabric)
    fabric.barrier()  # a process that ended at once would break off what others still receive
    return run.history


def _agree(net: nn.Module, fabric: Fabric) -> None:
    """Give all processes the network of the first: batch statistics are of the images that a process has seen."""
    if fabric.world_size > 1:
        state = {name: value.cpu() for name, value in net.state_dict().items()}
        net.load_state_dict(fabric.broadcast(state))


def _identity(task: Task, recipe: Recipe, fabric: Fabric) -> dict[str, object]:
    """Return what determines a run, fit for a checkpoint."""
    return {
        "recipe": asdict(recipe),
        "objective": repr(task.objective),
        "seed": task.seed,
        "data": task.data.identity,
        "processes": fabric.world_size,
        "device": fabric.device.type,
    }


def _start(task: Task, recipe: Recipe, fabric: Fabric, checkpoint: Checkpoint | None) -> _Run:
    optimizer = recipe.make_optimizer(task.net)
    schedule = recipe.make_schedule(optimizer, _steps(task, recipe))
    net: Any = torch.compile(task.net) if recipe.compiled else task.net
    ready: Any = fabric.setup(net, optimizer)  # on several processes what they exchange is compiled with the network
    run = _Run(fabric, ready[0], ready[1], schedule)
    if checkpoint is not None and (state := _kept(checkpoint, fabric)) is not None:
        run.resume(state)
    return run


def _kept(checkpoint: Checkpoint, fabric: Fabric) -> dict[str, Any] | None:
    """Return the state that the first process finds: on machines with folders of their own the others have none."""
    found: dict[str, Any] | EquiconvError | None = None
    if fabric.is_global_zero:
        try:
            found = checkpoint.load()
        except EquiconvError as error:  # for all processes, or the others would wait
            found = error
    found = fabric.broadcast(found)
    if isinstance(found, EquiconvError):
        raise found
    return found


def _steps(task: Task, recipe: Recipe) -> int:
    return math.ceil(task.data.count / recipe.batch_size)


def _epoch(run: _Run, task: Task, recipe: Recipe, epoch: int, report: Callable[[float], None]) -> Epoch:
    started, rate = time.monotonic(), float(run.schedule.get_last_lr()[0])
    rank, world = run.fabric.global_rank, run.fabric.world_size
    torch.manual_seed(seed_of(task.seed, epoch, rank))
    run.net.train()
    totals: dict[str, Tensor] = {}
    shares = task.data.shares(recipe.batch_size, task.seed, epoch, rank=rank, world=world)
    for step, share in enumerate(shares, 1):
        _add(totals, _step(run, task, recipe, share))
        report(float(share.whole))
        if step % CHECKED == 0:
            _everywhere(run, "loss", totals["loss"], epoch, recipe)
    told = {name: _everywhere(run, name, total, epoch, recipe) / task.data.count for name, total in totals.items()}
    numbers = {**told, "learning_rate": rate, "seconds": time.monotonic() - started}
    if task.validate is not None:
        run.net.eval()
        numbers |= task.validate(run.net)
    return numbers


def _add(totals: dict[str, Tensor], told: dict[str, Tensor]) -> None:
    for name, value in told.items():
        totals[name] = totals[name] + value if name in totals else value


def _everywhere(run: _Run, name: str, total: Tensor, epoch: int, recipe: Recipe) -> float:
    """Return the sum of what all processes tell under a name, or raise in all of them if it is not finite."""
    everywhere: Any = run.fabric.all_reduce(total.clone(), reduce_op="sum")  # it writes to what it gets
    value = float(everywhere)
    if not math.isfinite(value):
        raise FloatingPointError(
            f"the {name} became {value} in epoch {epoch + 1}: a smaller learning rate, or more precision than "
            f"{recipe.precision}, may help; the state before this epoch is kept"
        )
    return value


def _step(run: _Run, task: Task, recipe: Recipe, share: Share) -> dict[str, Tensor]:
    """Make one step of the optimizer; return what is told of it, summed over the images that this process has seen."""
    parts = min(recipe.accumulate, len(share.labels))
    split = zip(share.images.tensor_split(parts), share.labels.tensor_split(parts), strict=True)
    totals: dict[str, Tensor] = {}
    run.optimizer.zero_grad()
    for number, (images, labels) in enumerate(split, 1):
        with run.fabric.no_backward_sync(run.net, enabled=number < parts):
            augmented = task.augment(float_batch(images.to(run.fabric.device)))
            labels = labels.to(run.fabric.device)
            losses = task.objective(run.net, partial(_prepared, task, recipe), augmented, labels)
            run.fabric.backward(losses.total * run.fabric.world_size / share.whole)  # processes are averaged
        _add(totals, losses.told)
    run.optimizer.step()
    run.schedule.step()
    return totals


def _prepared(task: Task, recipe: Recipe, images: Tensor) -> Tensor:
    """Return some augmented images as the network takes them."""
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    return task.prepare(images).contiguous(memory_format=layout)  # that of the data would change the rounding
