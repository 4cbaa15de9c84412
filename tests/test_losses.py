"""The loss of implicit equivariance: nothing for what is equivariant by construction, a lot for what is not."""

import math

import numpy as np
import pytest
import torch
from samples import CONVOLUTIONS, GRID, LAYERS, OFF_GRID, SHAPES, SOME
from taught import equivariance
from torch import nn
from zoo import BROKEN
from zoo_layers import BROKEN_LAYERS

from equiconv.errors import ShapeError
from equiconv.groups import P4, P4M, Cyclic, Dihedral, Flip, HueShift
from equiconv.groups.field_type import as_type
from equiconv.layers import GroupConv2d, GroupPool
from equiconv.layers.layer import FieldLayer
from equiconv.losses import EquivarianceLoss, ien_draw
from equiconv.models import CNN

ZERO = 1e-10


def others(group):
    """Return a draw of all elements but the identity, where there are others."""
    return [float(g > 0 or group.order == 1) for g in range(group.order)]


def square(kind, side=7, count=6):
    """Return images of a type as the loss takes them: batches of noise, in double precision."""
    return torch.randn(count, *kind.shape, side, side, dtype=torch.float64)


class Fields(EquivarianceLoss):
    """The loss of a layer in the middle of a network: what comes in is of its type, not images."""

    def doubled(self, fields, elements):
        return torch.cat([fields, self.kind.transform_each(fields, elements)])


def loss_of(layer, side):
    """Return the error of one layer with noise of its type, moved by the group of its output."""
    group = as_type(layer.out_type).group
    loss = Fields(group, type(layer), draw=others(group))
    loss.kind = as_type(layer.in_type).under(group)
    return loss(layer.double(), square(loss.kind, side)).penalty


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("group", GRID, ids=repr)
def test_no_loss_for_a_network_that_is_equivariant(group, training):
    net = CNN(group, 4, classes=3, kernel_sizes=(3, 3, 3), dropout=0.0).double().train(training)
    loss = equivariance(group, [FieldLayer, nn.BatchNorm3d, nn.Linear], draw=others(group))
    output, penalty, errors = loss(net, square(1 * group.image, 14))
    assert penalty < ZERO
    assert len(errors) > 8
    torch.testing.assert_close(output[:6], output[6:])  # logits do not move
    mean = equivariance(group, [FieldLayer], normalized=False, draw=others(group))(net, square(1 * group.image, 14))
    assert 0 <= mean.penalty < ZERO


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", [*CONVOLUTIONS, *LAYERS])
def test_no_loss_for_any_layer(name, training):
    for group in (P4M(), HueShift(3) * P4()) if training else SOME:
        layer = {**CONVOLUTIONS, **LAYERS}[name](group).train(training and "dropout" not in name)
        side = SHAPES.get(name, (8, 8))[0]
        assert loss_of(layer, side if side % 2 or name not in SHAPES else 8) < ZERO, group


SIDES = {"stride_that_does_not_fit": 8, "nearest_pixels_that_lie_halfway": 6}
REFUSED = {"unequal_padding": "square"}
BLIND = "outputs_blind_to_the_input"  # a pattern on the plane that hue leaves alone, as it should


@pytest.mark.parametrize("make", [*BROKEN, *BROKEN_LAYERS], ids=lambda f: f.__name__)
def test_what_is_broken_has_a_loss(make):
    broken = make()
    if make.__name__ in REFUSED:
        with pytest.raises(ShapeError, match=REFUSED[make.__name__]):
            loss_of(broken, 9)
    elif make.__name__ == BLIND:
        assert loss_of(broken, 9) < ZERO
    else:
        assert not loss_of(broken, SIDES.get(make.__name__, 9)) < 1e-10


class Constant(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, x):
        return x[:, :1] * 0 + self.value


@pytest.mark.parametrize("group", [P4(), Cyclic(8), HueShift(3)], ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -1e6, 1e-6])
def test_a_map_that_does_not_vary_counts_as_one(value, dtype, group):
    images = torch.rand(16, 3, 31, 31, dtype=dtype)
    found = equivariance(group, Constant, draw=others(group))(Constant(value), images).penalty
    assert found == pytest.approx(1, abs=0.1) if group.keeps_grid else found > 0.5
    assert math.isnan(equivariance(group, Constant)(Constant(math.nan), images).penalty)


def test_an_ordinary_network_is_far_from_equivariant():
    torch.manual_seed(3)
    net = nn.Sequential(nn.Conv2d(3, 8, 5), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3))
    images = torch.randn(16, 3, 14, 14)
    for group in (P4(), P4M(), Flip(), HueShift(3), HueShift(3) * P4(), Cyclic(8)):
        _, penalty, errors = equivariance(group, ["0", "3"], draw=others(group))(net, images)
        assert penalty > 0.5
        assert all(0.2 < error < 3 for error in errors.values())
    noise = torch.randn(32, 8, 9, 9)  # two maps that have nothing to do with each other: 2
    found = equivariance(P4(), "Blind")(Blind(noise), torch.rand(16, 3, 9, 9)).penalty
    assert found == pytest.approx(2, rel=0.05)


class Blind(nn.Module):
    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, x):
        return self.output


@pytest.mark.parametrize("size", [1e-3, 1e3])
@pytest.mark.parametrize("group", [P4(), HueShift(4), Cyclic(8)], ids=repr)
def test_the_size_of_the_features_does_not_count(group, size):
    net, smaller = nn.Conv2d(3, 6, 5), nn.Conv2d(3, 6, 5)
    smaller.load_state_dict({name: size * value for name, value in net.state_dict().items()})
    images, loss, mean = (
        torch.rand(8, 3, 11, 11),
        *(equivariance(group, nn.Conv2d, normalized=normalized, draw=others(group)) for normalized in (True, False)),
    )

    def penalties(one):
        found = []
        for each in (net, smaller):
            torch.manual_seed(0)
            found.append(one(each, images).penalty.item())
        return found

    a, b = penalties(loss)
    assert a == pytest.approx(b, rel=1e-4)
    a, b = penalties(mean)
    assert b == pytest.approx(size**2 * a, rel=1e-4)


def test_elements_are_drawn_as_told():
    draw = [0, 1, 2, 5]
    loss = equivariance(P4(), "x", draw=draw)
    assert loss.probabilities.tolist() == [0, 0.125, 0.25, 0.625]
    torch.manual_seed(1)
    first = loss.draw(8000)
    np.testing.assert_allclose(np.bincount(first, minlength=4) / 8000, loss.probabilities, atol=0.02)
    torch.manual_seed(1)
    assert np.array_equal(loss.draw(8000), first)
    assert not np.array_equal(loss.draw(8000), first)
    assert equivariance(P4(), "x").probabilities.tolist() == [0.25] * 4
    assert (equivariance(P4(), "x", draw=[0, 1, 1, 1]).draw(500) > 0).all()
    shift = correlation(first)
    assert abs(shift) < 0.05  # each image has its own


def correlation(drawn):
    return np.corrcoef(drawn[:-1], drawn[1:])[0, 1]


def test_the_loss_follows_from_the_seed():
    net, images = nn.Conv2d(3, 4, 3), torch.rand(4, 3, 9, 9)
    loss, found = equivariance(P4M(), nn.Conv2d), []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(loss(net, images).penalty.item())
    assert found[0] == found[1] != found[2]


def published_draw(quarter, reflected, n):
    """Return how often each matrix of D_n is drawn, by going through all turns and flips."""
    flips = [np.eye(2), np.diag([1.0, -1.0]), np.diag([-1.0, 1.0])] if reflected else [np.eye(2)]
    group, turns = (Dihedral(n) if reflected else Cyclic(n)), range(0 if quarter else 1, n)
    counts = np.zeros(group.order)
    for turn in turns:
        for flip in flips:
            matrix = flip @ Cyclic(n).plane[turn]
            counts[np.argmin(abs(group.plane - matrix).sum((1, 2)))] += 1
    return counts / counts.sum()


def test_the_published_draw():
    assert ien_draw(P4()).tolist() == [0.25] * 4
    np.testing.assert_allclose(12 * ien_draw(P4M()), [1] * 4 + [2] * 4)
    np.testing.assert_allclose(ien_draw(Cyclic(8)), [0, *[1 / 7] * 7])
    for n in (2, 4, 8, 12):
        for group, reflected in ((Cyclic(n), False), (Dihedral(n), True)):
            np.testing.assert_allclose(ien_draw(group), published_draw(n == 4, reflected, n), atol=1e-12)
    assert ien_draw(Dihedral(8))[0] == 0
    assert ien_draw(Dihedral(8)).sum() == pytest.approx(1)


def test_the_penalty_is_beta_times_the_sum_of_the_errors():
    net, images = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3)), torch.rand(4, 3, 9, 9)
    for beta in (0, 0.5, 3):
        torch.manual_seed(0)
        _, penalty, errors = equivariance(P4(), nn.Conv2d, beta)(net, images)
        assert penalty.item() == pytest.approx(beta * sum(error.item() for error in errors.values()))
        assert list(errors) == ["0", "2"]
        assert all(not error.requires_grad and error > 0.1 for error in errors.values())
        assert penalty.requires_grad == (beta > 0)


def test_outputs_are_of_the_images_and_then_of_the_moved_ones():
    net, images = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(64, 5)), torch.rand(4, 3, 6, 6)
    output = equivariance(P4M(), "0", draw=[0, 1, *[0] * 6])(net, images).output
    torch.testing.assert_close(output, torch.cat([net(images), net(torch.rot90(images, 1, (-2, -1)))]))


@pytest.mark.parametrize("group", [*OFF_GRID, P4M(), HueShift(3)], ids=repr)
def test_pooled_fields_of_a_broken_network_have_a_loss(group):
    """What is invariant by a pooling in the middle of nothing is not: the loss sees plane and channels together."""
    net = nn.Sequential(
        nn.Conv2d(3, 2 * group.order, 3), nn.Unflatten(1, (2, group.order)), GroupPool(2 * group.regular)
    )
    loss = equivariance(group, GroupPool, draw=others(group))
    assert loss(net, torch.rand(6, 3, 13, 13)).penalty > 0.05
    if group.keeps_grid:
        own = nn.Sequential(GroupConv2d(group.image, 2 * group.regular, 3), GroupPool(2 * group.regular)).double()
        assert loss(own, torch.rand(6, 3, 13, 13, dtype=torch.float64)).penalty < ZERO
