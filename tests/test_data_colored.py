"""Colored digits: their classes, colors, sizes and backgrounds."""

import math

import numpy as np
import pytest
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv
from stored import digits, numbers, real_data, store_mnist

from benchmarks.data import colormnist, load
from equiconv import EquiconvError

# -- colored digits, long-tailed ---------------------------------------------------------------------------------------


SIZES = (3, 1, 2) * 10


def assert_longtailed(images, labels, sizes, source_labels):
    """Each class has its digit, its color and its size, and no image of a digit is in two colors."""
    assert np.bincount(labels).tolist() == list(sizes)
    white = images > 254
    colors = labels % 3
    assert np.array_equal(white.sum((2, 3)).argmax(1), colors)
    codes = numbers(white[np.arange(len(labels)), colors])
    assert np.array_equal(source_labels[codes], labels // 3)
    assert len(set(codes)) == len(codes)


def test_longtailed_classes_have_their_digits_colors_and_sizes():
    source = digits(100, 100)
    arrays = colormnist.longtailed(source, SIZES, 2, 0)
    assert_longtailed(arrays["train_images"], arrays["train_labels"], SIZES, source.train_labels)
    everything = np.concatenate([source.train_labels, source.test_labels])
    assert_longtailed(arrays["test_images"], arrays["test_labels"], (2,) * 30, everything)


def published_slip(source):
    """Make the training part as published: the offset is advanced by the size of another class."""
    images = []
    for digit in range(10):
        members, offset = source.train_images[source.train_labels == digit, 0], 0
        for color in range(3):
            size = SIZES[3 * digit + color]
            for gray in members[offset : offset + size]:
                images.append(np.stack([gray * (channel == color) for channel in range(3)]))
            offset += SIZES[digit]
    return np.stack(images)


def test_the_published_slip_is_seen():
    source = digits(100)
    labels = np.repeat(np.arange(30), SIZES)
    with pytest.raises(AssertionError):
        assert_longtailed(published_slip(source), labels, SIZES, source.train_labels)


def test_strokes_have_their_color_and_the_background_is_gray_noise():
    arrays = colormnist.longtailed(digits(100, 100), SIZES, 2, 0)
    images, colors = arrays["train_images"] / 255, arrays["train_labels"] % 3
    background = images[:, :, :8]  # above the digits
    assert np.array_equal(background[:, 0], background[:, 1])
    assert background.mean() == pytest.approx(0.33, abs=0.01)
    assert background[:, 0].std() == pytest.approx(0.1, abs=0.01)
    assert len({image.tobytes() for image in background}) == len(images)
    strokes = images[np.arange(len(images)), :, 8, 11]  # one white pixel of the digits
    assert np.array_equal(strokes, np.eye(3)[colors])


def test_gray_strokes_are_blended_as_published():
    half = np.full((1, 1, 40, 40), 102, np.uint8)  # p = 0.4
    x = colormnist._blended(half, np.array([[1.0, 0.5, 0.0]]), 0.33, np.random.default_rng(0))[0] / 255
    assert x.mean((1, 2)) == pytest.approx([0.16 + 0.6 * 0.33, 0.08 + 0.6 * 0.33, 0.6 * 0.33], abs=0.01)


def test_sizes_of_the_tail():
    sizes = np.array([colormnist.tail_sizes(seed) for seed in range(2000)])
    assert sizes.min() == 1
    assert sizes.max() == 150
    assert sizes.mean() == pytest.approx(35.18, abs=1)
    assert (sizes == 1).mean() == pytest.approx(0.222, abs=0.01)
    assert 565 < sum(colormnist.tail_sizes(colormnist.SEED)) < 1615  # the published range


def test_too_few_images_of_a_digit_are_refused(home):
    store_mnist(home)
    with pytest.raises(EquiconvError, match="needs 150 different images of the digit 0; MNIST, as found, has 6"):
        load("colormnist-longtailed")


# -- colored digits, biased --------------------------------------------------------------------------------------------


def assert_hues(color):
    """Hues in units of 2 degrees become what HSV has for them."""
    hues = np.arange(180)
    expected = hsv_to_rgb(np.stack([hues / 180, np.ones(180), np.ones(180)], -1))
    assert np.abs(color(hues) - expected).max() < 1e-12


def test_hues_are_those_of_hsv():
    assert_hues(colormnist.hue_colors)
    for broken in (lambda h: colormnist.hue_colors(-h), lambda h: colormnist.hue_colors(2 * h)):
        with pytest.raises(AssertionError):
            assert_hues(broken)


def stroke_hues(arrays):
    """Return the hues of the strokes in degrees."""
    return 360 * rgb_to_hsv(arrays["train_images"][:, :, 8, 11] / 255)[:, 0]


@pytest.mark.parametrize("std", [0, 12])
def test_hues_are_about_those_of_the_classes(std):
    arrays = colormnist.biased(digits(2000, 10), std, 0)
    away = (stroke_hues(arrays) - 36 * arrays["train_labels"] + 180) % 360 - 180
    assert away.std() == pytest.approx(2 * std, rel=0.1, abs=0.2)
    assert abs(away.mean()) < 3
    assert arrays["train_images"].shape == (2000, 3, 28, 28)
    assert arrays["train_images"][:, :, :8].mean() / 255 == pytest.approx(0.5, abs=0.01)


def test_a_wide_deviation_is_a_uniform_hue_and_both_parts_have_it():
    arrays = colormnist.biased(digits(3000, 10), 1000000, 0)
    counts = np.histogram(stroke_hues(arrays), 6, (0, 360))[0]
    assert np.abs(counts - 500).max() < 5 * math.sqrt(500)
    tests = rgb_to_hsv(arrays["test_images"][:, :, 8, 11] / 255)[:, 0]
    assert np.abs((tests - arrays["test_labels"] / 10 + 0.5) % 1 - 0.5).max() > 0.1


def test_biased_digits_are_loaded_by_name(home):
    store_mnist(home)
    data, same, other = (load(f"colormnist-biased:{std}") for std in ("12", "12.0", "24"))
    assert data.fingerprint() == same.fingerprint() != other.fingerprint()
    assert data.name == "colormnist-biased:12"
    assert "12 units of 2 degrees" in data.description
    assert data.classes == tuple("0123456789")


@real_data
def test_real_data_have_the_defined_checksums(tmp_path, monkeypatch):
    monkeypatch.setenv("EQUICONV_CACHE", str(tmp_path))
    data = load("colormnist-longtailed")  # raises unless they have
    assert "Bit-exact" in data.description
    assert (len(data.train_labels), len(data.test_labels)) == (1086, 7500)
