"""The networks of CEConv and torchvision, from their weights."""

import pytest
import torch
from predecessor_layers import hue_matrix, plain
from predecessors import TORCHVISION, ColoredDigits, Digits, ceresnet, drawn, trainable
from torch import nn

from equiconv.errors import EquiconvError
from equiconv.interop.ceconv import from_ceconv
from equiconv.layers import FieldDropout
from equiconv.models import CNN, ResNet

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
        from_ceconv(state, into=nn.Conv2d(3, 2, 7), stem_padding=1)


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
