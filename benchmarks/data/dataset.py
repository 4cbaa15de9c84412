"""What a data set is, and how it is split."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.data.batch import Pixels
from equiconv import EquiconvError

__all__ = ["SPLIT_SEED", "Dataset", "stratified", "stratified_count"]

SPLIT_SEED = 2024  # of every split and every draw of colors: the same for all groups and seeds


@dataclass(frozen=True)
class Dataset:
    """Hold images ``(N, C, S, S)`` and labels ``(N,)``, for training and for the test.

    The images are gray or RGB, uint8 or float32 in [0, 1]; ``float_batch`` makes of either what a network sees.

    Args:
        name: a short name.
        description: what must be said beside every number: how the images were made, from what, by which seed.
        classes: the names of the classes; a label is an index into them.
    """

    name: str
    description: str
    classes: tuple[str, ...]
    train_images: Pixels
    train_labels: NDArray[np.int64]
    test_images: Pixels
    test_labels: NDArray[np.int64]

    @property
    def size(self) -> int:
        """The side of the images, in pixels."""
        return self.train_images.shape[-1]

    @property
    def channels(self) -> int:
        """The channels of the images: 1 or 3."""
        return self.train_images.shape[1]

    def limited(self, train: int, test: int) -> "Dataset":
        """Return the data set with about so many training and test images at most, the same share of each class."""
        kept, tested = _sample(self.train_labels, train), _sample(self.test_labels, test)
        return replace(
            self,
            train_images=self.train_images[kept],
            train_labels=self.train_labels[kept],
            test_images=self.test_images[tested],
            test_labels=self.test_labels[tested],
        )

    def validation(self, part: float, seed: int = SPLIT_SEED) -> "Dataset":
        """Return the training images alone, a part of each class split off as the test; for every choice.

        The test images of this data set are not in what comes back, so that nothing can be chosen by them.

        Args:
            part: the share of the training images in (0, 1), or how many, an int. Each class gives in proportion, at
                least one and at most all but one; a class of one image gives none.
            seed: of the split.

        Raises:
            EquiconvError: if the part is nothing or everything.
        """
        labels = self.train_labels
        count = part if isinstance(part, int) else round(part * len(labels))
        if not 0 < count < len(labels):
            raise EquiconvError(
                f"a validation part is a share between 0 and 1, or a count below {len(labels)}; got {part}"
            )
        kept, held = stratified_count(labels, count, seed)
        return replace(
            self,
            description=f"{self.description} Of the {len(labels):,} training images {len(held):,} are held out for "
            f"validation (stratified, seed {seed}); the test images are not used.",
            train_images=self.train_images[kept],
            train_labels=labels[kept],
            test_images=self.train_images[held],
            test_labels=labels[held],
        )

    def resized(self, size: int) -> "Dataset":
        """Return the data set with images of another size, by bilinear interpolation, antialiased."""
        if size == self.size:
            return self
        return replace(
            self,
            description=f"{self.description} Resized from {self.size}x{self.size} to {size}x{size} pixels.",
            train_images=_resized(self.train_images, size),
            test_images=_resized(self.test_images, size),
        )

    def describe(self) -> dict[str, Any]:
        """Return what a reader of the results needs to know; fit for JSON."""
        return {
            "name": self.name,
            "description": self.description,
            "classes": list(self.classes),
            "size": self.size,
            "train": len(self.train_labels),
            "train_by_class": np.bincount(self.train_labels, minlength=len(self.classes)).tolist(),
            "test": len(self.test_labels),
            "guessing_error": 1 - int(np.bincount(self.test_labels).max()) / len(self.test_labels),
            "fingerprint": self.fingerprint(),
        }

    def fingerprint(self) -> str:
        """Return a hash of all that training and test see."""
        digest = hashlib.sha256(repr((self.classes, self.train_images.shape, self.test_images.shape)).encode())
        for array in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def stratified(labels: NDArray[np.int64], share: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split indices so that every class gives the same share to the second part, by a fixed seed.

    Args:
        labels: the class of each item.
        share: the share of the second part; every class with two items or more gives at least one, and keeps one.

    Returns:
        The indices of both parts, in rising order.
    """
    generator = np.random.default_rng(SPLIT_SEED)
    first, second = [], []
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        cut = min(max(round(share * len(members)), 1), max(len(members) - 1, 1))
        second.append(members[:cut])
        first.append(members[cut:])
    return np.sort(np.concatenate(first)), np.sort(np.concatenate(second))


def stratified_count(labels: NDArray[np.int64], count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split indices so that the second part has ``count`` items, of each class in proportion.

    A class of two items or more gives at least one and keeps one, even where this makes more or fewer than ``count``.

    Returns:
        The indices of both parts, in rising order.
    """
    names, sizes = np.unique(labels, return_counts=True)
    exact = sizes * count / len(labels)
    most = sizes - 1
    quota = np.clip(np.floor(exact).astype(np.int64), np.minimum(1, most), most)
    for index in np.argsort(quota - exact, kind="stable"):  # what was rounded down most comes first
        quota[index] += quota.sum() < count and quota[index] < most[index]
    generator = np.random.default_rng(seed)
    held = np.zeros(len(labels), bool)
    for name, taken in zip(names, quota, strict=True):
        held[generator.permutation(np.flatnonzero(labels == name))[:taken]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def _resized(images: Pixels, size: int) -> Pixels:
    made = np.empty((*images.shape[:2], size, size), images.dtype)
    for index in np.ndindex(images.shape[:2]):
        plane = Image.fromarray(images[index])  # gray: uint8 or float32
        made[index] = np.asarray(plane.resize((size, size), Image.Resampling.BILINEAR))
    return made


def _sample(labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return np.arange(len(labels)) if count >= len(labels) else stratified(labels, count / len(labels))[1]
