"""Data sets that are made from others by a seed, and kept."""

from collections.abc import Callable

import numpy as np

from benchmarks.data.cache import Arrays, cached, digest
from benchmarks.data.dataset import Dataset
from benchmarks.data.published import is_exact, load_source
from benchmarks.data.sources import SOURCES, locate
from equiconv import EquiconvError

__all__ = ["dataset", "from_arrays"]

SAID, NAMES = "said", "classes"  # arrays beside those of the images: what the source says of itself, and its classes


def dataset(
    name: str,
    source: str,
    recipe: object,
    make: Callable[[Dataset], Arrays],
    *,
    description: str,
    classes: tuple[str, ...] | int,
    checksum: str | None = None,
) -> Dataset:
    """Return a data set that is made from another, from the cache if it was made before.

    Args:
        name: of the data set.
        source: the name of that which it is made of.
        recipe: what determines the images besides the source, such as the seed.
        make: makes the images and labels of both parts.
        description: how they are made; what the source says of itself is appended.
        classes: the names of the classes, or how many of the source's are used.
        checksum: what ``digest`` gives for the arrays, if the source has its official checksums.

    Raises:
        EquiconvError: if the source is not there, or what was made has another checksum.
    """
    place = locate(SOURCES[source])

    def made() -> Arrays:
        whole = load_source(SOURCES[source])
        arrays = make(whole)
        if checksum is not None and is_exact(SOURCES[source], whole):
            _check(name, digest(arrays), checksum)
        names = whole.classes[:classes] if isinstance(classes, int) else classes
        return {**arrays, NAMES: np.array(names), SAID: np.array(whole.description)}

    arrays = cached(name.replace(":", "-"), (recipe, place.identity()), made)
    return from_arrays(name, f"{description} Source: {arrays[SAID]}", tuple(map(str, arrays[NAMES])), arrays)


def from_arrays(name: str, description: str, classes: tuple[str, ...], arrays: Arrays) -> Dataset:
    """Return the data set of the arrays ``train_images``, ``train_labels``, ``test_images`` and ``test_labels``."""
    parts = (arrays[f"{part}_{what}"] for part in ("train", "test") for what in ("images", "labels"))
    return Dataset(name, description, classes, *parts)


def _check(name: str, got: str, expected: str) -> None:
    if got != expected:
        raise EquiconvError(
            f"{name}: expected the checksum {expected}, and made {got}: NumPy draws or rounds differently from the "
            "version by which the data are defined; use the versions in constraints.txt"
        )
