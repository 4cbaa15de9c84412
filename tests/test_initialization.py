"""The signal keeps its size through a fresh layer, for every factorization and pair of types."""

import math

import pytest
import torch
from samples import halves
from torch import nn

from equiconv.groups import P4, P4M, HueShift, Trivial
from equiconv.layers import GroupConv2d

GROUPS = [Trivial(), P4(), P4M(), HueShift(3), HueShift(3) * P4()]


def spread(conv, seeds=6):
    """Return the mean output variance for white noise of variance 1, bias aside."""
    variances = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        conv.reset_parameters()
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)
        shape = getattr(getattr(conv, "in_type", None), "shape", (getattr(conv, "in_channels", 0),))
        variances.append(conv(torch.randn(4, *shape, 10, 10)).square().mean().item())
    return sum(variances) / seeds


def dense(in_channels, out_channels, size):
    return spread(nn.Conv2d(in_channels, out_channels, size))


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("factorization", [None, "g", "gc"])
@pytest.mark.parametrize("group", GROUPS, ids=repr)
def test_as_an_ordinary_convolution(group, factorization, size):
    conv = GroupConv2d(16 * group.regular, 24 * group.regular, size, factorization=factorization)
    assert spread(conv) == pytest.approx(dense(16 * group.order, 24, size), rel=0.1)


@pytest.mark.parametrize("group", GROUPS, ids=repr)
def test_lifting(group):
    conv = GroupConv2d(8 * group.image, 24 * group.regular, 3)
    assert spread(conv) == pytest.approx(dense(24, 24, 3), rel=0.1)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (P4M().regular, P4M().irrep(2)),
        (P4M().irrep(2), P4M().regular),
        (P4M().irrep(1), halves(P4M())),
        (P4M().regular, P4M().trivial + P4M().irrep(2) + P4M().regular),
        (HueShift(4).image, HueShift(4).image),
    ],
    ids=repr,
)
def test_other_types(source, target):
    conv = GroupConv2d(16 * source, 16 * target, 3)
    assert spread(conv) == pytest.approx(dense(16 * source.dim, 16, 3), rel=0.1)


def test_channel_groups_have_a_smaller_fan_in():
    conv = GroupConv2d(16 * P4().regular, 16 * P4().regular, 3, channel_groups=4)
    assert spread(conv) == pytest.approx(dense(16, 16, 3), rel=0.1)


def test_the_rule_of_the_predecessors_would_fail():
    conv = GroupConv2d(16 * P4().regular, 24 * P4().regular, 3, factorization="g")
    bound = 1 / math.sqrt(16 * 9)
    conv.reset_parameters = lambda: [nn.init.uniform_(p, -bound, bound) for p in conv.parameters()]
    assert spread(conv) < 0.1 * dense(64, 24, 3)


def test_bias_has_the_bound_of_an_ordinary_convolution():
    conv = GroupConv2d(16 * P4().regular, 4000 * P4().regular, 1)
    assert conv.bias.abs().max().item() == pytest.approx(1 / math.sqrt(64), rel=0.01)
    assert conv.bias.var().item() == pytest.approx(1 / (3 * 64), rel=0.1)
