"""Where the training images of an epoch come from: the memory, or a stream."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.data.sources import SOURCES, locate
from benchmarks.data.stream import BUFFER, Cut, Stream, batches, stream
from equiconv import EquiconvError

__all__ = ["Feed", "Images", "Share", "Streamed", "seed_of"]

UNCOUNTED = -100  # the label that PyTorch's cross entropy leaves out


class Share(NamedTuple):
    """Hold what one process sees in one step: images and labels, and of how many images the step is on all of them."""

    images: Tensor
    labels: Tensor
    whole: int


class Feed(ABC):
    """Hand out the training images."""

    @property
    @abstractmethod
    def count(self) -> int:
        """The images of an epoch, over all processes."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """What tells these images from others."""

    @abstractmethod
    def shares(self, size: int, seed: int, epoch: int, *, rank: int, world: int) -> Iterator[Share]:
        """Yield the share of a process in each step of an epoch; all processes make the same number of steps.

        A process that has no image in a step gets one that does not count.

        Args:
            size: images a step, on all processes together; the last step may be of fewer.
            seed: of the order, with the epoch.
            epoch: its number.
            rank: of the process.
            world: the number of processes.
        """


@dataclass(frozen=True, eq=False)
class Images(Feed):
    """Hand out images that are in memory; the steps are the same whatever the number of processes.

    Args:
        images: ``(N, C, H, W)``: in [0, 1], or integers from 0 to 255.
        labels: their classes, ``(N,)``.
    """

    images: Tensor
    labels: Tensor

    @property
    def count(self) -> int:
        """The images of an epoch."""
        return len(self.labels)

    @property
    def identity(self) -> str:
        """A hash of the images and labels."""
        data = hashlib.sha256()
        for tensor in (self.images, self.labels):
            data.update(tensor.cpu().contiguous().numpy().data)
        return data.hexdigest()

    def shares(self, size: int, seed: int, epoch: int, *, rank: int, world: int) -> Iterator[Share]:
        """Yield every ``world``-th image of each step."""
        generator = torch.Generator().manual_seed(seed_of(seed, epoch))
        for batch in torch.randperm(self.count, generator=generator).split(size):
            share = batch[rank::world]
            if len(share):
                yield Share(self.images[share], self.labels[share], len(batch))
            else:
                yield _uncounted(self.images[batch[:1]], self.labels[batch[:1]], len(batch))


@dataclass(frozen=True)
class Streamed(Feed):
    """Hand out the training images of a published source that is too large for the memory.

    Each process reads files of its own, if their number is a multiple of that of the processes, or else every
    ``world``-th image. It counts steps, not images, because all must make as many: a process that has more images than
    its share of ``count`` leaves out its last ones, and one that has fewer begins anew. The order, and the random
    numbers of the cut, follow from the seed, the epoch, the process, and the number of processes and workers.

    Args:
        name: of the source, as of ``benchmarks.data.stream``.
        cut: which part of an image is used; a dataclass, because its repr goes into ``identity``.
        size: the side of the images; None takes that of the source.
        workers: processes that read, beside each that trains; with 0 that one reads.
        buffer: images that are shuffled at a time.
        decoder: what decodes the images, one of ``benchmarks.data.stream.DECODERS``.

    Raises:
        EquiconvError: if the number of workers is negative, or the stream cannot be read.
    """

    name: str
    cut: Cut
    size: int | None = None
    workers: int = 0
    buffer: int = BUFFER
    decoder: str = "pil"

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise EquiconvError(f"workers is at least 0; got {self.workers}")
        stream(self.name, "train", self.cut, decoder=self.decoder)

    @cached_property
    def count(self) -> int:
        """The images of an epoch: those of the files, or on the hub as published."""
        return locate(SOURCES[self.name]).count("train")

    @property
    def identity(self) -> str:
        """What was asked for; the images are not read for it."""
        return repr(self)

    def shares(self, size: int, seed: int, epoch: int, *, rank: int, world: int) -> Iterator[Share]:
        """Yield the next images of the stream of this process; of all that a step is of, every ``world``-th."""
        part = self._part(seed, rank, world)
        part.set_epoch(epoch)
        chunks = _chunks(part, -(-size // world), self.workers, seed_of(seed, epoch, rank))
        images, labels = next(chunks)
        for start in range(0, self.count, size):
            stop = min(start + size, self.count)
            mine = len(range(start + (rank - start) % world, stop, world))
            while len(labels) < max(mine, 1):
                images, labels = map(torch.cat, zip((images, labels), next(chunks), strict=True))
            if mine:
                yield Share(images[:mine], labels[:mine], stop - start)
            else:
                yield _uncounted(images[:1], labels[:1], stop - start)
            images, labels = images[mine:], labels[mine:]

    def _part(self, seed: int, rank: int, world: int) -> Stream:
        return stream(
            self.name,
            "train",
            self.cut,
            size=self.size,
            rank=rank,
            world=world,
            seed=seed,
            buffer=self.buffer,
            decoder=self.decoder,
        )


def _chunks(part: Stream, size: int, workers: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield images and labels of a stream, again and again, some at a time; the cuts are other ones each time."""
    generator = torch.Generator().manual_seed(seed)  # of the seeds of the passes
    while True:
        empty = True
        for chunk in batches(part, size, workers=workers, seed=int(torch.randint(2**62, (), generator=generator))):
            empty = False
            yield chunk
        if empty:
            raise EquiconvError(f"{part.description} A process has no images of it: take fewer processes")


def _uncounted(images: Tensor, labels: Tensor, whole: int) -> Share:
    return Share(images, torch.full_like(labels, UNCOUNTED), whole)


def seed_of(*parts: int) -> int:
    """Return a seed that is made of several numbers."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:7])
