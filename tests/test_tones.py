"""Groups that shift colors along a color model: laws, colors, gradients, against other libraries."""

import colorsys

import kornia.color
import numpy as np
import pytest
import torch
from toned import HUES, INTERVALS, TONED, Turned, colors, lift

import equiconv
from equiconv.errors import GroupError
from equiconv.groups import (
    HSL,
    HSV,
    P4,
    Color,
    HueShift,
    Lab,
    Luminance,
    Saturation,
    Tone,
    Trivial,
    Value,
)
from equiconv.groups.irreps import cyclic_table
from equiconv.layers import GroupConv2d
from equiconv.testing import assert_equivariant, assert_group_laws, on_cover


@pytest.mark.parametrize("group", TONED, ids=repr)
def test_laws(group):
    assert_group_laws(group)


@pytest.mark.parametrize("group", HUES, ids=repr)
@pytest.mark.parametrize("images", ["uniform", "colors"])
def test_hue_shifts_are_an_action_on_every_color(group, images):
    x = torch.rand(3, 7, 7, dtype=torch.float64) if images == "uniform" else colors()
    for a in group.generators:
        for b in range(group.order):
            both = group.transform_image(group.transform_image(x, b), a)
            torch.testing.assert_close(both, group.transform_image(x, int(group.table[a, b])), atol=1e-12, rtol=0)


@pytest.mark.parametrize("space", ["hsv", "hsl"])
def test_the_hue_of_hsv_and_hsl_stays_in_the_cube(space):
    x = colors()
    for g in range(12):
        moved = HueShift(12, space).transform_image(x, g)
        assert moved.min() > -1e-12
        assert moved.max() < 1 + 1e-12
    assert HueShift(12).transform_image(x, 1).max() > 1.1


@pytest.mark.parametrize("model", [HSV(), HSL(), Lab()], ids=repr)
def test_colors_come_back_from_their_coordinates(model):
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        x = colors(dtype)
        torch.testing.assert_close(model.images(model.of(x)), x, atol=tolerance, rtol=0)
        assert not torch.allclose(model.images(model.of(x) + 1e-3), x, atol=1e-4)


def test_coordinates_are_those_of_other_libraries():
    x = torch.rand(3, 1, 50, dtype=torch.float64)
    rgb = x[:, 0].T.tolist()
    hsv = torch.tensor([colorsys.rgb_to_hsv(*color) for color in rgb], dtype=torch.float64).T[:, None]
    hls = torch.tensor([colorsys.rgb_to_hls(*color) for color in rgb], dtype=torch.float64).T[:, None]
    torch.testing.assert_close(HSV().of(x), hsv)
    torch.testing.assert_close(HSL().of(x), hls[[0, 2, 1]])
    assert not torch.allclose(HSL().of(x), hsv, atol=1e-2)
    lightness, a, b = kornia.color.rgb_to_lab(x[None])[0] / 100
    expected = torch.stack([torch.atan2(b, a) / (2 * torch.pi) % 1, torch.hypot(a, b), lightness])
    torch.testing.assert_close(Lab().of(x), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "group", [Saturation(4, truncated=True), Value(4, True), Luminance(3, truncated=True)], ids=repr
)
def test_truncated_shifts_are_no_group(group):
    with pytest.raises(AssertionError, match="not equivariant"):
        assert_equivariant(on_cover(lift(group)), tolerance=1e-2)
    with pytest.raises(AssertionError, match="the law does not hold"):
        assert_group_laws(group)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("group", [*HUES[:3], *INTERVALS[:6], Saturation(3, truncated=True)], ids=repr)
def test_gradients_are_finite(group, dtype):
    tiny = torch.cat([colors(dtype) * 1e-30, colors(dtype) * 1e-42], 2)
    x = torch.cat([colors(dtype), tiny], 2)[None].requires_grad_()
    torch.stack([group.transform_image(x, g) for g in range(group.order)]).square().sum().backward()
    assert x.grad.isfinite().all()
    assert x.grad.any()


def test_hue_shifts_in_hsv_take_normalized_images():
    group, x = HueShift(4, "hsv"), torch.rand(3, 5, 5, dtype=torch.float64)
    normal = (x - 0.4) / 0.25
    expected = (group.transform_image(x, 1) - 0.4) / 0.25
    torch.testing.assert_close(group.transform_image(normal, 1), expected)
    each = (x - torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)) / 0.25
    assert not torch.allclose(group.transform_image(each, 1), expected, atol=1e-2)


def test_values():
    assert HueShift(4, "hsv") == HueShift(4, "hsl")
    assert hash(HueShift(4, "hsv")) == hash(HueShift(4, "hsl"))
    for other in (HueShift(4), HueShift(4, "lab"), Saturation(4), HueShift(2, "hsv") * HueShift(2, "hsv")):
        assert HueShift(4, "hsv") != other
    assert Saturation(4) != Saturation(4, "hsl")
    assert Saturation(4) != Saturation(4, truncated=True)
    assert HueShift(1, "lab") == Trivial()
    assert HueShift(4, "hsv").image != HueShift(4, "hsv").cover
    for group in (*TONED, Saturation(3, "hsl", True), Value(3, True), Luminance(2, "lab", True)):
        assert eval(repr(group), {name: getattr(equiconv.groups, name) for name in equiconv.groups.__all__}) == group
    group = HueShift(3) * Saturation(2)  # permutations of the channels are hue shifts in HSV
    assert_equivariant(GroupConv2d(group.image, group.regular, 3), out_type=group.regular.restrict(HueShift(3)))
    assert group.subgroup(Saturation(2)).elements == (0, 1)
    assert group.image.restrict(HueShift(3)) == HueShift(3).image


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HueShift(4, "hsb"), r'space is one of "rgb", "hsv", "hsl", "lab"; got \'hsb\''),
        (lambda: Saturation(4, "lab"), 'space is one of "hsv", "hsl"'),
        (lambda: Value(0), "Value"),
        (lambda: Value(2, truncated=1), "truncated is True or False; got 1"),
        (lambda: Color(2, 2, space="lab"), "Color: space is one of"),
        (lambda: HueShift(4) * Saturation(3), r'do not commute; HueShift\(n, space="hsv"\)'),
        (lambda: HueShift(4, "lab") * Saturation(3), "no direct product.*take one model"),
        (lambda: Saturation(3) * Luminance(3), "no direct product.*take one model"),
        (lambda: P4().cover, "only shifts have a cover"),
        (lambda: (HueShift(3) * Value(2)).cover, "only shifts have a cover"),
        (lambda: Tone(HSV(), np.zeros(3)), r"expected \(order, 3\)"),
        (lambda: Tone(HSV(), np.zeros((1, 3)), truncated=(True, False, False)), "only intervals have ends"),
        (lambda: Turned(3).tone.check_law(cyclic_table(2), (1,)), "a shift for each of 2 elements; got 3"),
        (lambda: Tone(HSV(), np.outer([0, 0.3], [1, 0, 0])).check_law(cyclic_table(2), (1,)), "do not add up"),
    ],
)
def test_groups_that_cannot_be(make, message):
    with pytest.raises(GroupError, match=message):
        make()
