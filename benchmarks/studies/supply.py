"""Where the images of a study come from; here from the memory."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.data import Dataset, float_batch
from benchmarks.data.normalize import FITTED, normalization
from benchmarks.training import Feed, Images
from equiconv import EquiconvError

__all__ = ["BATCH", "InMemory", "Supply", "as_tensor"]

BATCH = 256  # images that are tested at a time


class Supply(ABC):
    """Hand out the images of a study: those for training, and those of the test."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of the data set."""

    @property
    @abstractmethod
    def size(self) -> int:
        """The side of the images, in pixels."""

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""

    @property
    @abstractmethod
    def count(self) -> int:
        """The training images."""

    @property
    @abstractmethod
    def tested(self) -> int:
        """The test images."""

    @abstractmethod
    def feed(self, samples: int | None = None) -> Feed:
        """Return the training images, or so many of them, the first ones."""

    @abstractmethod
    def normalization(self, names: Sequence[str], samples: int | None = None) -> nn.Module:
        """Return normalizations in the given order, those that are fitted to images fitted to those of ``feed``."""

    @abstractmethod
    def tests(self, rank: int, world: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images and labels of the test, those of one process; each image is one process's.

        Args:
            rank: of the process.
            world: the number of processes.
        """

    @abstractmethod
    def check(self, row: str, samples: int | None, normalize: Sequence[str]) -> None:
        """Raise EquiconvError if a row wants more of these images than they can give.

        Args:
            row: its name.
            samples: the number of training images that it wants; None for all.
            normalize: the names of its normalizations.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what a reader of the results needs to know; fit for JSON."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a hash that tells these images from others."""


@dataclass(frozen=True, eq=False)
class InMemory(Supply):
    """Hand out images that are in memory.

    Args:
        data: the images.
        channels: those that networks see: 3 repeats gray images, 1 takes the mean of colors.
    """

    data: Dataset
    channels: int

    @property
    def name(self) -> str:
        """The name of the data set."""
        return self.data.name

    @property
    def size(self) -> int:
        """The side of the images, in pixels."""
        return self.data.size

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.data.classes

    @property
    def count(self) -> int:
        """The training images."""
        return len(self.data.train_labels)

    @property
    def tested(self) -> int:
        """The test images."""
        return len(self.data.test_labels)

    def feed(self, samples: int | None = None) -> Images:
        """Return the training images, or so many of them, the first ones."""
        images = as_tensor(self.data.train_images[:samples], self.channels)
        return Images(images, torch.tensor(self.data.train_labels[:samples]))

    def normalization(self, names: Sequence[str], samples: int | None = None) -> nn.Module:
        """Return normalizations, fitted to the images of ``feed``."""
        fitted = set(FITTED) & set(names)
        return normalization(names, self.feed(samples).images.numpy() if fitted else None)

    def tests(self, rank: int, world: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield every ``world``-th image of the test."""
        images = as_tensor(self.data.test_images[rank::world], self.channels)
        labels = torch.tensor(self.data.test_labels[rank::world])
        if len(labels):
            yield from zip(images.split(BATCH), labels.split(BATCH), strict=True)

    def check(self, row: str, samples: int | None, normalize: Sequence[str]) -> None:
        """Raise EquiconvError if a row wants more training images than there are."""
        if samples is not None and samples > self.count:
            raise EquiconvError(
                f"{row} wants {samples:,} training images, and there are {self.count:,}: choose other --rows, or a "
                "smaller --validation"
            )

    def describe(self) -> dict[str, Any]:
        """Return what a reader of the results needs to know."""
        return self.data.describe()

    def fingerprint(self) -> str:
        """Return a hash of all that training and test see."""
        return self.data.fingerprint()


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
