"""What training makes small."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.training.feed import UNCOUNTED
from equiconv.losses import EquivarianceLoss
from equiconv.taps import Taps

__all__ = ["CrossEntropy", "Implicit", "Losses", "Objective"]


class Losses(NamedTuple):
    """Hold what a batch cost, summed over its images.

    Args:
        total: what is made small.
        told: what is told of an epoch, by name: of each number the mean over the images.
    """

    total: Tensor
    told: dict[str, Tensor]


class Objective(ABC):
    """Say what training makes small; its repr tells it from others."""

    @abstractmethod
    def __call__(
        self, net: Callable[[Tensor], Tensor], prepare: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor
    ) -> Losses:
        """Return what a batch costs.

        Args:
            net: maps prepared images to logits, on all devices.
            prepare: normalizes images.
            images: in [0, 1], augmented, ``(B, C, H, W)``.
            labels: their classes, ``(B,)``; ``UNCOUNTED`` ones do not count.
        """


@dataclass(frozen=True)
class CrossEntropy(Objective):
    """Classify."""

    def __call__(
        self, net: Callable[[Tensor], Tensor], prepare: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor
    ) -> Losses:
        """Return the cross entropy."""
        loss = F.cross_entropy(net(prepare(images)), labels, reduction="sum")
        return Losses(loss, {"loss": loss.detach()})


@dataclass(frozen=True)
class Implicit(Objective):
    """Classify images and moved ones, and be equivariant: the mean cross entropy of both, and the penalty.

    Args:
        model: the network whose layers are listened to, without what is wrapped around it.
        equivariance: the loss.
    """

    model: nn.Module
    equivariance: EquivarianceLoss

    def __call__(
        self, net: Callable[[Tensor], Tensor], prepare: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor
    ) -> Losses:
        """Return cross entropy and penalty; told are the cross entropy, the penalty and the error of each layer."""
        elements = self.equivariance.draw(len(images))
        with Taps(self.model, self.equivariance.layers) as taps:
            logits = net(prepare(self.equivariance.doubled(images, elements)))
        loss = F.cross_entropy(logits, labels.repeat(2), reduction="sum") / 2
        penalty, errors = self.equivariance.compare(taps, elements)
        counted = (labels != UNCOUNTED).sum()
        told = {"penalty": penalty.detach(), **{f"penalty of {name}": error for name, error in errors.items()}}
        return Losses(
            loss + counted * penalty, {"loss": loss.detach(), **{name: counted * value for name, value in told.items()}}
        )

    def __repr__(self) -> str:
        return f"Implicit({self.equivariance!r})"
