"""Augmentations of colors: what they may do to an image."""

import math

import numpy as np
import pytest
import torch
from augmented import COUNT, Broken, twins
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv

from benchmarks.data.augment import Brightness, Grayscale, Hue, Saturation


def assert_shifts_hues(module, limit):
    """The hue of an image moves as a whole, uniformly; saturation and value stay."""
    hues = np.array([0.1, 0.5, 0.8, 0.95])
    pixels = hsv_to_rgb(np.stack([hues, [0.5, 0.9, 0.7, 1], [0.4, 0.9, 1, 0.6]], -1))
    x = torch.tensor(pixels.T.reshape(1, 3, 2, 2), dtype=torch.float32).expand(COUNT, -1, -1, -1)
    found = rgb_to_hsv(module(x).movedim(1, -1).reshape(COUNT, 4, 3).numpy())
    before = rgb_to_hsv(pixels)
    assert np.abs(found[..., 1:] - before[:, 1:]).max() < 1e-3
    shift = (found[..., 0] - hues + 0.5) % 1 - 0.5
    assert np.abs((shift - shift[:, :1] + 0.5) % 1 - 0.5).max() < 1e-3
    assert np.abs(shift).max() < limit + 1e-3
    counts = np.histogram(shift[:, 0], 4, (-limit, limit))[0]
    assert np.abs(counts - COUNT / 4).max() < 5 * math.sqrt(COUNT / 4)


@pytest.mark.parametrize("limit", [0.5, 0.1])
def test_hues_shift_as_hsv_has_it(limit):
    assert_shifts_hues(Hue(limit), limit)
    for broken in (
        Hue(limit / 2),
        Broken(lambda x: x.roll(1, 1)),
        Broken(lambda x: (x * torch.rand(len(x), 3, 1, 1)).clamp(0, 1)),
        Broken(lambda x: x),
    ):
        with pytest.raises(AssertionError):
            assert_shifts_hues(broken, limit)


def assert_scales(change, limit, axis):
    """Assert that saturation (1) or value (2) is scaled by a uniform factor, cut off at 1, and the rest of HSV kept."""
    x = twins(4)
    x = 0.5 * (x + 1 - x.amax((1, 2, 3), keepdim=True)) if axis == 2 else x
    before, after = (rgb_to_hsv(each.movedim(1, -1).numpy()) for each in (x, change(x)))
    pale = before[0, ..., axis] < 1 / (1 + limit)  # nothing is cut off there
    factors = (after[..., axis] / before[..., axis])[:, pale]
    assert np.ptp(factors, 1).max() < 1e-3
    assert abs(factors[:, 0] - 1).max() <= limit + 1e-3
    counts = np.histogram(factors[:, 0], 4, (1 - limit, 1 + limit))[0]
    assert np.abs(counts - COUNT / 4).max() < 5 * math.sqrt(COUNT / 4)
    for other in {0, 1, 2} - {axis}:
        clear = factors[:, 0] > 0.1  # else there is no hue
        np.testing.assert_allclose(after[clear][..., other][:, pale], before[clear][..., other][:, pale], atol=1e-3)


@pytest.mark.parametrize(("kind", "axis"), [(Saturation, 1), (Brightness, 2)])
def test_saturation_and_brightness_are_scaled_as_hsv_has_them(kind, axis):
    assert_scales(kind(0.8), 0.8, axis)
    for broken in (
        kind(0.4),
        {Saturation: Brightness, Brightness: Saturation}[kind](0.8),
        Hue(0.5),
        Broken(lambda x: x),
        Broken(lambda x: (x * (1 + 0.8 * (2 * torch.rand(len(x), 3, 1, 1) - 1))).clamp(0, 1)),
    ):
        with pytest.raises(AssertionError):
            assert_scales(broken, 0.8, axis)


def test_gray_images_have_the_luminance():
    x = twins()
    y = Grayscale(0.5)(x)
    gray = (y[:, 0] == y[:, 1]).all(-1).all(-1)
    assert abs(gray.float().mean() - 0.5) < 5 * math.sqrt(0.25 / COUNT)
    luminance = (x[0] * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(0)
    assert torch.allclose(y[gray][0], luminance.expand(3, -1, -1), atol=1e-3)
    assert torch.equal(y[~gray][0], x[0])
