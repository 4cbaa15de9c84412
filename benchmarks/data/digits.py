"""The handwritten digits that ship with scikit-learn, enlarged and colored."""

import numpy as np
from matplotlib.colors import hsv_to_rgb
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.data.dataset import SPLIT_SEED, Dataset, stratified

__all__ = ["DIGITS", "RECOLORED", "color", "load_digits"]

DIGITS, RECOLORED = "digits", "digits-recolored"

TEST_SHARE = 0.25
HUE_SPREAD = 20  # degrees to both sides of red
SATURATION = (0.6, 1.0)
VALUE = (0.6, 1.0)
WIDE = (180, (0.0, 1.0), (0.3, 1.0))  # hue, saturation and value of recolored ones


def load_digits(size: int, *, recolored: bool = False) -> Dataset:
    """Return the 1,797 digits as reddish strokes on black, three quarters of them for training.

    Args:
        size: the side of the images; the 8x8 originals are enlarged bilinearly.
        recolored: give those of the test any hue and saturation, pale and dark ones among them; those for training are
            the same.
    """
    from sklearn import datasets  # here, because it is slow to import and the workers do without it

    source = datasets.load_digits()
    gray = np.clip(_enlarge(source.images / 16.0, size), 0, 1)
    images = shown = color(gray, np.random.default_rng(SPLIT_SEED))
    labels = source.target.astype(np.int64)
    train, test = stratified(labels, TEST_SHARE)
    if recolored:
        shown = color(gray, np.random.default_rng(SPLIT_SEED), *WIDE)
    return Dataset(
        RECOLORED if recolored else DIGITS,
        f"The 1,797 handwritten digits of scikit-learn (8x8 pixels, enlarged to {size}x{size}), drawn on black, each "
        f"in a color of its own from one family: hues within {HUE_SPREAD} degrees of red, saturation "
        f"{SATURATION[0]}-{SATURATION[1]}, value {VALUE[0]}-{VALUE[1]}."
        + recolored
        * f" For the test any hue, saturation {WIDE[1][0]}-{WIDE[1][1]}, value {WIDE[2][0]}-{WIDE[2][1]}.",
        tuple(map(str, source.target_names)),
        images[train],
        labels[train],
        shown[test],
        labels[test],
    )


def _enlarge(images: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    scale = size / images.shape[-1]
    return ndimage.zoom(images, (1, scale, scale), order=1, grid_mode=True, mode="grid-constant")


def color(
    gray: NDArray[np.float64],
    generator: np.random.Generator,
    spread: float = HUE_SPREAD,
    saturation: tuple[float, float] = SATURATION,
    value: tuple[float, float] = VALUE,
) -> NDArray[np.float32]:
    """Return gray images ``(N, S, S)`` as RGB images ``(N, 3, S, S)``, each in a random color of the family.

    Args:
        gray: the strokes.
        generator: of the colors.
        spread: of the hue to both sides of red, in degrees.
        saturation: its range.
        value: the same.
    """
    n = len(gray)
    hue = generator.uniform(-spread, spread, n) % 360 / 360
    rgb = hsv_to_rgb(np.stack([hue, generator.uniform(*saturation, n), generator.uniform(*value, n)], -1))
    return (rgb[:, :, None, None] * gray[:, None]).astype(np.float32)
