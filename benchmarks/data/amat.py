"""Read the text files in which the rotated digits were published."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from equiconv import EquiconvError

__all__ = ["TEST_FILE", "TRAIN_FILE", "read_amat"]

TRAIN_FILE = "mnist_all_rotation_normalized_float_train_valid.amat"
TEST_FILE = "mnist_all_rotation_normalized_float_test.amat"
SIZE = 28


def read_amat(path: Path, count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the images and labels of a file of the rotated digits.

    Args:
        path: a text file, one image a line: 784 values in [0, 1], row by row, and the label.
        count: how many images it must have.

    Returns:
        The images ``(N, 1, 28, 28)`` and the labels ``(N,)``.

    Raises:
        EquiconvError: if it is something else.
    """
    try:
        table = np.loadtxt(path, dtype=np.float32, ndmin=2)
    except ValueError as error:
        raise EquiconvError(f"{path} is damaged ({error}): get it anew") from None
    if table.shape != (count, SIZE**2 + 1):
        raise EquiconvError(
            f"{path}: expected {count:,} lines of {SIZE**2 + 1} numbers; got {table.shape[0]:,} lines of "
            f"{table.shape[1]}: get the file anew"
        )
    pixels, labels = table[:, :-1], table[:, -1]
    if pixels.min() < 0 or pixels.max() > 1 or not np.isin(labels, range(10)).all():
        raise EquiconvError(f"{path}: expected values in [0, 1] and labels from 0 to 9; got others: get the file anew")
    return np.ascontiguousarray(pixels).reshape(-1, 1, SIZE, SIZE), labels.astype(np.int64)  # (N, 1, 28, 28)
