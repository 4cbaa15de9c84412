"""Data sets: images and labels, split once and for all into training and test."""

from pathlib import Path

from benchmarks.data.dataset import Dataset
from benchmarks.data.digits import load_digits
from benchmarks.data.folder import load_folder
from equiconv import EquiconvError

__all__ = ["Dataset", "load"]

DIGITS = "digits"
SMALLEST = 14  # four 3x3 convolutions and a 2x2 pooling leave one pixel


def load(name: str, size: int | None = None) -> Dataset:
    """Return a data set.

    Args:
        name: ``digits``, or a folder of images with one subfolder for each class.
        size: the side of the square images in pixels, even; None takes 16 for the digits and 32 for a folder.

    Raises:
        EquiconvError: if the size is odd or too small, or the images cannot be read.
    """
    if size is not None and (size < SMALLEST or size % 2):
        raise EquiconvError(f"--size is an even number of pixels, at least {SMALLEST}; got {size}")
    if name == DIGITS:
        return load_digits(size or 16)
    if Path(name).is_dir():
        return load_folder(Path(name), size or 32)
    raise EquiconvError(f'--dataset is "{DIGITS}" or a folder with one subfolder of images a class; got {name!r}')
