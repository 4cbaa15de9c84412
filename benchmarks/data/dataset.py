"""What a data set is, and how it is split."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["SPLIT_SEED", "Dataset", "stratified"]

SPLIT_SEED = 2024  # of every split and every draw of colors: the same for all groups and seeds


@dataclass(frozen=True)
class Dataset:
    """Hold images ``(N, 3, S, S)`` with values in [0, 1], and labels ``(N,)``, for training and for the test.

    Args:
        name: a short name.
        description: one or two sentences for the report.
        classes: the names of the classes; a label is an index into them.
    """

    name: str
    description: str
    classes: tuple[str, ...]
    train_images: NDArray[np.float32]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.float32]
    test_labels: NDArray[np.int64]

    @property
    def size(self) -> int:
        """The side of the images, in pixels."""
        return self.train_images.shape[-1]

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

    def describe(self) -> dict[str, object]:
        """Return what a reader of the results needs to know; fit for JSON."""
        return {
            "name": self.name,
            "description": self.description,
            "classes": list(self.classes),
            "size": self.size,
            "train": len(self.train_labels),
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


def _sample(labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return np.arange(len(labels)) if count >= len(labels) else stratified(labels, count / len(labels))[1]
