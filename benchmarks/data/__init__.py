"""Data sets: images and labels, split once and for all into training and test."""

from collections.abc import Callable
from pathlib import Path

from benchmarks.data import colormnist, rotmnist, rottim
from benchmarks.data.batch import float_batch
from benchmarks.data.dataset import Dataset
from benchmarks.data.digits import DIGITS, RECOLORED, load_digits
from benchmarks.data.folder import load_folder
from benchmarks.data.published import check_memory, load_source
from benchmarks.data.sources import SOURCES, locate
from equiconv import EquiconvError

__all__ = ["Dataset", "check", "float_batch", "load", "names"]

DRAWN = (DIGITS, RECOLORED)
SMALLEST = 14  # four 3x3 convolutions and a 2x2 pooling leave one pixel
LONGTAILED, BIASED = "colormnist-longtailed", "colormnist-biased:"


def load(name: str, size: int | None = None) -> Dataset:
    """Return a data set.

    Args:
        name: ``digits`` or ``digits-recolored``; the name of a published data set, or of one made from it (``names()``
            lists them); or a folder of images with one subfolder for each class.
        size: the side of the square images in pixels, for digits and folders even; None takes 16 for the digits, 32 for
            a folder, and otherwise the size that the data have.

    Raises:
        EquiconvError: if the size is odd or too small, the name is unknown, or the images are not there or cannot be
            read.
    """
    if size is not None and (size < SMALLEST or (size % 2 and (name in DRAWN or Path(name).is_dir()))):
        raise EquiconvError(f"--size is an even number of pixels, at least {SMALLEST}; got {size}")
    if name in DRAWN:
        return load_digits(size or 16, recolored=name == RECOLORED)
    if name in SOURCES:
        return load_source(SOURCES[name], size)
    maker = _maker(name)
    if maker is not None:
        made = maker()
        return made.resized(size or made.size)
    if Path(name).is_dir():
        return load_folder(Path(name), size or 32)
    raise _unknown(name)


def check(name: str, size: int | None = None, *, streams: bool = False) -> None:
    """Raise unless a data set is there, at once and without loading it.

    Args:
        name: as ``load`` takes it.
        size: the same.
        streams: whether one that is too large to be loaded will do.

    Raises:
        EquiconvError: with what to download or to set.
    """
    if name in SOURCES:
        if not (streams and SOURCES[name].streamed):
            check_memory(SOURCES[name], size or SOURCES[name].size)
        locate(SOURCES[name])
    elif name in rottim.KINDS:
        locate(SOURCES["tiny-imagenet"])
    elif name == "rotmnist" and rotmnist.published_files():
        return
    elif _maker(name) is not None:
        locate(SOURCES["mnist"])
    elif name not in DRAWN and not Path(name).is_dir():
        raise _unknown(name)


def names() -> tuple[str, ...]:
    """Return the names that ``load`` takes besides folders; STD is a number."""
    return (*DRAWN, *SOURCES, *rotmnist.KINDS, LONGTAILED, f"{BIASED}STD", *rottim.KINDS)


def _maker(name: str) -> Callable[[], Dataset] | None:
    """Return what loads a data set that is made of another; None if there is none of that name."""
    if name in rotmnist.KINDS:
        return lambda: rotmnist.load_rotmnist(name)
    if name in rottim.KINDS:
        return lambda: rottim.load_rottim(name)
    if name == LONGTAILED:
        return colormnist.load_longtailed
    if name.startswith(BIASED):
        std = _deviation(name)
        return lambda: colormnist.load_biased(std)
    return None


def _deviation(name: str) -> float:
    try:
        std = float(name.removeprefix(BIASED))
    except ValueError:
        raise EquiconvError(
            f"{BIASED}STD takes the standard deviation of the hue in units of 2 degrees, such as {BIASED}12; got {name}"
        ) from None
    colormnist.check_deviation(std)
    return std


def _unknown(name: str) -> EquiconvError:
    return EquiconvError(
        f'--dataset is "{DIGITS}" or a folder with one subfolder of images a class; got {name!r}. It can also be one '
        f"of {', '.join(names()[1:])}"
    )
