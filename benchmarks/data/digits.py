"""The handwritten digits that ship with scikit-learn, enlarged and colored."""

import numpy as np
from matplotlib.colors import hsv_to_rgb
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.data.dataset import SPLIT_SEED, Dataset, stratified

__all__ = ["color", "load_digits"]

TEST_SHARE = 0.25
HUE_SPREAD = 20  # degrees to both sides of red
SATURATION = (0.6, 1.0)
VALUE = (0.6, 1.0)


def load_digits(size: int) -> Dataset:
    """Return the 1,797 digits as reddish strokes on black, three quarters of them for training.

    Args:
        size: the side of the images; the 8x8 originals are enlarged bilinearly.
    """
    from sklearn import datasets  # here, because it is slow to import and the workers do without it

    source = datasets.load_digits()
    gray = np.clip(_enlarge(source.images / 16.0, size), 0, 1)
    images = color(gray, np.random.default_rng(SPLIT_SEED))
    labels = source.target.astype(np.int64)
    train, test = stratified(labels, TEST_SHARE)
    return Dataset(
        "digits",
        f"The 1,797 handwritten digits of scikit-learn (8x8 pixels, enlarged to {size}x{size}), drawn on black, each "
        f"in a color of its own from one family: hues within {HUE_SPREAD} degrees of red, saturation "
        f"{SATURATION[0]}-{SATURATION[1]}, value {VALUE[0]}-{VALUE[1]}.",
        tuple(map(str, source.target_names)),
        images[train],
        labels[train],
        images[test],
        labels[test],
    )


def _enlarge(images: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    scale = size / images.shape[-1]
    return ndimage.zoom(images, (1, scale, scale), order=1, grid_mode=True, mode="grid-constant")


def color(gray: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float32]:
    """Return gray images ``(N, S, S)`` as RGB images ``(N, 3, S, S)``, each in a random color of the family."""
    n = len(gray)
    hue = generator.uniform(-HUE_SPREAD, HUE_SPREAD, n) % 360 / 360
    rgb = hsv_to_rgb(np.stack([hue, generator.uniform(*SATURATION, n), generator.uniform(*VALUE, n)], -1))
    return (rgb[:, :, None, None] * gray[:, None]).astype(np.float32)
