"""Moves of the test images: what each does, by other code than its own."""

import numpy as np
import pytest
import torch
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv
from scipy import ndimage

from benchmarks.data.families import FAMILIES
from equiconv import HueShift


def images(size=16, channels=3):
    return torch.rand(2, channels, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", FAMILIES)
def test_zero_moves_nothing_and_other_numbers_do(name):
    family, x = FAMILIES[name], images()
    assert 0 in family.values
    assert len(set(family.values)) == len(family.values)
    still = x.flip(-2) if name == "reflection" else x
    torch.testing.assert_close(family.move(x, 0), still)
    assert (family.move(x, family.values[2]) - still).abs().max() > 0.01
    assert family.move(x, family.values[1]).shape == x.shape


def test_quarter_turns_are_those_of_numpy():
    x = images()
    for quarters in range(4):
        turned = np.rot90(x.numpy(), quarters, (2, 3))
        np.testing.assert_array_equal(FAMILIES["rotation"].move(x, 90 * quarters).numpy(), turned)
        mirrored = np.rot90(np.flip(x.numpy(), 2), quarters, (2, 3))
        np.testing.assert_array_equal(FAMILIES["reflection"].move(x, 90 * quarters).numpy(), mirrored)


def test_a_turn_by_another_angle_is_that_of_scipy():
    x = images(channels=1)
    expected = ndimage.rotate(x[0, 0].numpy(), 30, reshape=False, order=1)
    inside = ndimage.rotate(np.ones((16, 16)), 30, reshape=False, order=1) > 0.999  # the frames differ
    found = FAMILIES["rotation"].move(x, 30)[0, 0].numpy()
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-5)


@pytest.mark.parametrize("degrees", [-170, -60, 10, 90, 250])
def test_hue_in_hsv_is_that_of_matplotlib(degrees):
    x = images()
    x[0, :, 0] = x[0, :1, 0]  # gray
    x[0, 1, 1] = x[0, 0, 1]  # two channels that are equal
    hsv = rgb_to_hsv(x.movedim(1, -1).numpy())
    hsv[..., 0] = (hsv[..., 0] + degrees / 360) % 1
    expected = torch.tensor(hsv_to_rgb(hsv)).movedim(-1, 1)
    torch.testing.assert_close(FAMILIES["hue"].move(x, degrees), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", FAMILIES)
def test_moves_are_made_where_the_images_are(name):
    x = torch.empty(2, 3, 16, 16, device="meta")
    assert all(FAMILIES[name].move(x, value).device.type == "meta" for value in FAMILIES[name].values)


@pytest.mark.parametrize("name", ["hue", "hue-linear"])
def test_a_third_of_a_turn_of_hue_permutes_the_channels(name):
    x = images()
    torch.testing.assert_close(FAMILIES[name].move(x, 120), x[:, [2, 0, 1]])  # red becomes green
    torch.testing.assert_close(FAMILIES[name].move(x, -120), x[:, [1, 2, 0]])
    torch.testing.assert_close(FAMILIES[name].move(x, 180), FAMILIES[name].move(x, -180), atol=1e-5, rtol=0)


def test_linear_hue_is_that_of_the_groups():
    x, matrix = images(), torch.tensor(HueShift(12).color[1], dtype=torch.float32)
    expected = (matrix @ x.flatten(2)).view_as(x)
    torch.testing.assert_close(FAMILIES["hue-linear"].move(x, 30), expected)


def test_translation_is_to_the_right():
    x = images()
    moved = FAMILIES["translation"].move(x, 3)
    assert not moved[..., :3].any()
    assert torch.equal(moved[..., 3:], x[..., :-3])
