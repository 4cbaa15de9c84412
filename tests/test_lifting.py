"""Lifting by the image: exact, equal to moving the kernel where that can be done, and in every mode."""

import copy

import pytest
import torch
from samples import halves, mixed
from toned import HUES, TONED, Turned, lift
from torch import nn

import equiconv
from equiconv.errors import FieldTypeError
from equiconv.groups import (
    P4,
    P4M,
    SO2,
    Color,
    Flip,
    HueShift,
    Luminance,
    Saturation,
    Trivial,
    Value,
)
from equiconv.layers import GroupConv2d, GroupConvTranspose2d, SpatialPool
from equiconv.models import CNN, RESNET18, ResNet
from equiconv.testing import assert_equivariant, equivariance_error, move_image, on_cover


@pytest.mark.parametrize("group", HUES, ids=repr)
def test_lifting_is_exact_on_images(group):
    assert_equivariant(lift(group))
    assert_equivariant(lift(group), dtype=torch.float32, tolerance=1e-5)
    assert_equivariant(lift(group, factorization="gc"))


@pytest.mark.parametrize("group", TONED, ids=repr)
def test_lifting_is_exact_on_the_cover(group):
    assert_equivariant(on_cover(lift(group)))
    assert_equivariant(on_cover(lift(group)), dtype=torch.float32, tolerance=1e-5)
    broken = on_cover(lift(group))
    broken.lifting._masters["shifts"] *= 0.9  # not what the elements shift by
    assert equivariance_error(broken) > 1e-3


@pytest.mark.parametrize(
    "group", [Saturation(4), Saturation(5, "hsl"), Value(5), Luminance(4), Luminance(6, "lab")], ids=repr
)
def test_intervals_are_exact_on_images_until_a_color_is_reflected(group):
    """One element keeps all colors within the interval, one does not."""
    layer, x = lift(group).double(), 0.3 + 0.1 * torch.rand(2, 3, 6, 6, dtype=torch.float64)
    x[:, 0] += 0.1  # away from gray
    expected = layer.out_type.transform(layer(x), 1)
    assert (layer(move_image(group, x, 1)) - expected).abs().max() < 1e-10
    expected = layer.out_type.transform(layer(x), 2)  # twice as far: beyond 1
    assert (layer(move_image(group, x, 2)) - expected).abs().max() > 1e-3


@pytest.mark.parametrize("make", [lambda g: g.trivial, lambda g: g.irreps[1], mixed, halves, lambda g: 2 * [g.regular]])
@pytest.mark.parametrize("group", [HueShift(3, "hsv"), HueShift(5, "lab") * P4(), Saturation(3) * Flip()], ids=repr)
def test_any_output(group, make):
    rep = make(group)
    rep = rep[0] + rep[1] if isinstance(rep, list) else rep
    layer = GroupConv2d(group.image, 2 * rep, 3, padding=1)
    assert_equivariant(on_cover(layer))
    assert_equivariant(on_cover(GroupConvTranspose2d(2 * group.image, rep, 3)))


def test_continuous_factors():
    group = HueShift(4, "hsv") * SO2(2)
    layer = GroupConv2d(group.image, 2 * group.regular, 5, padding=2)
    part = HueShift(4, "hsv") * P4()
    assert_equivariant(layer, out_type=layer.out_type.restrict(part))
    assert layer.weight.numel() == GroupConv2d(SO2(2).image, 2 * SO2(2).regular, 5).weight.numel()


def test_an_element_may_turn_and_shift_at_once():
    group = (HueShift(4, "hsv") * P4()).subgroup([5])  # a quarter turn with a quarter of the hues
    assert_equivariant(lift(group))
    with pytest.raises(FieldTypeError, match="lifted to regular fields"):
        GroupConv2d(group.image, group.trivial, 3)


@pytest.mark.parametrize("plane", [Trivial(), P4M()], ids=repr)
@pytest.mark.parametrize(
    ("by_image", "by_kernel"), [(Turned(4), HueShift(4)), (HueShift(3, "hsv"), HueShift(3))], ids=repr
)
def test_a_linear_action_lifts_by_the_image_as_by_the_kernel(by_image, by_kernel, plane):
    layer, reference = lift(by_image * plane).double(), lift(by_kernel * plane).double()
    assert layer.weight.shape == reference.weight.shape
    reference.load_state_dict(layer.state_dict())
    x = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(layer(x), reference(x), atol=1e-12, rtol=0)
    other = lift(HueShift(by_kernel.n, "lab") * plane).double()
    other.load_state_dict(layer.state_dict())
    assert not torch.allclose(other(x), reference(x), atol=1e-3)


def moved_as(group):
    return lambda x, g: move_image(group, x, g)


@pytest.mark.parametrize(
    ("group", "move"),
    [
        (HueShift(4, "hsv"), lambda x, g: move_image(HueShift(4, "hsv"), x, -g % 4)),
        (HueShift(4, "hsv"), moved_as(HueShift(4))),
        (HueShift(4, "hsv"), moved_as(HueShift(4, "lab"))),
        (HueShift(4, "lab"), moved_as(HueShift(4, "hsv"))),
        (HueShift(4), moved_as(HueShift(4, "hsv"))),
        (HueShift(4, "hsv") * P4(), moved_as(P4() * HueShift(4, "hsv"))),
    ],
    ids=["wrong direction", "linear", "wrong space", "wrong space, hsv", "linear layer", "factors swapped"],
)
def test_wrong_moves_are_rejected(group, move):
    with pytest.raises(AssertionError, match="not equivariant"):
        assert_equivariant(lift(group), move=move, tolerance=1e-3)


@pytest.mark.parametrize("group", [HueShift(4, "hsv"), HueShift(3, "lab"), Color(2, 3, space="hsl")], ids=repr)
def test_gradients_are_those_of_the_function(group):
    layer = GroupConv2d(group.image, group.regular, 3).double()
    x = torch.rand(1, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, x)


@pytest.mark.parametrize("group", [HueShift(4, "hsv") * P4(), Color(3, 2)], ids=repr)
def test_networks(group):
    torch.manual_seed(0)
    net = CNN(group, 2, classes=3, kernel_sizes=(3, 3, 3)).train()
    net(torch.rand(4, 3, 14, 14))
    assert_equivariant(on_cover(net.eval()), size=(14, 14))
    resnet = ResNet(group, RESNET18, 1, classes=3).eval()
    assert_equivariant(on_cover(resnet), size=(9, 9), tolerance=1e-9)


def test_a_hybrid_network_drops_saturation_then_hue():
    both, hue = Color(3, 2), HueShift(3, "hsv")
    net = CNN([both, both, hue, Trivial()], 2, classes=3, kernel_sizes=(3, 3, 3, 3)).eval()
    assert_equivariant(on_cover(net), size=(16, 16))
    images = torch.rand(2, 3, 16, 16)
    assert torch.isfinite(net(images)).all()


@pytest.mark.parametrize("group", [HueShift(4, "hsv") * P4M(), Color(2, 2) * P4()], ids=repr)
def test_plans_serve_what_is_lifted(group):
    torch.manual_seed(0)
    hidden = GroupConv2d(2 * group.regular, 2 * group.regular, 3).double()
    x = torch.randn(2, *hidden.in_type.shape, 6, 6, dtype=torch.float64)
    expected = hidden(x)
    for plan in ("fourier", "steered"):
        hidden.execution = plan
        torch.testing.assert_close(hidden(x), expected, atol=1e-12, rtol=0)
    layer, images = lift(group).double(), torch.rand(2, 3, 6, 6, dtype=torch.float64)
    assert layer.plan_for(images) == "dense"


@pytest.mark.parametrize("group", [HueShift(4, "hsv") * P4(), Saturation(3), HueShift(3, "lab")], ids=repr)
def test_modes(group, tmp_path):
    layer, x = lift(group).eval(), torch.rand(3, 3, 9, 9)
    expected = layer(x)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), expected)
    program = torch.export.export(layer, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.testing.assert_close(program.module()(x[:2]), expected[:2])
    torch.testing.assert_close(equiconv.export(layer, x)(x[:2]), expected[:2])
    torch.testing.assert_close(torch.vmap(layer)(x[None])[0], expected)
    equiconv.save(layer, tmp_path / "layer.safetensors")
    loaded = equiconv.load(tmp_path / "layer.safetensors").eval()
    assert torch.equal(loaded(x), expected)
    assert loaded.in_type == layer.in_type
    assert torch.equal(copy.deepcopy(layer).to(memory_format=torch.channels_last)(x), expected)
    assert layer.to(torch.bfloat16)(x.bfloat16()).dtype == torch.bfloat16


def test_layers_that_do_not_commute_with_shifts_of_color():
    image, regular = HueShift(4, "hsv").image, HueShift(4, "hsv").regular
    with pytest.raises(
        FieldTypeError, match=r"SpatialPool does not commute with shifts of colors.*lift the images first"
    ):
        SpatialPool(image, 2)
    with pytest.raises(FieldTypeError, match="not moved linearly; take regular fields"):
        GroupConv2d(regular, image, 3)
    with pytest.raises(FieldTypeError, match="no part of a sum"):
        image + regular
    with pytest.raises(FieldTypeError, match="no convolution lifts images"):
        on_cover(nn.Conv2d(3, 3, 3))
