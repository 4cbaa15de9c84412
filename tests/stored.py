"""Small data sets in the formats in which large ones are stored, and what tests ask of real ones."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from benchmarks.data import Dataset

real_data = pytest.mark.skipif(
    "EQUICONV_DATA" not in os.environ, reason="needs real data: set EQUICONV_DATA to a folder of data sets"
)


def encoded(pixels, kind="png"):
    """Return an image ``(C, H, W)`` as the bytes of a file."""
    stream = io.BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(stream, kind)
    return stream.getvalue()


def store(path, images, labels, names, columns=("image", "label"), kind="png"):
    """Write a parquet file as the datasets library does."""
    import datasets

    path.parent.mkdir(parents=True, exist_ok=True)
    features = datasets.Features(
        {
            columns[0]: datasets.Image(),
            columns[1]: datasets.ClassLabel(names=list(names)),
            "extra": datasets.Value("string"),
        }
    )
    stored = [{"bytes": encoded(image, kind), "path": None} for image in images]
    content = {columns[0]: stored, columns[1]: list(map(int, labels)), "extra": ["x"] * len(stored)}
    datasets.Dataset.from_dict(content, features=features).to_parquet(str(path))


def coded(count, size=28, start=0):
    """Return gray images ``(count, 1, size, size)`` that show their number in black and white, and are asymmetric."""
    bits = np.array([[(start + index) >> bit & 1 for bit in range(16)] for index in range(count)], np.uint8)
    images = np.zeros((count, 1, size, size), np.uint8)
    middle = size // 2 - 4
    images[:, 0, middle : middle + 8, middle : middle + 8] = np.kron(bits.reshape(-1, 4, 4), np.ones((2, 2)))
    images[:, 0, middle - 2, middle : middle + 5] = 1
    return images * np.uint8(255)


def numbers(white):
    """Return the numbers that images ``(N, size, size)`` of ``coded`` show, given where they are white."""
    middle = white.shape[-1] // 2 - 4
    bits = white[:, middle : middle + 8 : 2, middle : middle + 8 : 2].reshape(len(white), 16)
    return (bits * (1 << np.arange(16))).sum(1)


def digits(train=60, test=40):
    """Return a data set like MNIST whose images show their number; the test goes on counting."""
    labels = np.arange(train + test) % 10
    images = coded(train + test)
    return Dataset(
        "mnist", "Coded.", tuple("0123456789"), images[:train], labels[:train], images[train:], labels[train:]
    )


def store_mnist(home, train=60, test=40):
    data = digits(train, test)
    store(home / "mnist" / "train.parquet", data.train_images, data.train_labels, "0123456789")
    store(home / "mnist" / "test.parquet", data.test_images, data.test_labels, "0123456789")


def store_imagenet(home, shards):
    """Write a small ImageNet with a file for each number of training images; the label of an image is its number."""
    classes, start = [f"n{index}" for index in range(max(sum(shards), 5))], 0
    for index, count in enumerate(shards):
        path = home / "imagenet" / f"train-{index:05}-of-{len(shards):05}.parquet"
        store(path, np.repeat(coded(count, 64, start), 3, 1), range(start, start + count), classes, kind="jpeg")
        start += count
    store(home / "imagenet" / "test-00000-of-00001.parquet", np.repeat(coded(5, 64), 3, 1), range(5), classes)
