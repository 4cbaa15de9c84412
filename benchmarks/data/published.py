"""Load published data sets into memory."""

import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.data.batch import Pixels
from benchmarks.data.dataset import SPLIT_SEED, Dataset, stratified
from benchmarks.data.images import central_box, decoded, is_jpeg, square
from benchmarks.data.sources import Place, Source, Split, locate, opened
from equiconv import EquiconvError

__all__ = ["check_memory", "class_names", "is_exact", "load_source", "provenance"]

BATCH = 256  # images that one thread decodes at once
HELD_OUT = 0.33  # where no test images are published
MEMORY_SHARE = 0.8


@dataclass(frozen=True)
class Part:
    """Hold the images of a part, and whether some of them were JPEGs."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    jpeg: bool


def load_source(source: Source, size: int | None = None) -> Dataset:
    """Return a published data set in memory, as uint8.

    Images of other sizes become squares: the shorter side is resized, and the middle is kept. Where the published
    data have no test images, a third of each class is held out, by a fixed seed.

    Args:
        source: which one.
        size: the side of the images; None takes that of the source.

    Raises:
        EquiconvError: if it is not there, is too large for the memory, or does not have the labels it should have.
    """
    side = size or source.size
    check_memory(source, side)
    place = locate(source)
    classes = class_names(place, stream=False)
    parts = {split: _read(place, split, side) for split in source.splits}
    jpeg = any(part.jpeg for part in parts.values())
    exact = _exact(source, *(part.images for part in parts.values()))
    if source.left_out:
        classes, parts = _without(source.left_out, classes, parts)
    train, test = parts["train"], parts.get("test")
    description = provenance(source, place, _counts(parts), jpeg=jpeg, exact=exact)
    if test is None:
        kept, held = stratified(train.labels, HELD_OUT)
        test, train = _take(train, held), _take(train, kept)
        description += f" {HELD_OUT:.0%} of each class are held out for the test (seed {SPLIT_SEED})."
    if side != source.size or source.size not in (28, 32):
        description += f" {side}x{side} pixels: the shorter side resized, the middle kept."
    return Dataset(source.name, description, classes, train.images, train.labels, test.images, test.labels)


def provenance(source: Source, place: Place, counts: tuple[int, ...], *, jpeg: bool, exact: bool | None) -> str:
    """Return what must be said beside every number from a source.

    Args:
        source: which one.
        place: where it was found.
        counts: of the images that were found.
        jpeg: whether images were stored as JPEG.
        exact: whether the decoded images have the official checksums; None if there are none.
    """
    said = [f"{source.title}, from {place.origin}."]
    official = source.counts[: len(counts)]
    if counts != official:
        had, expected = (" + ".join(f"{n:,}" for n in numbers) for numbers in (counts, official))
        said.append(f"NOT COMPLETE: {had} of {expected} images.")
    if source.lossless and jpeg:
        said.append("RE-ENCODED as JPEG, so not the published pixels.")
    if exact is not None:
        said.append("Bit-exact (official checksums)." if exact else "NOT the published pixels: the checksums differ.")
    return " ".join(said)


def check_memory(source: Source, size: int) -> None:
    """Raise if a source cannot be held in memory, before anything is read.

    Raises:
        EquiconvError: with what it would take, and what to do.
    """
    if source.streamed:
        raise EquiconvError(f"{source.title} is too large to be loaded: read it by benchmarks.data.stream")
    needed = sum(source.counts) * (1 if source.gray else 3) * size**2
    available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > MEMORY_SHARE * available:
        raise EquiconvError(
            f"{source.title} at {size}x{size} pixels takes {needed / 2**30:.1f} GiB of memory, and this machine has "
            f"{available / 2**30:.1f}: choose a smaller size, or read it by benchmarks.data.stream"
        )


def is_exact(source: Source, data: Dataset) -> bool:
    """Say whether the images of a source, as loaded, have the official checksums."""
    return _exact(source, data.train_images, data.test_images) is True


def class_names(place: Place, *, stream: bool) -> tuple[str, ...]:
    """Return the names of the classes of a source, from what is stored with its labels.

    Args:
        place: where the source is.
        stream: whether the hub is read piece by piece.

    Raises:
        EquiconvError: if no names are stored.
    """
    features = opened(place, "train", stream=stream).features or {}
    names = getattr(features.get(place.source.label), "names", None)
    if not names:
        raise EquiconvError(
            f"{place.source.title}: expected the names of the classes with the column {place.source.label} (the type "
            f"ClassLabel of the datasets library); got {features.get(place.source.label)}: write the files with it"
        )
    return tuple(names)


def _read(place: Place, split: Split, size: int) -> Part:
    source = place.source
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    jpeg = False

    def read(batch: dict[str, Any]) -> NDArray[np.uint8]:
        found = (decoded(stored, "L" if source.gray else "RGB") for stored in batch[source.image])
        return np.stack([square(image, central_box(*image.size), size) for image in found])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for batches in _grouped(opened(place, split, stream=False).iter(BATCH), os.cpu_count() or 1):
            images.extend(pool.map(read, batches))
            jpeg = jpeg or any(is_jpeg(stored) for batch in batches for stored in batch[source.image])
            labels.extend(label for batch in batches for label in batch[source.label])
    if not labels or min(labels) < 0:
        got = f"the label {min(labels)}" if labels else "none"
        raise EquiconvError(f"{source.title}, {split}: expected labeled images; got {got}: get the files anew")
    return Part(_joined(images), np.asarray(labels, np.int64), jpeg)


def _joined(parts: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Concatenate arrays and free each as soon as it is copied, so that no memory is needed twice."""
    made = np.empty((sum(map(len, parts)), *parts[0].shape[1:]), np.uint8)
    end = len(made)
    while parts:
        part = parts.pop()
        made[end - len(part) : end] = part
        end -= len(part)
    return made


def _grouped(items: Iterable[Any], count: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while group := list(itertools.islice(iterator, count)):
        yield group


def _counts(parts: dict[Split, Part]) -> tuple[int, ...]:
    return tuple(len(part.labels) for part in parts.values())


def _exact(source: Source, *parts: Pixels) -> bool | None:
    """Return whether the images are the published ones; None if no checksums are known."""
    if source.md5 is None:
        return None
    return all(_idx_md5(images[:, 0]) == md5 for images, md5 in zip(parts, source.md5, strict=True))


def _idx_md5(images: Pixels) -> str:
    """Return the MD5 that gray images ``(N, S, S)`` have in the IDX format, in which MNIST is published."""
    head = bytes((0, 0, 8, 3)) + np.array(images.shape, ">i4").tobytes()
    return hashlib.md5(head + images.tobytes(), usedforsecurity=False).hexdigest()


def _take(part: Part, indices: NDArray[np.int64]) -> Part:
    return Part(part.images[indices], part.labels[indices], part.jpeg)


def _without(
    name: str, classes: tuple[str, ...], parts: dict[Split, Part]
) -> tuple[tuple[str, ...], dict[Split, Part]]:
    """Leave out a class, if it is there."""
    lowered = [one.lower() for one in classes]
    if name not in lowered:
        return classes, parts
    index = lowered.index(name)
    kept = {split: _take(part, np.flatnonzero(part.labels != index)) for split, part in parts.items()}
    moved = {s: Part(p.images, p.labels - (p.labels > index), p.jpeg) for s, p in kept.items()}
    return classes[:index] + classes[index + 1 :], moved
