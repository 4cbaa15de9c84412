"""The wide residual network: published sizes, invariance, and its options."""

import math
import time

import pytest
import torch
from samples import check_copies
from torch import nn

from equiconv.bases import Harmonics
from equiconv.errors import ExactnessError, FieldTypeError, GroupError, ShapeError
from equiconv.groups import O2, P4, P4M, SO2, Cyclic, Dihedral, Flip, HueShift, Trivial
from equiconv.init import delta_orthogonal_
from equiconv.layers import FieldDropout, GroupConv2d, GroupPool
from equiconv.models import WideResNet
from equiconv.testing import assert_equivariant, equivariance_error

H, T, F = HueShift(3), Trivial(), Flip(0)
D8, D4, C8, C4 = Dihedral(8), Dihedral(4), Cyclic(8), Cyclic(4)


def frequencies(size):
    return [int(math.pi * radius) for radius in range(size[0] // 2 + 1)]


def cifar(size):
    """Return the published basis for CIFAR."""
    rings, plain = range(size[0] // 2 + 1), {"fading": False, "decay": 0}
    return Harmonics(size, rings=list(rings), widths=[0.45 for _ in rings], frequencies=frequencies(size), **plain)


def stl(size):
    """Return the published basis for STL."""
    widths = [0.005, 0.6, 0.4] if size[0] == 5 else [0.005, 0.4][: size[0] // 2 + 1]
    return Harmonics(size, widths=widths, frequencies=frequencies(size), fading=False, decay=0)


def parameters(net):
    return sum(p.numel() for p in net.parameters())


SMALL = {"stride": 2, "keep": "channels", "basis": stl}
LARGE = {"stride": 2, "basis": stl}

PUBLISHED = [  # groups, depth, widening, options, fields of the stages, last channels, parameters
    ([D8, D4, F], 28, 10, {}, (40, 113, 452), 905, 37_183_014),
    ([D8, D4, Flip()], 28, 10, {}, (40, 113, 452), 905, 37_183_014),
    ([D8, D4, F], 28, 7, {}, (28, 79, 316), 633, 18_195_726),
    ([D8, D4, D4], 28, 10, {}, (40, 113, 226), 1810, 35_351_974),
    ([C8, C4, T], 28, 10, {}, (56, 160, 640), 640, 37_170_767),
    ([C8, C4, T], 28, 7, {}, (39, 112, 448), 448, 18_208_231),
    ([F, F, F], 28, 10, {}, (113, 226, 452), 905, 32_789_495),
    ([F, F, F], 16, 8, SMALL, (64, 128, 256), 512, 5_019_733),
    ([F, F, F], 16, 8, LARGE, (90, 181, 362), 724, 10_017_717),
    ([D8, D4, F], 16, 8, SMALL, (8, 32, 256), 512, 4_184_142),
    ([D8, D4, F], 16, 8, LARGE, (32, 90, 362), 724, 11_957_234),
]


@pytest.mark.parametrize(("groups", "depth", "widen", "options", "fields", "last", "count"), PUBLISHED)
def test_published_sizes(groups, depth, widen, options, fields, last, count):
    with torch.device("meta"):
        net = WideResNet(groups, depth, widen, **{"basis": cifar, **options})
        more = WideResNet(groups, depth, widen, classes=100, **{"basis": cifar, **options})
    assert parameters(net) == count
    assert parameters(more) == count + 90 * (last + 1)
    inner = [block.convs[0].out_type.n for block in net.stages]
    assert inner == [n for n in fields for _ in range(depth // 6)]
    assert net.head.in_features == last


def test_the_published_network_is_made_in_a_moment():
    start = time.thread_time()
    WideResNet([D8, D4, F], basis=cifar)
    assert time.thread_time() - start < 2


def test_spatial_sizes():
    for stride, size, expected in [(1, 33, [33, 33, 17, 9]), (2, 97, [97, 49, 25, 13])]:
        net, sizes = WideResNet(T, 10, 0.2, stride=stride), []
        for layer in [net.stem, *net.stages]:
            layer.register_forward_hook(lambda m, x, y, sizes=sizes: sizes.append(y.shape[-1]))
        net.eval()(torch.randn(1, 3, size, size))
        assert sizes == expected


def test_blocks_are_those_of_the_paper():
    net = WideResNet([D8, D4, F], 16, 0.5)
    first, second = net.stages[0], net.stages[1]
    assert first.shortcut.window.kernel == (1, 1)
    assert second.shortcut is None
    kernels = [[block.convs[place].window.kernel[0] for place in (0, -1)] for block in net.stages]
    assert kernels == [[5, 5]] * 2 + [[3, 3]] * 4
    strides = [[block.convs[place].window.stride[0] for place in (0, -1)] for block in net.stages]
    assert strides == [[1, 1]] * 2 + [[1, 2], [1, 1]] * 2
    assert all(conv.bias is None for conv in net.modules() if isinstance(conv, GroupConv2d))
    assert net.norm.momentum == 0.9
    second.eval()
    x = torch.randn(1, *second.active[1].in_type.shape, 9, 9)
    torch.testing.assert_close(second(x) - x, second.convs(second.active(x)), rtol=0, atol=1e-5)
    first.eval()
    x = torch.randn(1, *first.active[1].in_type.shape, 9, 9)
    active = first.active(x)
    torch.testing.assert_close(first(x), first.convs(active) + first.shortcut(active))


INVARIANT = [  # groups, what is kept, its elements that send pixels to pixels
    ([T, T, T], T, T),
    (P4M(), P4M(), P4M()),
    ([D8, D4, F], F, F),
    ([D8, D4, Flip()], Flip(), Flip()),
    ([D8, D4, D4], D4, D4),
    ([C8, C4, Cyclic(2)], Cyclic(2), Cyclic(2)),
    (C8, C8, C4),
    ([SO2(1), C8, C4], C4, C4),
    (O2(1), O2(1), D4),
    (H, H, H),
    ([H, T, T], H, H),
    ([H * D4, H * C4, H], H, H),
    ([H * D8, D4, C4], H * C4, H * C4),
    ([HueShift(6) * C4, H * C4, H * C4], H * C4, H * C4),
]


@pytest.mark.parametrize(("groups", "kept", "part"), INVARIANT, ids=repr)
def test_logits_are_invariant(groups, kept, part):
    net = WideResNet(groups, 10, 0.4, dropout=0.0, classes=3)
    assert net.in_type.group == net.out_type.group == kept
    for mode in (True, False):
        types = net.in_type.restrict(part), net.out_type.restrict(part)
        assert_equivariant(net.train(mode), *types, size=(17, 17))


def test_what_was_left_behind_is_no_longer_invariant():
    net = WideResNet([D4, C4, C4], 10, 0.4).eval()
    with pytest.raises(AssertionError, match="element 4 of 8"):
        assert_equivariant(net, 1 * D4.image, 10 * D4.trivial, size=(17, 17))


def test_even_sizes_lose_what_odd_ones_keep():
    groups = [C4, C4, C4]
    net = WideResNet(groups, 10, 0.4)
    with pytest.raises(ExactnessError, match="32x32 image"):
        net.eval()(torch.randn(1, 3, 32, 32))
    loose = WideResNet(groups, 10, 0.4, exact=False).eval()
    assert_equivariant(loose, size=(33, 33))
    assert equivariance_error(loose, size=(32, 32)) > 1e-3
    far = WideResNet(groups, 10, 0.4, stride=2).eval()
    assert_equivariant(far, size=(65, 65))
    with pytest.raises(ExactnessError, match="16x16 image"):
        far(torch.randn(1, 3, 61, 61))


@pytest.mark.parametrize("groups", [[D8, D4, F], [SO2(1), C8, C4], [H * P4(), P4(), T]], ids=repr)
def test_gradients_reach_every_parameter(groups):
    net = WideResNet(groups, 10, 0.4)
    net(torch.randn(4, 3, 17, 17)).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_delta_orthogonal_initialization():
    net = WideResNet([D8, D4, F], 16, 1, basis=cifar).initialize(delta_orthogonal_)
    assert not net.head.bias.any()
    conv = net.stages[1].convs[0]
    center = conv.kernel()[:, :, 2, 2]
    gram = center @ center.T  # the innermost ring reaches beyond the middle pixel, so that 3 % of its norm is elsewhere
    torch.testing.assert_close(gram, torch.eye(len(gram)) * gram[0, 0], rtol=0, atol=1e-5)
    assert 0.95 < gram[0, 0] < 1
    assert_equivariant(net.eval(), size=(17, 17))


def test_colors_are_pooled_over_and_turns_are_not():
    net = WideResNet([H * D8, D4, T], 10, 0.4)
    pools = [module for module in net.modules() if isinstance(module, GroupPool)]
    assert [pool.over for pool in pools] == [H]
    assert net.in_type.group == H


def test_every_argument_has_an_effect():
    first = WideResNet(P4(), 10, 1)
    assert [block.convs[0].out_type.n for block in first.stages] == [8, 16, 32]
    assert [block.convs[0].out_type.n for block in WideResNet(P4(), 16, 2).stages] == [16, 16, 32, 32, 64, 64]
    channels = WideResNet(P4(), 10, 1, keep="channels")
    assert [block.convs[0].out_type.n for block in channels.stages] == [4, 8, 16]
    assert (first.head.in_features, channels.head.in_features) == (128, 64)
    assert first.stem.out_type == channels.stem.out_type == 8 * P4().regular
    drops = [module for module in WideResNet(P4(), 10, 1, dropout=0.2).modules() if isinstance(module, nn.Dropout)]
    assert [drop.p for drop in drops] == [0.2] * 3
    drops = [module for module in WideResNet(SO2(1), 10, 0.4).modules() if isinstance(module, FieldDropout)]
    assert [drop.p for drop in drops] == [0.3] * 3
    bases = [m.basis for m in WideResNet(P4(), 10, 0.4, basis=stl).modules() if isinstance(m, GroupConv2d)]
    assert all(isinstance(basis, Harmonics) for basis in bases)
    assert first.eval()(torch.randn(2, 3, 17, 17)).shape == (2, 10)
    gray = WideResNet(P4(), 10, 1, in_channels=1)
    assert gray.in_type == 1 * P4().trivial
    assert gray.eval()(torch.randn(2, 1, 17, 17)).shape == (2, 10)
    assert WideResNet(P4(), 10, 1, classes=3).eval()(torch.randn(2, 3, 17, 17)).shape == (2, 3)


def test_copies_and_states():
    check_copies(lambda: WideResNet([D8, D4, F], 10, 0.4), 3, 17, 17)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: WideResNet(8), GroupError, "one group for each stage; got 8"),
        (lambda: WideResNet([D8, D4]), ShapeError, "3 stages and one group for each; got 2"),
        (lambda: WideResNet([C4, D4, T], 10, 1), GroupError, "not a subgroup"),
        (lambda: WideResNet(P4(), 27), ShapeError, "6 m .* 4 .* got 27"),
        (lambda: WideResNet(P4(), 4), ShapeError, "got 4"),
        (lambda: WideResNet(P4(), "28"), ShapeError, "got '28'"),
        (lambda: WideResNet(P4(), 10, 0), FieldTypeError, "above 0; got 0"),
        (lambda: WideResNet(P4(), 10, 1, keep="width"), FieldTypeError, "'parameters', 'channels'; got 'width'"),
        (lambda: WideResNet(P4(), 10, 1, dropout=2), FieldTypeError, "probability"),
        (lambda: WideResNet(P4(), 10, 1, stride=0), ShapeError, "stride"),
        (lambda: WideResNet(P4(), 10, 1, classes=0), FieldTypeError, "n >= 1"),
        (lambda: WideResNet(H, 10, 1, in_channels=1), FieldTypeError, "moves colors, so images have 3 channels"),
        (lambda: WideResNet(P4(), 10, 1)(torch.rand(1, 1, 33, 33)), ShapeError, r"\(B, 3, H, W\)"),
        (lambda: WideResNet(C8, 10, 1, basis="pixels"), ExactnessError, "between pixels"),
    ],
)
def test_mistakes_are_told(make, error, message):
    with pytest.raises(error, match=message):
        make()
