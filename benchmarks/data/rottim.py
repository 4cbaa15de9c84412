"""Rotated photographs, made from Tiny ImageNet: Rot-TIM, and R2-TIM with mirror images.

Source: N. Khetan et al., "Implicit Equivariance in Convolutional Networks", 2021. The published images are not to be
had and were not counted; what is said of them is kept: 100 classes, uniform angles, some images mirrored, masked.
"""

import numpy as np
from numpy.typing import NDArray

from benchmarks.data.batch import Pixels
from benchmarks.data.cache import Arrays
from benchmarks.data.dataset import Dataset
from benchmarks.data.made import dataset
from benchmarks.data.turn import disk, turned

__all__ = ["KINDS", "load_rottim", "make"]

CLASSES = 100
SEED = 0
VERSION = 1  # of what ``make`` does
KINDS = {"rot-tim": "turned", "r2-tim": "mirrored with probability 1/2, then turned"}


def load_rottim(kind: str, seed: int = SEED) -> Dataset:
    """Return rotated photographs: the first 100 classes of Tiny ImageNet, its validation images for the test.

    Args:
        kind: ``rot-tim`` or ``r2-tim``.
        seed: of the draw.

    Raises:
        EquiconvError: if Tiny ImageNet is not there.
    """
    return dataset(
        kind,
        "tiny-imagenet",
        (kind, seed, VERSION),
        lambda photographs: make(photographs, kind, seed),
        description=f"The first {CLASSES} classes of Tiny ImageNet, its validation images for the test; each image "
        f"{KINDS[kind]} by an angle of its own, uniform in [0, 360) degrees (bilinear), and black outside the disk "
        f"that fits in. Made by the seed {seed}; the published images differ.",
        classes=CLASSES,
    )


def make(photographs: Dataset, kind: str, seed: int, classes: int = CLASSES) -> Arrays:
    """Make rotated photographs of the first classes; outside the disk all are black, so that no corner tells the angle.

    Args:
        photographs: Tiny ImageNet.
        kind: one of ``KINDS``.
        seed: of angles and mirroring; training and test have streams of their own.
        classes: how many classes to keep.
    """
    train, test = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(2))
    parts: Arrays = {}
    for part, images, labels, generator in (
        ("train", photographs.train_images, photographs.train_labels, train),
        ("test", photographs.test_images, photographs.test_labels, test),
    ):
        kept = labels < classes
        pixels, degrees = _moved(images[kept], kind, generator)
        parts |= {f"{part}_images": pixels, f"{part}_labels": labels[kept], f"{part}_degrees": degrees}
    return parts


def _moved(images: Pixels, kind: str, generator: np.random.Generator) -> tuple[NDArray, NDArray[np.float64]]:
    degrees = generator.uniform(0, 360, len(images))
    mirrored = generator.random(len(images)) < (0.5 if kind == "r2-tim" else 0)
    flipped = np.where(mirrored[:, None, None, None], images[..., ::-1], images)
    return turned(flipped, degrees) * disk(images.shape[-1]), degrees
