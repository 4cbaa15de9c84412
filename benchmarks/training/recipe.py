"""How a network is trained, as values: optimizer, schedule, batches, precision."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from fractions import Fraction
from typing import Any, Self

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, MultiStepLR, OneCycleLR, StepLR

from benchmarks.training.penalties import Penalties, add_absolute, check_penalties, penalty_groups
from equiconv import EquiconvError

__all__ = ["OPTIMIZERS", "PRECISIONS", "SCHEDULES", "Recipe"]

OPTIMIZERS = ("adam", "sgd")
SCHEDULES = ("constant", "onecycle", "step", "decay", "milestones", "cosine", "cycle")
COUNTS = {"epochs": 1, "batch_size": 1, "every": 1, "accumulate": 1, "told_for": 0, "rate_batch": 0}  # at least
RANGES = {  # at least, and below
    "learning_rate": (0, math.inf),
    "weight_decay": (0, math.inf),
    "momentum": (0, 1),
    "gamma": (0, math.inf),
    "lowest": (0, math.inf),
    "warmup": (0, math.inf),
}
WARMED = ("constant", "step", "decay", "milestones")  # schedules that may have a warm-up
PRECISIONS = ("32-true", "64-true", "bf16-mixed")


@dataclass(frozen=True)
class Recipe:
    """Say how a network is trained.

    Args:
        epochs: passes over the training images.
        batch_size: images a step, on all devices together.
        optimizer: ``"adam"`` or ``"sgd"``.
        learning_rate: the largest of the schedule.
        weight_decay: added to the gradient (L2).
        penalties: L1 and L2 by what parameters are, in place of the weight decay: the weights of ``convolution``, those
            of ``hidden`` linear layers and of the ``output``, and ``other``, biases and norms. They are added to the
            gradient: signs times the first number, values times the second.
        momentum: of SGD.
        schedule: ``"constant"``; ``"onecycle"``, PyTorch's OneCycleLR over all steps; ``"step"``, times ``gamma`` every
            ``every`` epochs; ``"decay"``, times ``gamma`` each epoch after the one that follows the first ``every``;
            ``"milestones"``, times ``gamma`` after each of them; ``"cosine"``, to zero over all
            steps; ``"cycle"``, half cosines from ``lowest`` up over a quarter of ``every`` epochs, and down over the
            rest, then ``lowest``.
        every: epochs of a step, or of the cycle.
        gamma: the factor of a step.
        milestones: epochs, in rising order.
        lowest: where the cycle starts and ends.
        accumulate: parts in which a batch is computed, one after the other; the gradient is that of the whole.
        precision: ``"32-true"``, ``"64-true"`` or ``"bf16-mixed"``.
        compiled: run the network through ``torch.compile``.
        channels_last: keep images in channels_last.
        warmup: epochs in which the learning rate rises, linearly and with every step, of the schedules "constant",
            "step", "decay" and "milestones".
        told_for: the number of epochs for which ``every``, ``milestones`` and ``warmup`` are told: with more or fewer
            epochs they are stretched in proportion, steps and milestones to whole epochs; 0 takes them as they are.
        rate_batch: the batch size for which ``learning_rate`` is told: with another one it changes in proportion; 0
            takes it as it is.

    Raises:
        EquiconvError: if a value is out of range.
    """

    epochs: int
    batch_size: int = 128
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    penalties: Penalties = field(default_factory=dict)
    momentum: float = 0.9
    schedule: str = "constant"
    every: int = 1
    gamma: float = 0.1
    milestones: tuple[int, ...] = ()
    lowest: float = 1e-5
    accumulate: int = 1
    precision: str = "32-true"
    compiled: bool = False
    channels_last: bool = False
    warmup: float = 0.0
    told_for: int = 0
    rate_batch: int = 0

    def __post_init__(self) -> None:
        for name, least in COUNTS.items():
            if not isinstance(getattr(self, name), int) or getattr(self, name) < least:
                raise EquiconvError(f"{name} is an integer, at least {least}; got {getattr(self, name)}")
        for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise EquiconvError(f"{name} is one of {', '.join(known)}; got {getattr(self, name)!r}")
        for name, (low, high) in RANGES.items():
            if not low <= getattr(self, name) < high:
                raise EquiconvError(f"{name} is at least {low} and below {high}; got {getattr(self, name)}")
        rising = list(self.milestones) == sorted(set(self.milestones))
        if not rising or (self.schedule == "milestones") != bool(self.milestones):
            raise EquiconvError(
                'milestones are epochs in rising order, for schedule="milestones", which needs them; got '
                f"{self.milestones} for {self.schedule!r}"
            )
        if self.warmup and self.schedule not in WARMED:
            raise EquiconvError(f"a warm-up is for the schedules {', '.join(WARMED)}; got one for {self.schedule!r}")
        check_penalties(self.penalties)
        if self.learning_rate == 0:
            raise EquiconvError("learning_rate is above 0; got 0")

    def changed(self, changes: Mapping[str, object]) -> Self:
        """Return the recipe with other values.

        Args:
            changes: values by name; text, as of a command line, is read as what the field holds.

        Raises:
            EquiconvError: if a name is unknown, or a value cannot be read or is out of range.
        """
        known = {
            each.name: type(getattr(self, each.name) if each.default is MISSING else each.default)
            for each in fields(self)
        }
        if unknown := [name for name in changes if name not in known]:
            raise EquiconvError(f"a recipe has {', '.join(known)}; got {', '.join(unknown)}")
        values: dict[str, Any] = {name: _read(name, value, known[name]) for name, value in changes.items()}
        return replace(self, **values)

    @property
    def highest(self) -> float:
        """The largest learning rate of the schedule, for this batch size."""
        return self.learning_rate * (self.batch_size / self.rate_batch if self.rate_batch else 1)

    def make_optimizer(self, net: nn.Module) -> Optimizer:
        """Return the optimizer of a network."""
        groups: Any = net.parameters()
        if self.penalties:
            groups = penalty_groups(net, self.penalties, self.weight_decay)
        if self.optimizer == "adam":
            optimizer: Optimizer = torch.optim.Adam(groups, self.highest, weight_decay=self.weight_decay)
        else:
            optimizer = torch.optim.SGD(groups, self.highest, self.momentum, weight_decay=self.weight_decay)
        if self.penalties:
            optimizer.register_step_pre_hook(add_absolute)
        return optimizer

    def make_schedule(self, optimizer: Optimizer, steps: int) -> LRScheduler:
        """Return the schedule, to be advanced after every step of the optimizer.

        Args:
            optimizer: the optimizer.
            steps: those of an epoch.
        """
        total = self.epochs * steps
        if self.schedule == "onecycle":
            return OneCycleLR(optimizer, self.highest, total_steps=total)
        if self.schedule == "cosine":
            return CosineAnnealingLR(optimizer, total)
        if self.schedule == "cycle":
            length = self._stretched(self.every) * steps
            return LambdaLR(optimizer, lambda step: self._cycle(step, length) / self.highest)
        if self.warmup:
            return LambdaLR(optimizer, lambda step: self._warmed(step, steps) * self._decayed(step, steps))
        if self.schedule == "milestones":
            return MultiStepLR(optimizer, [self._stretched(epoch) * steps for epoch in self.milestones], self.gamma)
        if self.schedule == "step":
            return StepLR(optimizer, self._stretched(self.every) * steps, self.gamma)
        if self.schedule == "decay":
            return LambdaLR(optimizer, lambda step: self._decayed(step, steps))
        return LambdaLR(optimizer, lambda _: 1.0)

    @property
    def _stretch(self) -> Fraction:
        """What epochs are multiplied with, for the number of epochs that there are."""
        return Fraction(self.epochs, self.told_for or self.epochs)

    def _stretched(self, epoch: int) -> int:
        """Return the epoch that this one becomes, a whole one."""
        return math.ceil(self._stretch * epoch)

    def _warmed(self, step: int, steps: int) -> float:
        """Return the factor of the warm-up at a step, of so many in an epoch."""
        return min(1.0, (1 + step) / (self.warmup * self._stretch * steps))

    def _decayed(self, step: int, steps: int) -> float:
        """Return the factor of all steps or milestones behind a step, of so many in an epoch."""
        epoch = step // steps
        if self.schedule == "step":
            return self.gamma ** (epoch // self._stretched(self.every))
        if self.schedule == "decay":
            return self.gamma ** max(0, epoch - self._stretched(self.every))
        return self.gamma ** sum(epoch >= self._stretched(milestone) for milestone in self.milestones)

    def _cycle(self, step: int, length: int) -> float:
        """Return the learning rate at a step of the cycle."""
        low, high, rise = self.lowest, self.highest, max(1, length // 4)
        if step >= length:
            return low
        if step <= rise:
            return high - (high - low) / 2 * (1 + math.cos(math.pi * step / rise))
        return low + (high - low) / 2 * (1 + math.cos(math.pi * (step - rise) / (length - rise)))


def _read(name: str, value: object, kind: type) -> object:
    """Return a value of a field as what the field holds, which text may spell."""
    if not isinstance(value, str) or kind is str:
        return value
    if kind is tuple:
        return tuple(_read(name, part, int) for part in value.split(","))
    try:
        return {"true": True, "false": False}[value.lower()] if kind is bool else kind(value)
    except (KeyError, ValueError):
        raise EquiconvError(f"{name} of a recipe is {kind.__name__}; got {value!r}") from None
