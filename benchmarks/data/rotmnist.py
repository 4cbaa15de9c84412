"""Rotated digits, made from MNIST by a seed; or the published files, if one has them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.data.amat import TEST_FILE, TRAIN_FILE, read_amat
from benchmarks.data.cache import Arrays, cached, file_digest
from benchmarks.data.dataset import Dataset
from benchmarks.data.made import dataset, from_arrays
from benchmarks.data.sources import data_folder
from benchmarks.data.turn import turned
from equiconv import EquiconvError

__all__ = ["KINDS", "load_rotmnist", "make", "published_files"]

TRAIN, TEST = 12000, 50000
SEED = 0
VERSION = 1  # of what ``make`` does
TURNED = "turned by an angle of its own, uniform in [0, 360) degrees (bilinear, black outside)"
KINDS = {
    "rotmnist": f"each {TURNED}",
    "mnist12k": "upright",
    "fliprotmnist": f"the training images mirrored with probability 1/2, then each {TURNED}; the test holds every "
    "digit twice, turned and the mirror image of that",
}
# Of what ``make`` gives from the published MNIST with the seed 0.
CHECKSUMS = {
    "rotmnist": "11f5ec8d48a8135381b66508d6c912ba9478d13f99157058237a22e1579903c2",
    "mnist12k": "0bf33adb27f9e96bec470624f91945d7a013cca113695b5417e905afe44308c0",
    "fliprotmnist": "60ca8b63a07e0fe3499cd1b0bf65d89ec8c54c34e4dcf0f5104cf051706681e0",
}


def load_rotmnist(kind: str = "rotmnist", seed: int = SEED) -> Dataset:
    """Return rotated digits: 12,000 for training and 50,000 for the test.

    The published files, ``EQUICONV_DATA/rotmnist/*.amat``, are taken for ``rotmnist`` and the seed 0 if they are
    there. Otherwise the images are made from MNIST as ``make`` says, kept, and checked whenever they are read.

    Args:
        kind: ``rotmnist``; ``mnist12k``, the same digits upright; or ``fliprotmnist``, with mirror images.
        seed: of the draw.

    Raises:
        EquiconvError: if there is neither MNIST nor the published files, or a checksum is wrong.
    """
    files = published_files()
    if kind == "rotmnist" and seed == SEED and files:
        return _published(files)
    description = (
        f"Digits of MNIST: {TRAIN:,} drawn from its training images for training, and {TEST:,} for the test from the "
        f"other training images and its test images together; {KINDS[kind]}. Made by the seed {seed}: not the images "
        "of the published files."
    )
    return dataset(
        kind,
        "mnist",
        (kind, seed, VERSION),
        lambda mnist: make(mnist, kind, seed),
        description=description,
        classes=10,
        checksum=CHECKSUMS[kind] if seed == SEED else None,
    )


def published_files() -> tuple[Path, Path] | None:
    """Return the published files for training and test; None if the user has none.

    Raises:
        EquiconvError: if the user has one without the other.
    """
    folder = (data_folder() or Path()) / "rotmnist"
    train, test = folder / TRAIN_FILE, folder / TEST_FILE
    there = [path for path in (train, test) if data_folder() and path.is_file()]
    if len(there) == 1:
        raise EquiconvError(
            f"{folder}: expected {TRAIN_FILE} and {TEST_FILE}; got {there[0].name} alone: put the other there, or "
            "remove it to have the images made from MNIST"
        )
    return (train, test) if there else None


def make(mnist: Dataset, kind: str, seed: int, train: int = TRAIN, test: int = TEST) -> Arrays:
    """Make rotated digits.

    The training images are the first ``train`` of a random permutation of MNIST's training images; the test images are
    the first ``test`` of a random permutation of the other training images, followed by MNIST's test images. Neither
    is stratified, as in the published data. So no digit is in both, and the first n training images are a random
    sample. The angles are uniform; the seed's streams for training, test, angles and mirroring are independent.

    The published images of ``fliprotmnist`` mirrored only two of the training images, by a slip; here it is each with
    probability 1/2, as was meant.

    Args:
        mnist: the digits.
        kind: one of ``KINDS``.
        seed: of the draw.
        train: how many for training.
        test: how many for the test.

    Returns:
        The images and labels of both parts, and the angles in degrees, counter-clockwise.

    Raises:
        EquiconvError: if there are fewer digits.
    """
    if len(mnist.train_labels) < train or len(mnist.train_labels) + len(mnist.test_labels) < train + test:
        raise EquiconvError(f"{kind} needs {train + test:,} digits of MNIST; got fewer: {mnist.description}")
    draw, redraw, angle, mirror = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(4))
    order = draw.permutation(len(mnist.train_labels))
    rest = np.sort(order[train:])
    images = np.concatenate([mnist.train_images[rest], mnist.test_images])
    labels = np.concatenate([mnist.train_labels[rest], mnist.test_labels])
    chosen = redraw.permutation(len(labels))[:test]
    pixels = np.concatenate([mnist.train_images[order[:train]], images[chosen]])
    degrees = angle.uniform(0, 360, len(pixels)) * (kind != "mnist12k")
    if kind == "fliprotmnist":
        pixels[:train] = _mirrored(pixels[:train], mirror.random(train) < 0.5)
    pixels = turned(pixels, degrees) if degrees.any() else pixels
    made = {
        "train_images": pixels[:train],
        "train_labels": mnist.train_labels[order[:train]],
        "train_degrees": degrees[:train],
        "test_images": pixels[train:],
        "test_labels": labels[chosen],
        "test_degrees": degrees[train:],
    }
    return _with_mirror_images(made) if kind == "fliprotmnist" else made


def _mirrored(images: NDArray[np.uint8], which: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.where(which[:, None, None, None], images[..., ::-1], images)


def _with_mirror_images(made: Arrays) -> Arrays:
    """Append the mirror images of the test images."""
    images = made["test_images"]
    doubled = {name: np.concatenate([made[name]] * 2) for name in ("test_labels", "test_degrees")}
    return {**made, **doubled, "test_images": np.concatenate([images, images[..., ::-1]])}


def _published(files: tuple[Path, Path]) -> Dataset:
    def read() -> Arrays:
        (images, labels), (test_images, test_labels) = (
            read_amat(path, count) for path, count in zip(files, (TRAIN, TEST), strict=True)
        )
        return {
            "train_images": images,
            "train_labels": labels,
            "test_images": test_images,
            "test_labels": test_labels,
        }

    arrays = cached("rotmnist-amat", file_digest(*files), read)
    description = f"The published rotated MNIST: {TRAIN:,} + {TEST:,} images, from its .amat files."
    return from_arrays("rotmnist", description, tuple(map(str, range(10))), arrays)
