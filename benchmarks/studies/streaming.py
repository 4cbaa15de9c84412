"""Images of a study that are too large for the memory."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor, nn

from benchmarks.data.normalize import FITTED, normalization
from benchmarks.data.published import class_names, provenance
from benchmarks.data.sources import SOURCES, Place, locate
from benchmarks.data.stream import CentralCut, RandomCut, batches, stream
from benchmarks.studies.supply import BATCH, Supply
from benchmarks.training import Streamed
from equiconv import EquiconvError

__all__ = ["Reading", "Streaming"]


@dataclass(frozen=True)
class Reading:
    """Say how images are read that are not held in memory.

    Args:
        area: of the random part that training sees, the range of its area, as a share.
        aspect: the range of its width over its height.
        share: the side of the middle that the test sees, as a share of the shorter side.
        readers: processes that read, beside each that trains; with 0 that one reads.
        decoder: what decodes the images, as of ``benchmarks.data.stream.pick_decoder``.

    Raises:
        EquiconvError: if a range is empty or out of range, or a number is.
    """

    area: tuple[float, float] = RandomCut().area
    aspect: tuple[float, float] = RandomCut().aspect
    share: float = CentralCut().share
    readers: int = 2
    decoder: str = "auto"

    def __post_init__(self) -> None:
        if not (0 < self.area[0] <= self.area[1] <= 1 and 0 < self.aspect[0] <= self.aspect[1] and 0 < self.share <= 1):
            raise EquiconvError(
                "area and share are shares above 0 and at most 1, aspect is above 0, ranges rise; got "
                f"area {self.area}, aspect {self.aspect}, share {self.share}"
            )
        if self.readers < 0:
            raise EquiconvError(f"--readers is at least 0; got {self.readers}")


@dataclass(frozen=True)
class Streaming(Supply):
    """Hand out images of a published source that are read anew in every pass.

    Args:
        source: its name.
        side: of the images.
        reading: how they are read; with the name of a decoder.

    Raises:
        EquiconvError: if the source cannot be read, or its test images have no labels.
    """

    source: str
    side: int
    reading: Reading

    def __post_init__(self) -> None:
        labels = self._place.labels("test")
        if labels is not None and not 0 <= labels.min() <= labels.max() < len(self.classes):
            raise EquiconvError(
                f"{self.name}, test: expected labels from 0 to {len(self.classes) - 1}; got {labels.min()} to "
                f"{labels.max()}: take the validation images, which are labeled"
            )

    @property
    def name(self) -> str:
        """The name of the source."""
        return self.source

    @property
    def size(self) -> int:
        """The side of the images, in pixels."""
        return self.side

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return class_names(self._place, stream=True)

    @cached_property
    def count(self) -> int:
        """The training images: those of the files, or on the hub as published."""
        return self._place.count("train")

    @cached_property
    def tested(self) -> int:
        """The test images: those of the files, or on the hub as published."""
        return self._place.count("test")

    def feed(self, samples: int | None = None) -> Streamed:
        """Return all training images, random parts of them."""
        cut, reading = RandomCut(self.reading.area, self.reading.aspect), self.reading
        return Streamed(self.name, cut, self.size, workers=reading.readers, decoder=reading.decoder)

    def normalization(self, names: Sequence[str], samples: int | None = None) -> nn.Module:
        """Return normalizations; none of them is fitted."""
        return normalization(names, None)

    def tests(self, rank: int, world: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the images of the files that are those of this process, or every ``world``-th image of all."""
        cut, decoder = CentralCut(self.reading.share), self.reading.decoder
        part = stream(self.name, "test", cut, size=self.size, rank=rank, world=world, decoder=decoder)
        return batches(part, BATCH, workers=self.reading.readers)

    def check(self, row: str, samples: int | None, normalize: Sequence[str]) -> None:
        """Raise EquiconvError if a row wants a part of the images, or what is fitted to all of them."""
        if samples is not None:
            raise EquiconvError(f"{row}: {self.name} is streamed, all of it; got samples = {samples}: leave it out")
        if fitted := [name for name in normalize if name in FITTED]:
            raise EquiconvError(
                f"{row}: {self.name} is streamed, and {', '.join(fitted)} is fitted to images in memory: normalize "
                "otherwise"
            )

    def describe(self) -> dict[str, Any]:
        """Return what a reader of the results needs to know; numbers of each class only of files."""
        counts, by_class = (self.count, self.tested), [self._place.labels(split) for split in ("train", "test")]
        train, test = (None if each is None else np.bincount(each, minlength=len(self.classes)) for each in by_class)
        said = provenance(SOURCES[self.name], self._place, counts, jpeg=True, exact=None)
        return {
            "name": self.name,
            "description": f"{said} Streamed, decoded by {self.reading.decoder}: {self._cuts()}.",
            "classes": list(self.classes),
            "size": self.size,
            "train": self.count,
            "train_by_class": None if train is None else train.tolist(),
            "test": self.tested,
            "guessing_error": None if test is None else 1 - int(test.max()) / self.tested,
            "fingerprint": self.fingerprint(),
        }

    def fingerprint(self) -> str:
        """Return a hash of what the files say of their content, and of how the images are cut and decoded."""
        return hashlib.sha256(repr((self._place.outline(), self._cuts(), self.reading.decoder)).encode()).hexdigest()

    def _cuts(self) -> str:
        area, aspect = (f"{low:g} to {high:g}" for low, high in (self.reading.area, self.reading.aspect))
        return (
            f"training sees random parts of {area} of the area, {aspect} times as wide as high, the test the square in "
            f"the middle, {self.reading.share:g} of the shorter side, resized to {self.size}x{self.size} pixels"
        )

    @cached_property
    def _place(self) -> Place:
        return locate(SOURCES[self.name])
