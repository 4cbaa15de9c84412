"""SepGroupPy and GrouPy: their layers by their names, and the networks of SepGroupPy from their weights."""

import ast
import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from predecessor_layers import FIBERS, Turn
from predecessors import TORCHVISION, ceresnet, drawn, trainable, turndigits, turnresnet
from torch import nn
from torch.nn import functional as F

from equiconv.errors import EquiconvError, ExactnessError, ShapeError
from equiconv.groups import P4, P4M
from equiconv.interop import sepgroupy
from equiconv.interop.ceconv import from_ceconv
from equiconv.interop.sepgroupy import GroupCosetMaxPool, GroupMaxPool2d, P4ConvP4, P4ConvZ2, from_sepgroupy
from equiconv.layers import GroupPool, SpatialPool
from equiconv.models import CNN, ResNet
from equiconv.testing import assert_equivariant

GOLDEN = np.load(Path(__file__).parent / "golden" / "predecessors.npz")
CASES = sorted({key.split("/")[0] for key in GOLDEN.files if not key.startswith("ceconv")})
HIDDEN = [f"{kind}{group}Conv{group}" for kind in ("", "g", "gc") for group in FIBERS]
LIFTING = [f"{kind}{group}ConvZ2" for kind in ("", "g", "gc") for group in FIBERS]


def golden(case):
    """Return input, output, weights and what makes the layer."""
    keys = [key for key in GOLDEN.files if key.startswith(f"{case}/param.")]
    weights = {key.split("param.")[1]: torch.from_numpy(GOLDEN[key]) for key in keys}
    x, y = (torch.from_numpy(GOLDEN[f"{case}/{key}"]) for key in ("input", "output"))
    meta = ast.literal_eval(str(GOLDEN[f"{case}/meta"]))
    return x, y, weights, lambda: getattr(sepgroupy, meta["cls"])(*meta["args"], **meta["kwargs"])


@pytest.mark.parametrize("case", CASES)
def test_layers_compute_what_was_recorded(case):
    x, y, weights, make = golden(case)
    conv = make()
    assert from_sepgroupy(weights, into=conv) is conv
    torch.testing.assert_close(conv(x), y, rtol=1e-5, atol=1e-5)
    for name in weights:
        other = from_sepgroupy({**weights, name: weights[name].flip(0)}, into=make())
        assert (other(x) - y).abs().max() > 0.01
    turned = {name: torch.rot90(value, 1, (-2, -1)) if value.dim() > 1 else value for name, value in weights.items()}
    assert (from_sepgroupy(turned, into=make())(x) - y).abs().max() > 0.01


def fiber_of(name):
    return 8 if "P4M" in name else 4


def spelled(name, i, o, size, **options):
    kind = "gc" if name.startswith("gc") else "g" if name.startswith("g") else None
    return Turn(fiber_of(name), kind, i, o, size, lifts=name.endswith("Z2"), **options)


@pytest.mark.parametrize("name", [*HIDDEN, *LIFTING])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_layers_compute_what_is_spelled_out(name, size):
    i, o, place = 3, 4, {"stride": 2, "padding": 1}
    theirs = drawn(spelled(name, i, o, size, **place))
    ours = getattr(sepgroupy, name)(i, o, size, 2, 1, exact=False).double()
    from_sepgroupy(theirs.state_dict(), into=ours)
    shape = (2, i, 9, 8) if name.endswith("Z2") else (2, i, fiber_of(name), 9, 8)
    x = torch.randn(*shape, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-10, atol=1e-10)
    assert (ours(x) - theirs(x.flip(-1))).abs().max() > 1e-3


@pytest.mark.parametrize("name", [*HIDDEN, *LIFTING])
def test_layers_have_the_types_of_their_names(name):
    group = P4M() if "P4M" in name else P4()
    conv = getattr(sepgroupy, name)(3, 4, 3, padding=1)
    assert conv.in_type == 3 * (group.trivial if name.endswith("Z2") else group.regular)
    assert conv.out_type == 4 * group.regular
    kind = "gc" if name.startswith("gc") else "g" if name.startswith("g") else None
    assert conv.factorization == (None if name.endswith("Z2") else kind)
    assert_equivariant(conv, size=(6, 7))


@pytest.mark.parametrize("name", HIDDEN[2:])
def test_separable_says_how_it_is_computed(name):
    make = getattr(sepgroupy, name)
    conv, dense = make(4, 4, 3, 1, 1), make(4, 4, 3, 1, 1, separable=False)
    assert (conv.execution, dense.execution) == ("auto", "dense")
    dense.load_state_dict(conv.state_dict())
    x = torch.randn(1, 4, fiber_of(name), 6, 6)
    torch.testing.assert_close(conv(x), dense(x))
    with pytest.raises(EquiconvError, match="separable is True or False"):
        make(4, 4, 3, separable="gc")


@pytest.mark.parametrize("name", [*HIDDEN, *LIFTING])
def test_strides_that_do_not_fit_are_refused_unless_they_are_let_pass(name):
    make = getattr(sepgroupy, name)
    x = torch.randn(1, 2, 8, 8) if name.endswith("Z2") else torch.randn(1, 2, fiber_of(name), 8, 8)
    with pytest.raises(ExactnessError, match="exact=False"):
        make(2, 2, 3, 2, 1)(x)
    assert make(2, 2, 3, 2, 1, exact=False)(x).shape[-2:] == (4, 4)
    with pytest.raises(ShapeError):
        make(2, 2, (3, 2))
    with pytest.raises(EquiconvError, match="n >= 1"):
        make(0, 2, 3)


def test_other_floats_and_layouts_work():
    conv = P4ConvP4(2, 2, 3, padding=1).double()
    x = torch.randn(1, 2, 4, 6, 6, dtype=torch.float64)
    assert torch.equal(conv(x.mT.contiguous().mT), conv(x))


def test_pooling():
    x = torch.randn(2, 3, 8, 8, 8)
    torch.testing.assert_close(GroupCosetMaxPool()(x), GroupPool(3 * P4M().regular)(x))
    torch.testing.assert_close(GroupMaxPool2d(2)(x), SpatialPool(3 * P4M().regular, 2)(x))
    odd = x[..., :7, :7]
    with pytest.raises(ExactnessError, match="exact=False"):
        GroupMaxPool2d(2)(odd)
    assert GroupMaxPool2d(2, exact=False)(odd).shape == (2, 3, 8, 3, 3)
    assert GroupMaxPool2d(2, exact=False, ceil_mode=True)(odd).shape == (2, 3, 8, 4, 4)
    expected = nn.MaxPool2d(3, 2, 1, dilation=2)(odd.flatten(1, 2)).unflatten(1, (3, 8))
    assert torch.equal(GroupMaxPool2d(3, 2, 1, dilation=2)(odd), expected)
    with pytest.raises(ExactnessError, match="square windows"):
        GroupMaxPool2d((2, 3), 1)


def test_the_readme_examples():
    in_channels, out_channels, kernel_size, stride, padding, bias = 4, 8, 3, 1, 1, False
    layer = sepgroupy.gcP4MConvP4M(in_channels, out_channels, kernel_size, stride, padding, bias)
    assert layer(torch.randn(2, 4, 8, 9, 9)).shape == (2, 8, 8, 9, 9)
    assert layer.bias is None
    first = P4ConvZ2(in_channels=3, out_channels=64, kernel_size=3, stride=1, padding=1, bias=False)
    second = P4ConvP4(in_channels=64, out_channels=64, kernel_size=3, stride=1, padding=1, bias=False)
    assert second(first(torch.randn(10, 3, 9, 9))).shape == (10, 64, 4, 9, 9)


class Own(nn.Module):
    """A network of one's own."""

    def __init__(self, lift, hidden):
        super().__init__()
        self.lift, self.norm, self.conv = lift, nn.BatchNorm3d(3), hidden
        self.fc = nn.Linear(2, 5)

    def forward(self, x):
        x = self.conv(F.relu(self.norm(self.lift(x))))
        return self.fc(x.amax(2).mean((-2, -1)))


def test_a_network_of_ones_own():
    theirs = drawn(Own(Turn(8, None, 1, 3, 3, lifts=True), Turn(8, "gc", 3, 2, 3)))
    ours = Own(sepgroupy.P4MConvZ2(1, 3, 3), sepgroupy.gcP4MConvP4M(3, 2, 3)).double().eval()
    state = {f"module.{name}": value for name, value in theirs.state_dict().items()}
    assert from_sepgroupy({"epoch": 3, "state_dict": state}, into=ours) is ours
    x = torch.randn(2, 1, 8, 9, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-10, atol=1e-10)
    assert (ours(x.flip(-1)) - theirs(x)).abs().max() < 1e-10  # invariant
    with pytest.raises(EquiconvError, match=r"conv\.depthwise_weight has no place"):
        from_sepgroupy(state, into=Own(sepgroupy.P4MConvZ2(1, 3, 3), sepgroupy.P4MConvP4M(3, 2, 3)))


DIGITS = {  # width, group, factorization: parameters as published
    "Z2CNN": ((20,), 25_210),
    "c-Z2CNN": ((57, None, "c"), 25_603),
    "P4CNN": ((10, "P4"), 24_810),
    "g-P4CNN-small": ((10, "P4", "g"), 8_910),
    "g-P4CNN": ((17, "P4", "g"), 25_255),
    "gc-P4CNN-small": ((10, "P4", "gc"), 3_420),
    "gc-P4CNN": ((30, "P4", "gc"), 24_640),
}
RESIDUAL = {  # widths, group, factorization
    "ResNet44": (((32, 64, 128),), 2_636_458),
    "c-ResNet44": (((32, 64, 128), None, "c"), 338_154),
    "p4m-ResNet44": (((11, 23, 45), "P4M"), 2_621_829),
    "g-p4m-ResNet44": (((19, 38, 76), "P4M", "g"), 1_782_381),
    "gc-p4m-ResNet44": (((28, 56, 112), "P4M", "gc"), 1_884_270),
}


def same_logits(theirs, ours, *shape):
    x = torch.randn(2, *shape, dtype=torch.float64)
    with torch.no_grad():
        expected = theirs(x)
        scale = expected.abs().max()
        torch.testing.assert_close(ours(x) / scale, expected / scale, rtol=1e-10, atol=1e-10)
        assert (ours(x.roll(3, -1)) - expected).abs().max() > 1e-6 * scale  # logits tell images apart


@pytest.mark.parametrize("name", DIGITS)
def test_digits_compute_the_same(name):
    arguments, count = DIGITS[name]
    theirs = drawn(turndigits(*arguments))
    ours = from_sepgroupy(theirs.state_dict()).eval()
    assert isinstance(ours, CNN)
    assert trainable(theirs) == trainable(ours) == count
    same_logits(theirs, ours, 1, 28, 28)
    if "P4" in name:
        assert_equivariant(ours, size=(28, 28))


def test_any_prefix_of_all_names_is_taken_off():
    state = drawn(turndigits(*DIGITS["gc-P4CNN-small"][0])).state_dict()
    plain = from_sepgroupy(state).state_dict()
    other = from_sepgroupy({"net": {f"student.net.{name}": value for name, value in state.items()}}).state_dict()
    assert all(torch.equal(value, other[name]) for name, value in plain.items())
    with pytest.raises(EquiconvError, match="not the names"):
        from_sepgroupy({f"{name[0]}.net.{name}": value for name, value in state.items()})


@pytest.mark.parametrize("name", RESIDUAL)
def test_residual_networks_compute_the_same(name):
    (widths, *others), count = RESIDUAL[name]
    with torch.device("meta"):
        assert trainable(turnresnet(widths, *others)) == count
    theirs = drawn(turnresnet((3, 4, 6), *others))
    ours = from_sepgroupy(theirs.state_dict()).eval()
    assert isinstance(ours, ResNet)
    assert trainable(theirs) == trainable(ours)
    same_logits(theirs, ours, 3, 12, 12)


def test_published_widths():
    (widths, *others), count = RESIDUAL["gc-p4m-ResNet44"]
    theirs = drawn(turnresnet(widths, *others))
    assert trainable(from_sepgroupy(theirs.state_dict())) == count


def test_training_goes_on_as_it_would_have():
    theirs = drawn(turnresnet((2, 3, 4), "P4M", "gc")).train()
    ours = from_sepgroupy(theirs.state_dict())
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-8, atol=1e-8)  # by the statistics of the batch
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=1e-8, atol=1e-8)  # by those kept since
    assert (from_sepgroupy(theirs.state_dict())(x) - theirs(x)).abs().max() > 1e-3


def test_layers_can_be_exported_and_copied():
    net = nn.Sequential(P4ConvZ2(1, 2, 3), GroupMaxPool2d(2), sepgroupy.gP4ConvP4(2, 2, 3), GroupCosetMaxPool()).eval()
    x = torch.randn(2, 1, 10, 10)
    y = net(x)
    assert torch.equal(torch.export.export(net, (x,)).module()(x), y)
    assert torch.equal(copy.deepcopy(net)(x), y)
    assert (
        repr(net[1])
        == "WindowMaxPool((2, 2), stride=(2, 2), padding=(0, 0), dilation=(1, 1), ceil_mode=False, exact=True)"
    )


def p4m():
    return drawn(turnresnet((2, 3, 4), "P4M", "g")).state_dict()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s: s.pop("layer2.3.bn2.running_var"), r"layer2\.3\.bn2\.running_var is missing"),
        (lambda s: s.pop("layer3.0.downsample.0.weight"), r"layer3\.0\.downsample\.0\.weight is missing"),
        (lambda s: s.pop("layer1.0.conv1.depthwise_weight"), r"layer1\.0\.conv1\.depthwise_weight|conv1\.weight"),
        (lambda s: s.update({"layer4.0.conv1.weight": torch.zeros(4, 4, 8, 3, 3)}), "layer4"),
        (lambda s: s.update({"fc.weight": torch.zeros(10, 9)}), r"fc\.weight is \(10, 9\)"),
        (lambda s: s.update({"bn1.weight": torch.zeros(2)}), r"bn1\.weight is \(2,\) and not \(4,\)"),
        (lambda s: s.update({"extra": torch.zeros(1)}), "extra has no place"),
        (lambda s: s.update({"layer1.0.conv1.pointwise_weight": torch.zeros(2, 2, 5, 1, 1)}), "4 and 8 elements"),
    ],
)
def test_weights_that_do_not_fit_are_refused(change, match):
    state = p4m()
    change(state)
    with pytest.raises(EquiconvError, match=match):
        from_sepgroupy(state)


def test_rotated_weights_give_other_logits():
    state = p4m()
    x = torch.randn(1, 3, 12, 12, dtype=torch.float64)
    expected = from_sepgroupy(state).eval()(x)
    for name in ("conv1.weight", "layer2.1.conv1.depthwise_weight"):
        turned = {**state, name: torch.rot90(state[name], 1, (-2, -1))}
        assert (from_sepgroupy(turned).eval()(x) - expected).abs().max() > 1e-6 * expected.abs().max()
    name = "layer1.1.conv2.pointwise_weight"
    other = from_sepgroupy({**state, name: state[name].roll(1, 2)}).eval()
    assert (other(x) - expected).abs().max() > 1e-6 * expected.abs().max()


def test_the_order_of_batch_norms_tells_the_networks_apart():
    ordinary = drawn(ceresnet(44, (2, 4, 8), names=TORCHVISION)).state_dict()
    with pytest.raises(EquiconvError, match=r"layer2\.0\.bn1\.weight is \(4,\) and not \(2,\)"):
        from_sepgroupy(ordinary)
    with pytest.raises(EquiconvError, match=r"bn1\.weight is \(8,\) and not \(2,\)"):
        from_ceconv(drawn(turnresnet((2, 4, 8))).state_dict())


def test_a_layer_alone_has_to_be_made():
    with pytest.raises(EquiconvError, match="make it with P4ConvZ2"):
        from_sepgroupy(golden("p4_gc_separable")[2])
