"""CEConv: its layers by its names, and its networks from their weights."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from predecessors import (
    TORCHVISION,
    ColoredDigits,
    Digits,
    Hue,
    ceresnet,
    drawn,
    hue_matrix,
    plain,
    trainable,
)
from torch import nn

from equiconv.errors import EquiconvError, ShapeError
from equiconv.groups import HueShift, Trivial
from equiconv.interop.ceconv import CEConv2d, GroupCosetAvgPool, GroupCosetMaxPool, GroupMaxPool2d, from_ceconv
from equiconv.layers import ColorSpace, FieldDropout, GroupConv2d, GroupPool, SpatialPool
from equiconv.models import CNN, ResNet
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


@pytest.mark.parametrize("saved", ["", "model.", "module.model."])
def test_a_wrapper_can_be_filled_as_well_as_what_is_in_it(saved):
    theirs, x = drawn(Spelled()), torch.randn(2, 3, 8, 8, dtype=torch.float64)
    state = {f"{saved}{name}": value for name, value in theirs.state_dict().items()}
    for ours in (Readme(), nn.ModuleDict({"model": Readme()}), nn.DataParallel(nn.ModuleDict({"model": Readme()}))):
        from_ceconv(state, into=ours.double())
        inner = next(module for module in ours.modules() if isinstance(module, Readme))
        torch.testing.assert_close(inner(x), theirs(x), rtol=1e-10, atol=1e-10)


NETWORKS = {  # what makes it, the rows of its images, and what it becomes
    "CNN": (lambda: Digits(plain, plain, 4, 1, 3), 28, CNN),
    **{
        f"CECNN {hues} {colored} {coset} {separable}": (
            lambda h=hues, c=colored, p=coset, s=separable: ColoredDigits(3, h, c, p, 5, s),
            28,
            CNN,
        )
        for hues in (3, 4)
        for colored in (1, 2, 4, 7)
        for coset in (True, False)
        for separable in (True, False)
    },
    **{f"ResNet{depth}": (lambda d=depth: ceresnet(d, (2, 4, 8, 16)), 40, ResNet) for depth in (18, 34, 50, 101, 152)},
    **{
        f"torchvision {depth}": (lambda d=depth: ceresnet(d, (2, 4, 8, 16), names=TORCHVISION), 40, ResNet)
        for depth in (18, 50)
    },
    "ResNet44": (lambda: ceresnet(44, (3, 6, 12)), 12, ResNet),
    **{
        f"CE-ResNet{depth} {options}": (
            lambda d=depth, o=options: ceresnet(d, (2, 5, 9, 11)[: 4 - (d == 44)], 3, **o),
            size,
            ResNet,
        )
        for depth, size in ((18, 40), (44, 12), (50, 40))
        for options in ({}, {"separable": True}, {"separable": True, "coset": False})
    },
    **{
        f"Hybrid{depth} {colored} {separable}": (
            lambda d=depth, c=colored, s=separable: ceresnet(
                d, (2, 4, 8, 16)[: 4 - (d == 44)], 3, colored=c, separable=s
            ),
            12 if depth == 44 else 40,
            ResNet,
        )
        for depth in (18, 44)
        for colored in range(1, 4 - (depth == 44))
        for separable in (True, False)
    },
    "two hues": (lambda: ceresnet(18, (2, 4, 8, 16), 2, separable=True), 40, ResNet),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_compute_the_same(name):
    make, size, kind = NETWORKS[name]
    theirs = drawn(make())
    ours = from_ceconv(theirs.state_dict()).eval()
    assert isinstance(ours, kind)
    assert trainable(ours) == trainable(theirs)
    x = torch.randn(2, 3, size, size, dtype=torch.float64)
    with torch.no_grad():
        y, expected = ours(x), theirs(x)
        scale = expected.abs().max()
        torch.testing.assert_close(y / scale, expected / scale, rtol=1e-10, atol=1e-10)
        assert (ours(x.flip(-1)) - expected).abs().max() > 1e-6 * scale  # logits tell images apart


PUBLISHED = {  # parameters that are trained, as published; of residual networks with 10 or 1000 classes
    "CNN": (lambda: Digits(plain, plain, 20, 1, 3), 25_570),
    "CECNN": (lambda: ColoredDigits(17, 3), 24_167),
    "CECNN coset": (lambda: ColoredDigits(17, 3, coset=True), 23_827),
    "CECNN hybrid 2": (lambda: ColoredDigits(19, 3, 2, True), 24_216),
    "CECNN hybrid 4": (lambda: ColoredDigits(18, 3, 4, True), 23_734),
    "CECNN full": (lambda: ColoredDigits(17, 3, coset=True, separable=False), 53_883),
    "ResNet44": (lambda: ceresnet(44, (32, 64, 128)), 2_636_458),
    "CE-ResNet44": (lambda: ceresnet(44, (27, 55, 110), 3, separable=True), 2_602_596),
    "CE-ResNet44 flat": (lambda: ceresnet(44, (27, 55, 110), 3, separable=True, coset=False), 2_604_796),
    "CE-ResNet44 full": (lambda: ceresnet(44, (18, 36, 73), 3), 2_551_163),
    "Hybrid44 1": (lambda: ceresnet(44, (31, 62, 124), 3, colored=1, separable=True), 2_514_885),
    "Hybrid44 2": (lambda: ceresnet(44, (30, 60, 120), 3, colored=2, separable=True), 2_504_920),
    "ResNet18": (lambda: ceresnet(18, (64, 128, 256, 512), classes=1000), 11_689_512),
    "CE-ResNet18": (lambda: ceresnet(18, (55, 110, 221, 443), 3, separable=True, classes=1000), 11_788_360),
    "Hybrid18 1": (lambda: ceresnet(18, (63, 126, 252, 504), 3, colored=1, separable=True, classes=1000), 11_382_895),
    "ResNet34": (lambda: ceresnet(34, (64, 128, 256, 512), classes=1000), 21_797_672),
    "ResNet50": (lambda: ceresnet(50, (64, 128, 256, 512), classes=1000), 25_557_032),
    "CE-ResNet50": (lambda: ceresnet(50, (40, 81, 162, 325), 3, separable=True, classes=1000), 25_779_256),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_spelled_networks_are_the_published_ones(name):
    make, count = PUBLISHED[name]
    with torch.device("meta"):
        assert trainable(make()) == count


@pytest.mark.parametrize("name", ["CECNN hybrid 2", "CE-ResNet44 flat", "Hybrid44 1"])
def test_published_widths(name):
    make, count = PUBLISHED[name]
    theirs = drawn(make())
    ours = from_ceconv(theirs.state_dict()).eval()
    assert trainable(ours) == count
    x = torch.randn(1, 3, 28, 28, dtype=torch.float64)
    with torch.no_grad():
        expected = theirs(x)
        torch.testing.assert_close(ours(x) / expected.std(), expected / expected.std(), rtol=1e-8, atol=1e-8)


def hybrid():
    return drawn(ceresnet(44, (2, 4, 8), 3, colored=1, separable=True)).state_dict()


def digits():
    return drawn(ColoredDigits(5, 3, 2, True)).state_dict()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s: s.pop("layers.1.3.conv2.weight"), r"layers\.1\.3\.conv2\.weight is missing"),
        (lambda s: s.pop("layers.1.0.conv1.weight"), r"layers\.1\.0\.conv1\.weight is missing"),
        (lambda s: s.pop("linear.weight"), r"linear\.weight is missing"),
        (lambda s: s.pop("conv1.weight"), r"conv1\.weight is missing"),
        (lambda s: s.pop("bn1.running_mean"), r"bn1\.running_mean is missing"),
        (lambda s: s.update({"layers.0.0.conv1.bias": torch.zeros(2)}), r"layers\.0\.0\.conv1\.bias has no place"),
        (lambda s: s.update({"linear.weight": torch.zeros(10, 5)}), r"linear\.weight is \(10, 5\) and not \(10, 8\)"),
        (lambda s: s.update({"conv1.weight": torch.zeros(2, 3, 3, 3, 1)}), "conv1.weight has 1 columns"),
        (lambda s: s.update({"conv1.weight": torch.zeros(3)}), r"conv1\.weight is \(3,\)"),
        (lambda s: s.update({"conv1.weight": torch.zeros(3, 2, 1, 3, 3)}), r"\(3, 2, 1, 3, 3\) and not"),
        (lambda s: s.update(transformation_matrix=torch.eye(3)), "transformation_matrix has no place"),
        (lambda s: s["conv1.transformation_matrix"].copy_(hue_matrix(4)), "another number of hues"),
        (lambda s: s["conv1.transformation_matrix"].uniform_(-1 / 3, 1 / 3), "no group"),
        (lambda s: s["conv1.transformation_matrix"].t_(), "no group"),
        (lambda s: s.clear(), "expected a state dict"),
        (lambda s: s.update({"epoch": 3}), "not tensors are: epoch"),
    ],
)
def test_weights_that_do_not_fit_are_refused(change, match):
    state = hybrid()
    change(state)
    with pytest.raises(EquiconvError, match=match):
        from_ceconv(state)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s: s.pop("ceconv_list.1.0.pointwise_weight"), r"ceconv_list\.1\.0\.weight is"),
        (lambda s: s.pop("conv2d_list.2.0.weight"), r"conv2d_list\.2\.0\.weight is missing"),
        (lambda s: s["ceconv_list.0.0.transformation_matrix"].copy_(torch.eye(3)), "no hue shift"),
        (lambda s: s["ceconv_list.0.0.transformation_matrix"].mul_(2), "is not the hue shift"),
        (lambda s: s.update({"fc.weight": torch.zeros(10)}), r"fc\.weight is \(10,\)"),
    ],
)
def test_digits_that_do_not_fit_are_refused(change, match):
    state = digits()
    change(state)
    with pytest.raises(EquiconvError, match=match):
        from_ceconv(state)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_precision_is_that_of_the_weights(dtype):
    state = {name: value.to(dtype) if value.is_floating_point() else value for name, value in digits().items()}
    net = from_ceconv(state)
    assert {parameter.dtype for parameter in net.parameters()} == {dtype}
    assert net.features[0](torch.rand(1, 3, 8, 8, dtype=dtype)).dtype == dtype


def test_nothing_changes_in_what_is_not_filled():
    conv, before = CEConv2d(3, 3, 2, 4, 3), {}
    before.update({name: value.clone() for name, value in conv.state_dict().items()})
    weights = {"weight": torch.rand(4, 2, 1, 3, 3), "pointwise_weight": torch.rand(4, 2, 3, 1, 1)}
    with pytest.raises(EquiconvError, match="bias is missing"):
        from_ceconv(weights, into=conv)
    assert all(torch.equal(value, before[name]) for name, value in conv.state_dict().items())


def test_other_weights_give_other_logits():
    state = digits()
    x = torch.randn(2, 3, 28, 28, dtype=torch.float64)
    expected = from_ceconv(state).eval()(x)
    for name in ("ceconv_list.0.0.weight", "ceconv_list.1.0.weight", "conv2d_list.0.0.weight"):
        turned = {**state, name: torch.rot90(state[name], 1, (-2, -1))}
        assert (from_ceconv(turned).eval()(x) - expected).abs().max() > 1e-3
    flipped = state["ceconv_list.1.0.pointwise_weight"].flip(2)
    other = from_ceconv({**state, "ceconv_list.1.0.pointwise_weight": flipped})
    assert (other.eval()(x) - expected).abs().max() > 1e-3


def test_the_padding_of_the_stem_is_that_of_the_names_or_the_argument():
    state = {
        name: value.float()
        for name, value in drawn(ceresnet(18, (2, 4, 8, 16), names=TORCHVISION)).state_dict().items()
    }
    renamed = {
        "linear" + name[2:] if name.startswith("fc") else name.replace("downsample", "shortcut"): value
        for name, value in state.items()
    }
    for number in range(4):
        renamed = {name.replace(f"layer{number + 1}", f"layers.{number}"): value for name, value in renamed.items()}
    x = torch.randn(1, 3, 40, 40)
    theirs, renamed_net, narrow = (
        net.eval()(x) for net in (from_ceconv(state), from_ceconv(renamed), from_ceconv(state, stem_padding=1))
    )
    torch.testing.assert_close(renamed_net, narrow)
    assert (theirs - narrow).abs().max() > 1e-3
    with pytest.raises(EquiconvError, match="stem_padding is for residual networks"):
        from_ceconv(digits(), stem_padding=1)
    with pytest.raises(EquiconvError, match="stem_padding is for residual networks"):
        from_ceconv(state, into=Readme(), stem_padding=1)


@pytest.mark.parametrize("options", [{"colored": 1}, {"coset": False}], ids=str)
def test_training_goes_on_as_it_would_have(options):
    theirs = drawn(ceresnet(44, (2, 4, 8), 3, separable=True, **options)).train()
    ours = from_ceconv(theirs.state_dict())
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-8, atol=1e-8)  # by the statistics of the batch
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=1e-8, atol=1e-8)  # by those kept since
    assert (from_ceconv(theirs.state_dict())(x) - theirs(x)).abs().max() > 1e-3


def test_early_weights_do_not_count_batches():
    state = {name: value for name, value in digits().items() if not name.endswith("num_batches_tracked")}
    net = from_ceconv(state)
    x = torch.randn(1, 3, 28, 28, dtype=torch.float64)
    assert torch.equal(net.eval()(x), from_ceconv(digits_like(state)).eval()(x))


def digits_like(state):
    """The weights with counts."""
    counts = [name.replace("running_mean", "num_batches_tracked") for name in state if name.endswith("running_mean")]
    return {**state, **{name: torch.tensor(7) for name in counts}}


def test_the_result_is_trained_as_it_was():
    net = from_ceconv({name: value.float() for name, value in digits().items()})
    assert net.training
    assert [module.p for module in net.modules() if isinstance(module, (nn.Dropout3d, FieldDropout))] == [0.3] * 4
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}
    assert all(parameter.requires_grad for parameter in net.parameters())


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
