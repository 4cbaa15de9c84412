"""Data that are too large for the memory: read piece by piece, shuffled, and shared by ranks and workers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.data.images import Box, central_box, decoded, random_box, square
from benchmarks.data.published import class_names
from benchmarks.data.sources import SOURCES, Source, Split, locate, opened
from equiconv import EquiconvError

__all__ = ["CentralCut", "Cut", "RandomCut", "Stream", "stream"]

Cut = Callable[[int, int], Box]  # from width and height to the part of the image that is used
BUFFER = 10000


@dataclass(frozen=True)
class Stream:
    """Hold a part of a data set that is read anew in every pass.

    Args:
        name: of the source.
        description: what must be said beside every number.
        classes: the names of the classes.
        size: the side of the images.
        count: the images that the source has over all ranks, as published.
        examples: an ``IterableDataset`` of the datasets library, of ``{"image": (C, S, S) uint8, "label": int}``; made
            for ``torch.utils.data.DataLoader``, whose workers share the files of the rank, so that no more of them work
            than it has files.
    """

    name: str
    description: str
    classes: tuple[str, ...]
    size: int
    count: int
    examples: Any

    def set_epoch(self, epoch: int) -> None:
        """Shuffle the next pass by another seed; call it with the same number on every rank."""
        self.examples.set_epoch(epoch)


@dataclass(frozen=True)
class CentralCut:
    """Cut as published for tests: the square in the middle.

    Args:
        share: its side, as a share of the shorter side.
    """

    share: float = 224 / 256

    def __call__(self, width: int, height: int) -> Box:
        """Return the part of an image of this size that is used."""
        return central_box(width, height, self.share)


@dataclass(frozen=True)
class RandomCut:
    """Cut as published for training on ImageNet: a random part, by the random numbers of torch.

    Args:
        area: the range of its area, as a share.
        aspect: the range of its width over its height.
    """

    area: tuple[float, float] = (0.1, 1.0)
    aspect: tuple[float, float] = (0.8, 1.25)

    def __call__(self, width: int, height: int) -> Box:
        """Return the part of an image of this size that is used."""
        return random_box(width, height, self.area, self.aspect)


@dataclass(frozen=True)
class Prepared:
    """Turn a stored row into an image and its label; a value, so that it travels to the workers of a loader."""

    source: Source
    cut: Cut
    size: int

    def __call__(self, row: dict[str, Any]) -> dict[str, Tensor | int]:
        """Return ``{"image": (C, size, size) uint8, "label": int}``."""
        image = decoded(row[self.source.image], "L" if self.source.gray else "RGB")
        pixels = square(image, self.cut(*image.size), self.size)
        return {"image": torch.tensor(pixels), "label": row[self.source.label]}


def stream(
    name: str,
    split: Split,
    cut: Cut,
    *,
    size: int | None = None,
    rank: int = 0,
    world: int = 1,
    seed: int | None = None,
    buffer: int = BUFFER,
) -> Stream:
    """Return a part of a published data set as a stream.

    Every image goes to one rank. Where the number of files is a multiple of the number of ranks, each rank reads files
    of its own; otherwise each reads all and keeps every ``world``-th image. The ranks may differ by some images, so
    count steps rather than images where they must keep pace.

    Args:
        name: a name in ``SOURCES``.
        split: ``train`` or ``test``.
        cut: which part of an image is used, such as ``RandomCut()``.
        size: the side to which that part is resized; None takes that of the source.
        rank: of this process.
        world: the number of ranks.
        seed: of the order, the same on all ranks: files are shuffled, and images within a buffer. None keeps the order.
        buffer: images in the buffer.

    Raises:
        EquiconvError: if the name is unknown, the source is not there or has no test images, or the rank is not below
            the number of ranks.
    """
    source = SOURCES.get(name)
    if source is None:
        raise EquiconvError(f"a stream is of one of {', '.join(SOURCES)}; got {name!r}")
    if split not in source.splits:
        raise EquiconvError(f"{source.title} has no part {split!r}; it has {' and '.join(source.splits)}")
    if not 0 <= rank < world:
        raise EquiconvError(f"rank is from 0 to world - 1; got rank {rank} with world {world}")
    from datasets.distributed import split_dataset_by_node  # type: ignore[import-untyped]

    place, side = locate(source), size or source.size
    examples: Any = opened(place, split, stream=True)
    if seed is not None:
        examples = examples.shuffle(seed=seed, buffer_size=buffer)
    examples = split_dataset_by_node(examples, rank=rank, world_size=world)
    examples = examples.map(Prepared(source, cut, side), remove_columns=[source.image, source.label])
    description = f"{source.title}, {split}, streamed from {place.origin}; {side}x{side} pixels."
    count = source.counts[source.splits.index(split)]
    return Stream(name, description, class_names(place, stream=True), side, count, examples)
