"""CEConv: its layers by its names, and their weights."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from predecessor_layers import Hue
from predecessors import drawn
from torch import nn

from equiconv.errors import EquiconvError, ShapeError
from equiconv.groups import HueShift, Trivial
from equiconv.interop.ceconv import CEConv2d, GroupCosetAvgPool, GroupCosetMaxPool, GroupMaxPool2d, from_ceconv
from equiconv.layers import ColorSpace, GroupConv2d, GroupPool, SpatialPool
from equiconv.testing import assert_equivariant

GOLDEN = np.load(Path(__file__).parent / "golden" / "predecessors.npz")
CASES = sorted({key.split("/")[0] for key in GOLDEN.files if key.startswith("ceconv")})


def golden(case):
    """Return input, output, weights and the arguments of the layer."""
    keys = [key for key in GOLDEN.files if key.startswith(f"{case}/param.")]
    weights = {key.split("param.")[1]: torch.from_numpy(GOLDEN[key]) for key in keys}
    x, y = (torch.from_numpy(GOLDEN[f"{case}/{key}"]) for key in ("input", "output"))
    meta = ast.literal_eval(str(GOLDEN[f"{case}/meta"]))
    return x, y, weights, lambda: CEConv2d(*meta["args"], **meta["kwargs"])


@pytest.mark.parametrize("case", CASES)
def test_layers_compute_what_was_recorded(case):
    x, y, weights, make = golden(case)
    conv = make()
    assert from_ceconv(weights, into=conv) is conv
    torch.testing.assert_close(conv(x), y, rtol=1e-5, atol=1e-5)
    for name in set(weights) - {"transformation_matrix"}:
        other = from_ceconv({**weights, name: weights[name].flip(0)}, into=make())
        assert (other(x) - y).abs().max() > 0.01


def test_layers_have_the_types_of_hue_shifts():
    group = HueShift(3)
    lift, conv = CEConv2d(1, 3, 3, 4, 5, padding=2), CEConv2d(3, 3, 4, 6, 3, padding="same", stride=1)
    assert (lift.in_type, lift.out_type) == (1 * group.image, 4 * group.regular)
    assert (conv.in_type, conv.out_type, conv.factorization) == (4 * group.regular, 6 * group.regular, "g")
    assert lift.factorization is None
    assert CEConv2d(3, 3, 4, 6, 3, False, False).factorization is None
    for layer in (lift, conv):
        assert_equivariant(layer, size=(7, 6))


def test_one_hue_is_the_ordinary_convolution():
    lift, conv = (CEConv2d(1, 1, i, 4, 3, separable=True) for i in (3, 5))
    x = torch.randn(2, 3, 6, 6)
    expected = nn.functional.conv2d(x, lift.weight.reshape(4, 3, 3, 3), lift.bias.flatten())
    torch.testing.assert_close(lift(x)[:, :, 0], expected)
    assert conv(torch.randn(2, 5, 1, 6, 6)).shape == (2, 4, 1, 4, 4)
    for layer, i in ((lift, 3), (conv, 5)):
        weights = {"weight": torch.rand(4, i, 1, 3, 3), "bias": torch.rand(4), "transformation_matrix": torch.eye(3)}
        assert from_ceconv(weights, into=layer) is layer


def test_every_keyword_of_conv2d_has_an_effect():
    usual = {"stride": 2, "padding": (1, 2), "dilation": (1, 2), "groups": 2, "padding_mode": "circular", "bias": True}
    conv = CEConv2d(3, 3, 4, 6, (3, 2), separable=False, dtype=torch.float64, **usual)
    x = torch.randn(2, 4, 3, 9, 8, dtype=torch.float64)
    plain_conv = nn.Conv2d(12, 18, (3, 2), dtype=torch.float64, **usual)
    with torch.no_grad():
        plain_conv.weight.copy_(conv.kernel())
        plain_conv.bias.copy_(conv.expanded_bias())
        y = conv(x)
        torch.testing.assert_close(y, plain_conv(x.flatten(1, 2)).unflatten(1, (6, 3)), rtol=1e-10, atol=1e-10)
        for name, value in {"stride": 1, "padding": 1, "dilation": 1, "padding_mode": "zeros"}.items():
            other = CEConv2d(3, 3, 4, 6, (3, 2), separable=False, dtype=torch.float64, **{**usual, name: value})
            other.load_state_dict(conv.state_dict())
            assert other(x).shape != y.shape or (other(x) - y).abs().max() > 0.01
    assert CEConv2d(3, 3, 4, 6, 3, bias=False, device="meta").pointwise.is_meta


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((4, 2, 8, 8, 3), "no such layer is equivariant"),
        ((3, 1, 8, 8, 3), "no such layer is equivariant"),
        ((1, 3, 1, 8, 3), "three channels"),
        ((1, 3, 6, 8, 3), "three channels"),
        ((3, 3, 8, 8, 3, True), "maps have none"),
        ((1, 3, 3, 8, 3, 1), "True or False"),
        ((1, 0, 3, 8, 3), "n >= 1"),
        ((1, 3, 3, 8, 0), "kernel_size"),
        ((1, 3, 3, 0, 3), "n >= 1"),
    ],
)
def test_what_is_silently_wrong_there_is_refused_here(arguments, match):
    with pytest.raises(EquiconvError, match=match):
        CEConv2d(*arguments)


def test_learned_colors_are_a_learned_color_space():
    layer = CEConv2d(1, 3, 3, 4, 3, learnable=True)
    space, conv = layer
    assert isinstance(space, ColorSpace)
    x = torch.randn(1, 3, 5, 5)
    torch.testing.assert_close(layer(x), conv(x))  # the hue shifts themselves, in the beginning
    with torch.no_grad():
        space.weight.copy_(torch.randn(3, 3))
    shift = torch.linalg.solve(space.weight, torch.tensor(HueShift(3).color[1]).float() @ space.weight)
    moved = torch.einsum("cd,bdhw->bchw", shift, x)
    torch.testing.assert_close(layer(moved), layer(x).roll(1, 2), rtol=1e-4, atol=1e-4)
    assert (layer(x.roll(1, 1)) - layer(x).roll(1, 2)).abs().max() > 0.01


def test_pooling():
    x, hues = torch.randn(2, 4, 3, 9, 8), HueShift(3)
    torch.testing.assert_close(GroupCosetMaxPool()(x), GroupPool(4 * hues.regular)(x))
    torch.testing.assert_close(GroupCosetAvgPool()(x), GroupPool(4 * hues.regular, mode="mean")(x))
    torch.testing.assert_close(GroupMaxPool2d(2)(x), SpatialPool(4 * hues.regular, 2)(x))
    options = {"dilation": 2, "ceil_mode": True}
    expected = nn.MaxPool2d((2, 3), 2, 1, **options)(x.flatten(1, 2)).unflatten(1, (4, 3))
    pool = GroupMaxPool2d((2, 3), 2, 1, **options)
    assert torch.equal(pool(x), expected)
    assert torch.equal(pool(x.mT.contiguous().mT), expected)  # not contiguous
    assert GroupMaxPool2d((2, 3), 2, 1, dilation=2)(x).shape != expected.shape
    for layer in (pool, GroupCosetMaxPool(), GroupCosetAvgPool()):
        with pytest.raises(ShapeError, match=r"\(B, C, G, H, W\)"):
            layer(x[:, :, 0])
    with pytest.raises(ShapeError, match="half of the window"):
        GroupMaxPool2d(2, padding=2)


class Readme(nn.Module):
    """The example of CEConv's README."""

    def __init__(self):
        super().__init__()
        self.conv1 = CEConv2d(1, 3, 3, 32, 3, padding=1)
        self.conv2 = CEConv2d(3, 3, 32, 64, 3, padding=1)
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = self.conv1(x)
        x = self.conv2(x)
        x = torch.mean(x, dim=(2, 3, 4))
        return self.fc(x)


class Spelled(nn.Module):
    """The same with kernels spelled out."""

    forward = Readme.forward

    def __init__(self):
        super().__init__()
        self.conv1 = Hue(1, 3, 3, 32, 3, padding=1)
        self.conv2 = Hue(3, 3, 32, 64, 3, separable=True, padding=1)
        self.fc = nn.Linear(64, 10)


def test_the_readme_example_and_its_weights():
    theirs, ours = drawn(Spelled()), Readme().double()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    assert (ours(x) - theirs(x)).abs().max() > 0.01
    assert from_ceconv({f"module.{name}": value for name, value in theirs.state_dict().items()}, into=ours) is ours
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(ours(x.roll(1, 1)), ours(x), rtol=1e-10, atol=1e-10)
    with pytest.raises(EquiconvError, match="make it with CEConv2d"):
        from_ceconv(theirs.state_dict())


@pytest.mark.parametrize("saved", ["", "model.", "module.model.", "net.", "ema_model.module."])
def test_a_wrapper_can_be_filled_as_well_as_what_is_in_it(saved):
    theirs, x = drawn(Spelled()), torch.randn(2, 3, 8, 8, dtype=torch.float64)
    state = {f"{saved}{name}": value for name, value in theirs.state_dict().items()}
    for ours in (Readme(), nn.ModuleDict({"model": Readme()}), nn.DataParallel(nn.ModuleDict({"model": Readme()}))):
        from_ceconv(state, into=ours.double())
        inner = next(module for module in ours.modules() if isinstance(module, Readme))
        torch.testing.assert_close(inner(x), theirs(x), rtol=1e-10, atol=1e-10)


def test_a_network_without_memory_is_not_filled():
    state = drawn(Spelled()).state_dict()
    with torch.device("meta"):
        ours = Readme()
    with pytest.raises(EquiconvError, match=r"meta device.*to_empty"):
        from_ceconv(state, into=ours)
    from_ceconv(state, into=ours.to_empty(device="cpu"))


def test_nothing_changes_in_what_is_not_filled():
    conv, before = CEConv2d(3, 3, 2, 4, 3), {}
    before.update({name: value.clone() for name, value in conv.state_dict().items()})
    weights = {"weight": torch.rand(4, 2, 1, 3, 3), "pointwise_weight": torch.rand(4, 2, 3, 1, 1)}
    with pytest.raises(EquiconvError, match="bias is missing"):
        from_ceconv(weights, into=conv)
    assert all(torch.equal(value, before[name]) for name, value in conv.state_dict().items())


@pytest.mark.parametrize(
    ("state", "match"),
    [
        (golden("ceconv_hidden_r3_full")[2], "make it with CEConv2d"),
        ({"a.b": torch.zeros(2)}, "not the names of a network of CEConv: a.b"),
        ("weights.pth", "got str"),
    ],
)
def test_what_is_no_network_is_refused(state, match):
    with pytest.raises(EquiconvError, match=match):
        from_ceconv(state)


def test_a_learned_color_space_takes_no_weights():
    layer = CEConv2d(1, 3, 3, 4, 3, learnable=True)
    weights = {"weight": torch.rand(4, 3, 1, 3, 3), "bias": torch.rand(4), "transformation_matrix": torch.rand(3, 3)}
    with pytest.raises(EquiconvError, match="learned color space"):
        from_ceconv(weights, into=layer)


def test_kernels_of_harmonics_take_no_weights():
    group = HueShift(3)
    conv = GroupConv2d(group.image, 2 * group.regular, 3, basis="harmonics")
    with pytest.raises(EquiconvError, match="not of pixels"):
        from_ceconv({"weight": torch.rand(2, 3, 1, 3, 3), "bias": torch.rand(2)}, into=conv)


def test_trivial_layers_of_a_network_are_filled_too():
    net = nn.ModuleDict(
        {"conv": GroupConv2d(3 * Trivial().trivial, 4 * Trivial().regular, 3), "norm": nn.BatchNorm2d(4)}
    )
    state = {"conv.weight": torch.rand(4, 3, 3, 3), "conv.bias": torch.rand(4)}
    state |= {f"norm.{name}": value + 1 for name, value in nn.BatchNorm2d(4).state_dict().items()}
    from_ceconv(state, into=net)
    assert torch.equal(net["norm"].running_mean, torch.ones(4))
    assert torch.equal(net["conv"].weight.view(4, 3, 3, 3), state["conv.weight"])
