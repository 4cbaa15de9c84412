"""The signal keeps its size through a fresh layer, for every factorization and pair of types."""

import math

import pytest
import torch
from samples import halves
from torch import nn

from equiconv.bases import Derivatives, Harmonics
from equiconv.errors import FieldTypeError, ShapeError
from equiconv.groups import P4, P4M, SO2, Cyclic, HueShift, Trivial
from equiconv.init import delta_orthogonal_, he_normal_
from equiconv.layers import GroupConv2d, GroupConvTranspose2d

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


STEERABLE = [P4M(), Cyclic(8), SO2(2), HueShift(3) * Cyclic(8), HueShift(3) * P4()]


@pytest.mark.parametrize("factorization", [None, "g", "gc"])
@pytest.mark.parametrize("group", [P4M(), Cyclic(8)], ids=repr)
def test_he_normal_keeps_the_variance(group, factorization):
    conv = GroupConv2d(16 * group.regular, 24 * group.regular, 5, factorization=factorization)
    sizes = []
    for seed in range(6):
        torch.manual_seed(seed)
        he_normal_(conv, gain=2.0)
        sizes.append(conv(torch.randn(2, *conv.in_type.shape, 10, 10)).square().mean().item())
    assert sum(sizes) / 6 == pytest.approx(4, rel=0.15)


def centered(conv):
    """Return the matrix at the center of a delta-orthogonal kernel, and the norm of the rest."""
    kernel = delta_orthogonal_(conv.double()).kernel().detach()
    matrix = kernel[:, :, kernel.shape[2] // 2, kernel.shape[3] // 2]
    return matrix, (kernel.square().sum() - matrix.square().sum()).item()


@pytest.mark.parametrize("group", STEERABLE, ids=repr)
def test_delta_orthogonal_keeps_every_input(group):
    for source, target in (
        (2 * group.regular, 2 * group.regular),
        (2 * group.regular, 3 * group.regular),
        (2 * (group.vector + group.trivial), 2 * group.regular),
        (2 * group.irreps[-1], 4 * group.irreps[-1]),
    ):
        matrix, rest = centered(GroupConv2d(source, target, 5, bias=False))
        torch.testing.assert_close(matrix.T @ matrix, torch.eye(source.channels, dtype=torch.float64))
        assert rest == pytest.approx(0, abs=1e-9)
        rho_in, rho_out = (torch.from_numpy(kind.representation.rho[1].copy()) for kind in (source, target))
        turned = torch.block_diag(*[rho_out] * target.n) @ matrix @ torch.block_diag(*[rho_in] * source.n).T
        torch.testing.assert_close(turned, matrix)
        again, _ = centered(GroupConv2d(source, target, 5, bias=False))
        assert (again - matrix).abs().max() > 1e-3


def test_delta_orthogonal_keeps_what_fits():
    group = P4M()
    matrix, _ = centered(GroupConv2d(2 * group.regular, 3 * (group.irreps[-1] + group.trivial), 3))
    values = torch.linalg.svdvals(matrix)
    assert torch.allclose(values.round(), values, atol=1e-9)
    assert values.sum() == pytest.approx(4)  # of each of the two irreps two copies


def test_delta_orthogonal_with_channel_groups():
    conv = GroupConv2d(4 * P4().regular, 4 * P4().regular, 3, channel_groups=2)
    matrix, rest = centered(conv)
    for block in matrix.chunk(2):
        torch.testing.assert_close(block @ block.T, torch.eye(8, dtype=torch.float64))
    assert rest == pytest.approx(0, abs=1e-9)


def test_he_normal_of_a_transposed_convolution():
    conv = he_normal_(GroupConvTranspose2d(16 * P4().regular, 8 * P4().regular, 4, stride=2, padding=1))
    assert conv(torch.randn(4, *conv.in_type.shape, 12, 12)).square().mean().item() == pytest.approx(1, rel=0.2)


@pytest.mark.parametrize("initialize", [he_normal_, delta_orthogonal_])
def test_initializations_refuse_what_they_do_not_know(initialize):
    with pytest.raises(FieldTypeError, match="got Conv2d"):
        initialize(nn.Conv2d(3, 3, 3))
    with pytest.raises(FieldTypeError, match="gain is a number"):
        initialize(GroupConv2d(P4().regular, P4().regular, 3), gain="a")


def test_centers():
    assert Harmonics((5, 5)).center == 0
    assert Derivatives((3, 3)).center == 0
    with pytest.raises(ShapeError, match="no center"):
        delta_orthogonal_(GroupConv2d(P4().regular, P4().regular, 4))
    with pytest.raises(FieldTypeError, match="free coefficients"):
        delta_orthogonal_(GroupConv2d(P4().regular, P4().regular, 3, factorization="g"))
