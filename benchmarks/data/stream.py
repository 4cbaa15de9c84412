"""Data that are too large for the memory: read piece by piece, shuffled, and shared by ranks and workers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.data import dali
from benchmarks.data.images import Box, central_box, content, decoded, random_box, sizes, square
from benchmarks.data.published import class_names
from benchmarks.data.sources import SOURCES, Source, Split, locate, opened
from equiconv import EquiconvError

__all__ = ["BUFFER", "DECODERS", "CentralCut", "Cut", "RandomCut", "Stream", "batches", "pick_decoder", "stream"]

Cut = Callable[[int, int], Box]  # from width and height to the part of the image that is used
BUFFER = 10000
DECODERS = ("pil", "dali")


@dataclass(frozen=True)
class Stream:
    """Hold a part of a data set that is read anew in every pass.

    Args:
        name: of the source.
        description: what must be said beside every number.
        classes: the names of the classes.
        size: the side of the images.
        count: the images that the source has over all ranks: those of the files, or on the hub as published.
        examples: an ``IterableDataset`` of the datasets library, of ``{"image": (C, S, S) uint8, "label": int}``, or,
            for DALI, of encoded images and the parts of them to use; made for ``torch.utils.data.DataLoader``, whose
            workers share the files of the rank, so that no more of them work than it has files.
        decoder: what decodes the images, one of ``DECODERS``.
        gray: whether its images have one channel.
    """

    name: str
    description: str
    classes: tuple[str, ...]
    size: int
    count: int
    examples: Any
    decoder: str = "pil"
    gray: bool = False

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


@dataclass(frozen=True)
class Encoded:
    """Keep a stored row as it is, and say which part of its image is used; a value, as ``Prepared``."""

    source: Source
    cut: Cut

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return ``{"encoded": bytes, "box": left, top, right, bottom, "label": int}``."""
        stored = row[self.source.image]
        return {"encoded": content(stored), "box": self.cut(*sizes(stored)), "label": row[self.source.label]}


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
    decoder: str = "pil",
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
        decoder: ``"pil"`` decodes in the processes that read; ``"dali"`` leaves it to ``batches``.

    Raises:
        EquiconvError: if the name or the decoder is unknown, the source is not there or has no test images, or the rank
            is not below the number of ranks.
    """
    source = SOURCES.get(name)
    if source is None:
        raise EquiconvError(f"a stream is of one of {', '.join(SOURCES)}; got {name!r}")
    if split not in source.splits:
        raise EquiconvError(f"{source.title} has no part {split!r}; it has {' and '.join(source.splits)}")
    if not 0 <= rank < world:
        raise EquiconvError(f"rank is from 0 to world - 1; got rank {rank} with world {world}")
    if decoder not in DECODERS:
        raise EquiconvError(f"a decoder is one of {', '.join(DECODERS)}; got {decoder!r}")
    from datasets.distributed import split_dataset_by_node  # type: ignore[import-untyped]

    place, side = locate(source), size or source.size
    examples: Any = opened(place, split, stream=True)
    if seed is not None:
        examples = examples.shuffle(seed=seed, buffer_size=buffer)
    examples = split_dataset_by_node(examples, rank=rank, world_size=world)
    prepare = Prepared(source, cut, side) if decoder == "pil" else Encoded(source, cut)
    examples = examples.map(prepare, remove_columns=[source.image, source.label])
    description = f"{source.title}, {split}, streamed from {place.origin}; {side}x{side} pixels."
    classes, count = class_names(place, stream=True), place.count(split)
    return Stream(name, description, classes, side, count, examples, decoder, source.gray)


def pick_decoder(name: str, accelerator: str) -> str:
    """Return what decodes the images of a stream, one of ``DECODERS``.

    Args:
        name: one of them, or ``"auto"``: DALI where it is installed and networks are trained on a GPU.
        accelerator: what they are trained on: ``"cpu"``, ``"cuda"``, or ``"auto"``, a GPU if there is one.

    Raises:
        EquiconvError: if DALI is asked for, and not installed.
    """
    if name == "dali":
        dali.check()
    if name != "auto":
        return name
    on_gpu = accelerator == "cuda" or (accelerator == "auto" and torch.cuda.is_available())
    return "dali" if on_gpu and dali.is_installed() else "pil"


def batches(part: Stream, size: int, *, workers: int = 0, seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield images ``(B, C, S, S)``, uint8, and labels of one pass over a stream.

    Args:
        part: the stream.
        size: images of a batch; the last ones may be of fewer.
        workers: processes that read; with 0 this one does.
        seed: of the random numbers of the cuts.

    Raises:
        RuntimeError: if an image cannot be decoded: only one of several processes meets it, and it ends all of them.
    """
    generator = torch.Generator().manual_seed(seed)  # of the seeds of the workers
    collate = list if part.decoder == "dali" else None
    loader = DataLoader(part.examples, size, num_workers=workers, generator=generator, collate_fn=collate)
    try:
        if part.decoder == "dali":
            yield from dali.decoded(loader, size, part.size, gray=part.gray)
        else:
            yield from ((batch["image"], batch["label"]) for batch in loader)
    except EquiconvError as error:
        raise RuntimeError(str(error)) from None
