"""What a data set is: bytes or floats, its validation part, other sizes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from stored import coded, numbers

from benchmarks.data import Dataset, float_batch
from benchmarks.train import Cell, Protocol, run_cell
from equiconv import P4, EquiconvError


def dataset(counts=(30, 20, 3, 1), tests=12):
    labels = np.repeat(np.arange(len(counts)), counts)
    many = len(labels)
    return Dataset(
        "coded", "Coded.", tuple("abcd"), coded(many), labels, coded(tests, start=many), np.arange(tests) % len(counts)
    )


def test_batches_are_floats_from_0_to_1_whatever_is_stored():
    data = dataset()
    x = float_batch(data.train_images)
    assert x.dtype == torch.float32
    assert x.shape == (54, 1, 28, 28)
    assert set(x.unique().tolist()) == {0, 1}
    assert torch.equal(float_batch(torch.from_numpy(data.train_images)), x)
    assert torch.equal(float_batch(np.float32(data.train_images / 255)), x)
    assert float_batch(np.full((1, 1, 1, 1), 51, np.uint8)).item() == pytest.approx(0.2)


def test_gray_batches_take_three_channels_and_others_do_not():
    gray = float_batch(coded(2), 3)
    assert gray.shape == (2, 3, 28, 28)
    assert torch.equal(gray[:, 0], gray[:, 2])
    with pytest.raises(EquiconvError, match="3 channels or of one; got 2"):
        float_batch(np.zeros((1, 2, 4, 4), np.uint8), 3)


def assert_validation(part, whole):
    """The part is of the training images alone, disjoint from the rest, and of every class in proportion."""
    train, held = numbers(part.train_images[:, 0] > 127), numbers(part.test_images[:, 0] > 127)
    assert sorted([*train, *held]) == sorted(numbers(whole.train_images[:, 0] > 127))
    assert np.array_equal(whole.train_labels[held], part.test_labels)
    counts = np.bincount(whole.train_labels)
    share = len(held) / len(whole.train_labels)
    for label, count in enumerate(counts):
        assert abs((part.test_labels == label).sum() - share * count) <= 1
        assert (part.train_labels == label).any()


@pytest.mark.parametrize("part", [0.2, 11, 40, 0.04])
def test_validation_is_split_off_the_training_images(part):
    data = dataset()
    split = data.validation(part, seed=1)
    assert_validation(split, data)
    assert len(split.test_labels) == {0.2: 11, 0.04: 3}.get(part, part)
    assert "held out" in split.description
    assert data.validation(part, seed=1).fingerprint() == split.fingerprint()
    assert data.validation(part, seed=2).fingerprint() != split.fingerprint()


def test_validation_by_the_test_images_would_be_seen():
    data = dataset()
    with pytest.raises(AssertionError):
        assert_validation(data, data)


@pytest.mark.parametrize("part", [0, 0.0, 1.0, 54, -3])
def test_validation_of_nothing_or_everything_is_refused(part):
    with pytest.raises(EquiconvError, match="a share between 0 and 1, or a count below 54"):
        dataset().validation(part)


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_other_sizes(kind):
    data = dataset()
    data = Dataset(
        "x", "X.", data.classes, data.train_images.astype(kind), data.train_labels, data.test_images, data.test_labels
    )
    small = data.resized(14)
    assert small.size == 14
    assert small.train_images.dtype == kind
    assert small.train_images.mean() == pytest.approx(data.train_images.mean(), rel=0.05)
    assert "28x28 to 14x14" in small.description
    assert data.resized(28) is data


def test_training_takes_gray_bytes_as_it_takes_colors():
    data = dataset((12, 12)).resized(14)
    colored = replace(
        data,
        **{f"{part}_images": float_batch(getattr(data, f"{part}_images"), 3).numpy() for part in ("train", "test")},
    )
    cell, protocol = Cell("P4", P4(), 2, 0), Protocol(1, 90)
    results = [run_cell(cell, lambda _: None, data=each, protocol=protocol) for each in (data, colored)]
    assert results[0] == results[1]
    assert 0 < results[0]["losses"][0] < 5
