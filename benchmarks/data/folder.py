"""People's own images: a folder with one subfolder for each class."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from benchmarks.data.dataset import Dataset, stratified
from equiconv import EquiconvError

__all__ = ["load_folder"]

TEST_SHARE = 0.25
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")

Images = NDArray[np.float32]
Labels = NDArray[np.int64]


def load_folder(folder: Path, size: int) -> Dataset:
    """Return the images of a folder, resized to squares.

    Args:
        folder: one subfolder for each class; or the two subfolders ``train`` and ``test``, each with one subfolder for
            each class. Without these two, a quarter of each class is held out for the test, by a fixed seed.
        size: the side of the images.

    Raises:
        EquiconvError: if there are fewer than two classes, a class has no images (or one, where they must be split),
            the classes of ``train`` and ``test`` differ, or a file cannot be read as an image.
    """
    parts = _subfolders(folder)
    if [part.name for part in parts] == ["test", "train"]:
        return _split_by_user(folder, parts[1], parts[0], size)
    classes, images, labels = _read(folder, size, least=2)
    train, test = stratified(labels, TEST_SHARE)
    return Dataset(
        folder.resolve().name,
        f"{len(labels):,} images of {len(classes)} classes, resized to {size}x{size}; a quarter of each class is held "
        "out for the test.",
        classes,
        images[train],
        labels[train],
        images[test],
        labels[test],
    )


def _split_by_user(folder: Path, train: Path, test: Path, size: int) -> Dataset:
    classes, train_images, train_labels = _read(train, size, least=1)
    test_classes, test_images, test_labels = _read(test, size, least=1)
    if classes != test_classes:
        odd = ", ".join(sorted(set(classes) ^ set(test_classes)))
        raise EquiconvError(f"{folder}: train and test must have the same classes; only one of them has: {odd}")
    return Dataset(
        folder.resolve().name,
        f"{len(train_labels) + len(test_labels):,} images of {len(classes)} classes, resized to {size}x{size}; split "
        "into training and test by the folders train and test.",
        classes,
        train_images,
        train_labels,
        test_images,
        test_labels,
    )


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _read(folder: Path, size: int, least: int) -> tuple[tuple[str, ...], Images, Labels]:
    """Return the names of the classes, the images ``(N, 3, size, size)`` and the labels of one folder."""
    subfolders = _subfolders(folder)
    if len(subfolders) < 2:
        raise EquiconvError(f"{folder}: expected one subfolder for each of at least 2 classes; found {len(subfolders)}")
    files = [_image_files(subfolder) for subfolder in subfolders]
    for subfolder, paths in zip(subfolders, files, strict=True):
        if len(paths) < least:
            raise EquiconvError(
                f"{subfolder}: a class needs at least {least} image{'s' * (least > 1)} ({', '.join(SUFFIXES)}); "
                f"found {len(paths)}"
            )
    images = np.stack([_read_image(path, size) for paths in files for path in paths])
    labels = np.repeat(np.arange(len(files)), [len(paths) for paths in files]).astype(np.int64)
    return tuple(subfolder.name for subfolder in subfolders), images, labels


def _image_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def _read_image(path: Path, size: int) -> Images:
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)  # as cameras mean it
            pixels = upright.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise EquiconvError(f"{path}: cannot be read as an image ({type(error).__name__}); mend or remove it") from None
    return np.asarray(pixels, np.float32).transpose(2, 0, 1) / np.float32(255)  # (3, size, size)
