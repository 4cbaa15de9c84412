"""Data that are too large for the memory: read piece by piece, shuffled, and shared by ranks and workers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from benchmarks.data.images import Box, central_box, decoded, random_box, square
from benchmarks.data.published import class_names
from benchmarks.data.sources import SOURCES, Split, locate, opened
from equiconv import EquiconvError

__all__ = ["Cut", "Stream", "central_cut", "random_cut", "stream"]

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


def central_cut(share: float = 224 / 256) -> Cut:
    """Return the published cut for tests: the square in the middle, a share of the shorter side."""
    return lambda width, height: central_box(width, height, share)


def random_cut(area: tuple[float, float] = (0.1, 1.0), aspect: tuple[float, float] = (0.8, 1.25)) -> Cut:
    """Return the published cut for training on ImageNet: a random part, by the random numbers of torch."""
    return lambda width, height: random_box(width, height, area, aspect)


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
        cut: which part of an image is used, such as ``random_cut()``.
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
    mode = "L" if source.gray else "RGB"

    def prepared(row: dict[str, Any]) -> dict[str, Tensor | int]:
        image: Image.Image = decoded(row[source.image], mode)
        return {"image": torch.tensor(square(image, cut(*image.size), side)), "label": row[source.label]}

    examples = examples.map(prepared, remove_columns=[source.image, source.label])
    description = f"{source.title}, {split}, streamed from {place.origin}; {side}x{side} pixels."
    count = source.counts[source.splits.index(split)]
    return Stream(name, description, class_names(place), side, count, examples)
