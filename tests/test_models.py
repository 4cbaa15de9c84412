"""The small network: published sizes, invariance, and its options."""

import pytest
import torch
from samples import GRID

from equiconv.bases import Harmonics
from equiconv.errors import ExactnessError, FieldTypeError, GroupError, ShapeError
from equiconv.groups import O2, P4, P4M, SO2, Cyclic, Flip, HueShift, Trivial
from equiconv.layers import GroupConv2d
from equiconv.models import CNN
from equiconv.testing import assert_equivariant, equivariance_error

H, T = HueShift(3), Trivial()
EARLY, MIDDLE = [H] * 2 + [T] * 5, [H] * 4 + [T] * 3

PUBLISHED = [  # group, width, channels, classes, factorization, pool, parameters
    (T, 20, 1, 10, None, "max", 25_210),
    (T, 57, 1, 10, "c", "max", 25_603),
    (P4(), 10, 1, 10, None, "max", 24_810),
    (P4(), 10, 1, 10, "g", "max", 8_910),
    (P4(), 17, 1, 10, "g", "max", 25_255),
    (P4(), 10, 1, 10, "gc", "max", 3_420),
    (P4(), 30, 1, 10, "gc", "max", 24_640),
    (T, 20, 3, 10, None, "max", 25_570),
    (T, 20, 3, 30, None, "max", 25_990),
    (H, 17, 3, 10, "g", None, 24_167),
    (H, 17, 3, 30, "g", None, 25_207),
    (H, 17, 3, 10, "g", "max", 23_827),
    (H, 17, 3, 30, "g", "max", 24_187),
    (EARLY, 19, 3, 10, "g", "max", 24_216),
    (EARLY, 19, 3, 30, "g", "max", 24_616),
    (H, 19, 3, 30, "g", "max", 30_031),
    (MIDDLE, 18, 3, 10, "g", "max", 23_734),
    (MIDDLE, 18, 3, 30, "g", "max", 24_114),
    (H, 18, 3, 30, "g", "max", 27_030),
    (H, 17, 3, 10, None, "max", 53_883),
    (EARLY, 19, 3, 10, "g", None, 175_342),
]


@pytest.mark.parametrize(("group", "width", "channels", "classes", "factorization", "pool", "count"), PUBLISHED)
def test_published_parameter_counts(group, width, channels, classes, factorization, pool, count):
    net = CNN(group, width, in_channels=channels, classes=classes, factorization=factorization, pool=pool)
    assert sum(p.numel() for p in net.parameters()) == count
    assert net(torch.zeros(2, channels, 28, 28)).shape == (2, classes)
    sizes = []
    for layer in net.modules():
        if isinstance(layer, GroupConv2d):
            layer.register_forward_hook(lambda m, x, y: sizes.append(y.shape[-1]))
    net(torch.zeros(2, channels, 28, 28))
    assert list(dict.fromkeys(sizes)) == [26, 24, 10, 8, 6, 4, 1] or factorization == "c"


@pytest.mark.parametrize("pool", ["max", "mean"])
@pytest.mark.parametrize("group", GRID, ids=repr)
def test_logits_are_invariant(group, pool):
    net = CNN(group, 2 + 12 // group.order, classes=4, kernel_sizes=(3, 3, 2), pool=pool, dropout=0.1)
    assert_equivariant(net, size=(12, 10))
    assert_equivariant(net.eval(), size=(12, 10))


HYBRIDS = [  # the group of each layer, and the group that is left
    (EARLY, H),
    (MIDDLE, H),
    ([H * P4M()] * 3 + [P4M()] * 4, H * P4M()),
    ([H * P4()] * 2 + [H] * 2 + [T] * 3, H),
    ([P4()] * 3 + [T] * 4, T),
    ([Flip() * Cyclic(2) * H] * 3 + [Flip() * H] * 4, Flip() * H),
]


@pytest.mark.parametrize(("groups", "left"), HYBRIDS, ids=repr)
def test_hybrids_stay_invariant_under_what_is_left(groups, left):
    net = CNN(groups, 5, factorization="g")
    assert net.in_type.group == left
    assert_equivariant(net, size=(28, 28))


def test_pooling_over_turns_does_not_stop_the_maps_from_turning():
    net = CNN([H * P4()] * 3 + [H] * 4, 5)
    whole = H * P4()
    assert equivariance_error(net, whole.image, 10 * whole.trivial, size=(28, 28)) > 0.1


def test_single_precision_logits_are_invariant_to_a_hundred_thousandth():
    net = CNN(P4M(), 6, in_channels=1).eval()
    x = torch.rand(4, 1, 28, 28)
    for turns in range(4):
        torch.testing.assert_close(net(torch.rot90(x, turns, (-2, -1))), net(x), rtol=0, atol=1e-5)
        torch.testing.assert_close(net(torch.rot90(x, turns, (-2, -1)).flip(-1)), net(x), rtol=0, atol=1e-5)


def test_without_pooling_logits_are_not_invariant():
    net = CNN(H, 3, pool=None)
    assert net.out_type == 10 * Trivial().trivial
    assert equivariance_error(net, H.image, 10 * H.trivial, size=(28, 28)) > 1e-3


def test_off_the_grid_the_quarter_turns_stay_exact_or_the_size_is_refused():
    net = CNN(Cyclic(8), 4, kernel_sizes=(3, 3, 3))
    part = net.in_type.group.subgroup(P4())
    assert_equivariant(net, net.in_type.restrict(part), net.out_type.restrict(part), size=(14, 14))
    with pytest.raises(ExactnessError, match="11x11 image leaves 1 rows"):
        net(torch.zeros(1, 3, 15, 15))


def test_gray_images():
    assert_equivariant(CNN(P4M(), 2, in_channels=1, kernel_sizes=(3, 3)), size=(12, 8))
    assert_equivariant(CNN(Flip(), 2, in_channels=5, kernel_sizes=(3, 3)), size=(12, 8))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: CNN(H, 2, in_channels=1), FieldTypeError, "3 channels"),
        (lambda: CNN([H] * 3, 2), ShapeError, "one group for each"),
        (lambda: CNN(H, 2, kernel_sizes=(3,)), ShapeError, "at least 2 layers"),
        (lambda: CNN(H, 2, factorization="x"), FieldTypeError, '"gc"'),
        (lambda: CNN(H, 2, pool="sum"), FieldTypeError, "mode"),
        (lambda: CNN([P4()] * 3 + [P4M()] * 4, 2), GroupError, "not a subgroup"),
        (lambda: CNN([H] * 3 + [P4()] * 4, 2), GroupError, "not a subgroup"),
        (lambda: CNN(H, 0), FieldTypeError, "n >= 1"),
        (lambda: CNN(4, 2), GroupError, "one group for each layer; got 4"),
        (lambda: CNN(H, 2, kernel_sizes=3), ShapeError, "list of kernel sizes"),
        (lambda: CNN(H, 2, dropout=2.0), FieldTypeError, "probability"),
    ],
)
def test_mistakes_are_told(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("groups", "kept"),
    [
        ([P4M()] * 2 + [P4()], P4()),
        ([H * P4M()] * 2 + [H * P4()], H * P4()),
        ([H * P4M(), P4M(), P4()], H * P4()),
        ([SO2(2)] * 2 + [P4()], P4()),
        ([O2(2), SO2(2), SO2(2)], SO2(2)),
    ],
    ids=repr,
)
def test_a_smaller_group_goes_on_with_the_fields_as_they_are(groups, kept):
    net = CNN(groups, 4, kernel_sizes=(3, 3, 3)).eval()
    assert net.out_type == 10 * kept.trivial
    part = kept.sampled(4)
    assert_equivariant(net, net.in_type.restrict(part), net.out_type.restrict(part), size=(14, 14))
    if groups[0] == P4M():
        with pytest.raises(AssertionError):
            assert_equivariant(net, groups[0].image, 10 * groups[0].trivial, size=(14, 14))


@pytest.mark.parametrize("pool", ["max", "mean"])
@pytest.mark.parametrize("group", [SO2(2), O2(2), HueShift(3) * SO2(1)], ids=repr)
def test_continuous_groups(group, pool):
    net = CNN(group, 4, kernel_sizes=(5, 5, 3), pool=pool)
    images = torch.randn(8, 3, 14, 14)
    net.train()(images).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in net.parameters())
    part = group.sampled(4)
    assert_equivariant(net.eval(), net.in_type.restrict(part), net.out_type.restrict(part), size=(14, 14))


def test_basis():
    net = CNN(Cyclic(8), 3, kernel_sizes=(5, 5, 5), basis=Harmonics.e2cnn)
    convs = [module for module in net.modules() if isinstance(module, GroupConv2d)]
    assert all(repr(conv.basis) == repr(Harmonics.e2cnn((5, 5))) for conv in convs)
