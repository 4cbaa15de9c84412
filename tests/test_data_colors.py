"""How colors of test images are changed: by matplotlib, Pillow and by hand, against what is broken."""

import colorsys

import numpy as np
import pytest
import torch
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv
from PIL import Image, ImageEnhance

from benchmarks.data.families import FAMILIES, GRIDS
from equiconv.groups import Saturation, Value

CHANGES = ("saturation", "saturation-shift", "value", "value-shift", "gamma", "white-balance")


def images(size=8):
    x = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[0, :, 0] = x[0, :1, 0]  # gray
    x[0, 1, 1] = x[0, 0, 1]  # two channels that are equal
    x[1, :, 0, 0], x[1, :, 0, 1] = 0, 1
    return x


def in_hsv(x, change):
    """Return images whose coordinates are changed, by matplotlib."""
    hsv = rgb_to_hsv(x.movedim(1, -1).numpy())
    return torch.tensor(hsv_to_rgb(np.clip(change(hsv), 0, 1))).movedim(-1, 1)


def along(axis, scale=1.0, shift=0.0):
    def change(hsv):
        hsv[..., axis] = scale * hsv[..., axis] + shift
        return hsv

    return change


EXPECTED = {
    "saturation": lambda percent: along(1, scale=1 + percent / 100),
    "saturation-shift": lambda percent: along(1, shift=percent / 100),
    "value": lambda percent: along(2, scale=1 + percent / 100),
    "value-shift": lambda percent: along(2, shift=percent / 100),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_changes_are_those_of_hsv_cut_off_at_its_ends(name):
    x = images()

    def distance(expected, value):
        return (FAMILIES[name].move(x, value) - in_hsv(x, expected)).abs().max()

    for value in FAMILIES[name].values:
        assert distance(EXPECTED[name](value), value) < 1e-10
    assert distance(EXPECTED[name](-40), 40) > 0.1  # the other direction
    others = [EXPECTED[other](40) for other in EXPECTED if other != name]
    assert all(distance(other, 40) > 0.1 for other in others)


@pytest.mark.parametrize("name", CHANGES)
def test_colors_stay_in_the_cube_and_the_ends_are_reached(name):
    x, values = images(), FAMILIES[name].values
    for value in values:
        moved = FAMILIES[name].move(x, value)
        assert moved.min() >= -1e-12
        assert moved.max() <= 1 + 1e-12
    low, high = (FAMILIES[name].move(x, value) for value in (values[0], values[-1]))
    assert (low - high).abs().max() > 0.3


def test_gray_stays_gray_where_the_saturation_is_scaled_and_becomes_red_where_it_is_shifted():
    gray = torch.full((1, 3, 1, 1), 0.5)
    assert FAMILIES["saturation"].move(gray, 100).flatten().tolist() == [0.5, 0.5, 0.5]
    assert FAMILIES["saturation-shift"].move(gray, 50).flatten().tolist() == [0.5, 0.25, 0.25]
    assert colorsys.hsv_to_rgb(0, 0.5, 0.5) == (0.5, 0.25, 0.25)


def test_shifts_are_those_of_the_groups_where_no_color_leaves_the_interval():
    x = torch.tensor([0.5, 0.35, 0.3], dtype=torch.float64).view(1, 3, 1, 1)  # saturation 0.4, value 0.5
    for name, group in (("saturation-shift", Saturation(5)), ("value-shift", Value(5))):
        torch.testing.assert_close(FAMILIES[name].move(x, 40), group.transform_image(x, 1))
        assert (FAMILIES[name].move(x, 80) - group.transform_image(x, 2)).abs().max() > 0.05  # cut off, or reflected


def test_exposure_is_that_of_pillow_up_to_where_it_is_cut_off():
    x = 0.5 * images()
    dark = Image.fromarray(np.rint(255 * x[0].movedim(0, -1).numpy()).astype(np.uint8))
    expected = np.asarray(ImageEnhance.Brightness(dark).enhance(1.8)) / 255
    found = FAMILIES["value"].move(x, 80)[0].movedim(0, -1).numpy()
    np.testing.assert_allclose(found, expected, atol=2 / 255)


def test_gamma_darkens_upwards():
    x = images()
    for value, exponent in ((-100, 1 / 3), (20, 3**0.2), (100, 3.0)):
        torch.testing.assert_close(FAMILIES["gamma"].move(x, value), x**exponent)
    assert (FAMILIES["gamma"].move(x, 100) <= x).all()


def test_white_balance_scales_light_in_linear_srgb():
    def light(v):  # IEC 61966-2-1
        return v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4

    x = torch.tensor([0.4, 0.5, 0.03], dtype=torch.float64).view(1, 3, 1, 1)
    warm = FAMILIES["white-balance"].move(x, 100).flatten().tolist()
    gains = [light(after) / light(before) for after, before in zip(warm, x.flatten().tolist(), strict=True)]
    assert gains == pytest.approx([2, 1, 0.5])
    back = FAMILIES["white-balance"].move(FAMILIES["white-balance"].move(x, 100), -100)
    torch.testing.assert_close(back, x)


def test_pairs_of_saturation_and_hue_are_made_one_after_the_other():
    grid, x = GRIDS["saturation-hue"], images()
    assert grid.colors
    moved = FAMILIES["hue"].move(FAMILIES["saturation"].move(x, -40), 30)
    assert torch.equal(grid.by(-40, 30)(x), moved)
    assert not torch.equal(grid.by(-40, 60)(x), moved)
