"""Colored digits on gray noise, made from MNIST: long-tailed classes of digit and color, and hues biased by the class.

Sources: C. Lengyel et al., "Color Equivariant Convolutional Networks", NeurIPS 2023, sections 4.1 and 4.2.
"""

import numpy as np
from numpy.typing import NDArray

from benchmarks.data.batch import Pixels
from benchmarks.data.cache import Arrays
from benchmarks.data.dataset import Dataset
from benchmarks.data.made import dataset
from equiconv import EquiconvError

__all__ = ["biased", "check_deviation", "hue_colors", "load_biased", "load_longtailed", "longtailed", "tail_sizes"]

COLORS = ("red", "green", "blue")
CLASSES = tuple(f"{digit} {color}" for digit in range(10) for color in COLORS)
TEST_SIZE = 250  # of each class of the long-tailed data
LARGEST = 150
POWER = 0.3
NOISE = 0.1
LONGTAILED_GRAY, BIASED_GRAY = 0.33, 0.5
HUES = 180  # units of hue in a turn: one is 2 degrees
CHUNK = 4096
SEED = 0
VERSION = 1  # of what is made
# Of what ``longtailed`` gives from the published MNIST with the seed 0.
CHECKSUM = "b661191d91cf8278d9642a2c96382752278cdc4091ad35715c0396204372ee83"

Labels = NDArray[np.int64]


def load_longtailed(seed: int = SEED) -> Dataset:
    """Return the 30 classes of digit and color, most of them rare, on gray noise.

    Raises:
        EquiconvError: if MNIST is not there or is too small.
    """
    sizes = tail_sizes(seed)
    return dataset(
        "colormnist-longtailed",
        "mnist",
        ("longtailed", seed, VERSION),
        lambda mnist: longtailed(mnist, sizes, TEST_SIZE, seed),
        description="ColorMNIST, long-tailed: digits of MNIST in red, green or blue on gray noise, 30 classes. Made by "
        f"the seed {seed}; the published draw has none. Training images of the classes {', '.join(CLASSES[:4])}, ...: "
        f"{', '.join(map(str, sizes))}; {sum(sizes):,} in all. Test: {TEST_SIZE} of each class.",
        classes=CLASSES,
        checksum=CHECKSUM if seed == SEED else None,
    )


def load_biased(std: float, seed: int = SEED) -> Dataset:
    """Return digits whose hue varies about a hue of their class, on gray noise.

    Args:
        std: the standard deviation of the hue, in the published unit of 2 degrees; 1000000 is a uniform hue.
        seed: of the draw; hues and noise of two deviations are drawn from the same numbers.

    Raises:
        EquiconvError: if the deviation is negative, or MNIST is not there.
    """
    check_deviation(std)
    return dataset(
        f"colormnist-biased:{std:g}",
        "mnist",
        ("biased", std, seed, VERSION),
        lambda mnist: biased(mnist, std, seed),
        description="ColorMNIST, biased: digits of MNIST on gray noise, whose hue has the mean 36 degrees times the "
        f"digit and the standard deviation {std:g} units of 2 degrees, in training and test. Made by the seed {seed}.",
        classes=10,
    )


def check_deviation(std: float) -> None:
    """Raise EquiconvError unless a deviation of the hue is a number and at least 0."""
    if not 0 <= std < float("inf"):
        raise EquiconvError(f"the deviation of the hue is at least 0, in units of 2 degrees; got {std}")


def tail_sizes(seed: int) -> tuple[int, ...]:
    """Return the sizes of the 30 classes, in the order of ``CLASSES``: 150 u, u with the density 0.3 u^-0.7, up."""
    drawn = np.random.default_rng([seed, 30]).power(POWER, len(CLASSES))
    return tuple(int(size) for size in np.ceil(drawn * LARGEST))


def longtailed(mnist: Dataset, sizes: tuple[int, ...], test_size: int, seed: int) -> Arrays:
    """Make the long-tailed data.

    The three colors of a digit take different images of it, in the order of MNIST: red the first ones, then green,
    then blue. In the published script an offset was advanced by the size of another class, so that some images came
    in two colors and others were skipped.

    Args:
        mnist: the digits.
        sizes: training images of each class.
        test_size: test images of each class.
        seed: of the noise.
    """
    train, test = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(2))
    return {
        **_tail("train", mnist.train_images, mnist.train_labels, sizes, train),
        **_tail("test", mnist.test_images, mnist.test_labels, (test_size,) * len(CLASSES), test),
    }


def biased(mnist: Dataset, std: float, seed: int) -> Arrays:
    """Make the biased data: hue ``std * N(0, 1) + 18 * digit`` in units of 2 degrees, of a turn, cut to an integer.

    Args:
        mnist: the digits.
        std: in units of 2 degrees.
        seed: of hues and noise; training and test have streams of their own.
    """
    train, test = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(2))
    return {
        "train_images": _hued(mnist.train_images, mnist.train_labels, std, train),
        "train_labels": mnist.train_labels,
        "test_images": _hued(mnist.test_images, mnist.test_labels, std, test),
        "test_labels": mnist.test_labels,
    }


def hue_colors(hues: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the pure colors ``(N, 3)`` of hues in units of 2 degrees: 0 is red, 60 green, 120 blue."""
    distance = np.abs((hues[:, None] - np.array([0, 60, 120]) + HUES // 2) % HUES - HUES // 2)
    return np.clip(2 - distance / 30, 0, 1)


def _hued(images: Pixels, labels: Labels, std: float, generator: np.random.Generator) -> NDArray[np.uint8]:
    hues = (std * generator.standard_normal(len(labels)) + 18 * labels) % HUES
    return _blended(images, hue_colors(hues.astype(np.int64)), BIASED_GRAY, generator)


def _tail(part: str, images: Pixels, labels: Labels, sizes: tuple[int, ...], generator: np.random.Generator) -> Arrays:
    """Return the images and labels of a part, class by class."""
    chosen, made = [], np.repeat(np.arange(len(CLASSES)), sizes)
    for digit in range(10):
        wanted = sum(sizes[3 * digit : 3 * digit + 3])
        members = np.flatnonzero(labels == digit)
        if len(members) < wanted:
            raise EquiconvError(
                f"the {part} part needs {wanted} different images of the digit {digit}; MNIST, as found, has "
                f"{len(members)}: get it anew"
            )
        chosen.append(members[:wanted])
    colors = np.eye(3)[made % 3]
    blended = _blended(images[np.concatenate(chosen)], colors, LONGTAILED_GRAY, generator)
    return {f"{part}_images": blended, f"{part}_labels": made}


def _blended(
    images: Pixels, colors: NDArray[np.float64], gray: float, generator: np.random.Generator
) -> NDArray[np.uint8]:
    """Return gray images ``(N, 1, S, S)`` in colors ``(N, 3)``, over gray noise by their own brightness.

    So a pixel of brightness p is ``p * (p * color) + (1 - p) * noise``, as published, rounded to 1/255.
    """
    made = np.empty((len(images), 3, *images.shape[2:]), np.uint8)
    for start in range(0, len(images), CHUNK):
        part = slice(start, start + CHUNK)
        p = images[part] / 255
        noise = np.clip(gray + NOISE * generator.standard_normal(p.shape), 0, 1)
        made[part] = np.rint(255 * (p * p * colors[part, :, None, None] + (1 - p) * noise))
    return made
