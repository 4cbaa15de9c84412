"""The loss as it was published, against a loop over samples that turns, flips and samples by itself."""

import math

import pytest
import torch
from taught import equivariance
from torch import nn
from torch.nn import functional as F

from benchmarks.training import Implicit
from equiconv.groups import P4, P4M, Cyclic, Dihedral
from equiconv.layers import ChannelMaxPool
from equiconv.losses import ien_draw
from equiconv.models import create

QUARTERS = {"R4": (P4(), False), "R4 and reflection": (P4M(), True)}
EIGHTHS = {"R8": (Cyclic(8), False), "R8 and reflection": (Dihedral(8), True)}
MODES = QUARTERS | EIGHTHS


def nearest(x, degrees):
    """Turn (C, H, W) counter-clockwise: each pixel takes the one nearest to where it comes from, zero from outside."""
    side, middle = x.shape[-1], (x.shape[-1] - 1) / 2
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turned = torch.zeros_like(x)
    for i in range(side):
        for j in range(side):
            right, up = j - middle, middle - i
            column, row = round(middle + c * right + s * up), round(middle - (c * up - s * right))
            if 0 <= column < side and 0 <= row < side:
                turned[:, i, j] = x[:, row, column]
    return turned


def turn(x, steps, of):
    return torch.rot90(x, steps * 4 // of, (-2, -1)) if steps * 4 % of == 0 else nearest(x, 360 * steps / of)


def forth(x, g, group):
    """Turn, then flip rows."""
    flipped, steps = divmod(g, group.n)
    turned = turn(x, steps, group.n)
    return turned.flip(-2) if flipped else turned


def back(x, g, group):
    """Undo the flip, then the turn."""
    flipped, steps = divmod(g, group.n)
    return turn(x.flip(-2) if flipped else x, -steps, group.n)


class Network(nn.Module):
    """Two maps, and logits of the last one, pooled."""

    def __init__(self, pool):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 24, 3, padding=1), nn.Conv2d(24, 24, 3)
        self.norm, self.pool, self.head = nn.BatchNorm2d(24), pool, nn.Linear(pool.out_channels(24), 5)

    def forward(self, x):
        return self.head(self.pool(self.second(F.elu(self.norm(self.first(x))))).mean((-2, -1)))

    def maps(self, x):
        first = self.first(x)
        last = self.second(F.elu(self.norm(first)))
        return [self.pool(first), self.pool(last)], self.head(self.pool(last).mean((-2, -1)))


def expected(net, images, labels, elements, group, beta):
    """Return logits, cross entropy of the doubled batch, and the mean squared error of each map."""
    both = torch.cat([images, torch.stack([forth(x, g, group) for x, g in zip(images, elements, strict=True)])])
    maps, logits = net.maps(both)
    errors = []
    for found in maps:
        squares, count = 0, len(images)
        for i, g in enumerate(elements):
            squares = squares + (found[i] - back(found[count + i], g, group)).square().sum()
        errors.append(squares / found[:count].numel())
    loss = F.cross_entropy(logits, torch.cat([labels, labels]))
    return logits, errors, loss + beta * sum(errors)


@pytest.mark.parametrize("orders", [4, (4, 2)])
@pytest.mark.parametrize("mode", MODES)
def test_the_published_objective(mode, orders):
    group, _ = MODES[mode]
    net = Network(ChannelMaxPool(orders)).double()
    images, labels = torch.rand(12, 3, 9, 9, dtype=torch.float64), torch.randint(5, (12,))
    loss = equivariance(
        group,
        ["first", "second"],
        0.7,
        carried=net.pool,
        normalized=False,
        draw=ien_draw(group),
        interpolation="nearest",
    )
    torch.manual_seed(5)
    elements = loss.draw(12).tolist()
    assert len(set(elements)) > 2
    logits, errors, total = expected(net, images, labels, elements, group, 0.7)
    assert all(error > 0.005 for error in errors)
    torch.manual_seed(5)
    found = loss(net, images)
    torch.testing.assert_close(found.output, logits, rtol=1e-9, atol=1e-9)
    for error, name in zip(errors, ("first", "second"), strict=True):
        assert found.errors[name].item() == pytest.approx(error.item(), rel=1e-6)
    own = F.cross_entropy(found.output, labels.repeat(2)) + found.penalty
    assert own.item() == pytest.approx(total.item(), rel=1e-6)
    parameters = list(net.parameters())
    for a, b in zip(torch.autograd.grad(own, parameters), torch.autograd.grad(total, parameters), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)
    torch.manual_seed(5)
    trained = Implicit(net, loss)(net, nn.Identity(), images, labels)
    assert trained.total.item() / 12 == pytest.approx(total.item(), rel=1e-6)


@pytest.mark.parametrize("mode", QUARTERS)
def test_the_published_network(mode):
    """What it is trained with in a study: names and pooling are its own."""
    group, _ = MODES[mode]
    net = create("cnn-basic", None, in_channels=1, orders=4, width=16, classes=10).double()
    images, labels = torch.rand(4, 1, 28, 28, dtype=torch.float64), torch.randint(10, (4,))
    loss = equivariance(group, net.taps, carried=net.pool, normalized=False, draw=ien_draw(group))
    torch.manual_seed(1)
    elements = loss.draw(4).tolist()
    both = torch.cat([images, torch.stack([forth(x, g, group) for x, g in zip(images, elements, strict=True)])])
    maps, handles = [], []
    for name in net.taps:
        handles.append(net.get_submodule(name).register_forward_hook(lambda *got: maps.append(got[-1])))
    logits = net(both)
    for handle in handles:
        handle.remove()
    errors = [
        torch.stack(
            [(net.pool(y)[i] - back(net.pool(y)[4 + i], g, group)).square().mean() for i, g in enumerate(elements)]
        )
        for y in maps
    ]
    total = F.cross_entropy(logits, labels.repeat(2)) + sum(error.mean() for error in errors)
    torch.manual_seed(1)
    found = Implicit(net, loss)(net, nn.Identity(), images, labels)
    assert found.total.item() / 4 == pytest.approx(total.item(), rel=1e-6)
    assert len(found.told) == 2 + 6


def test_nearest_pixels_have_a_floor_and_the_mask_has_none():
    """The identity is equivariant; zeros from outside and rounding of places are all that is left."""
    images = torch.randn(64, 1, 17, 17, dtype=torch.float64)
    floor = equivariance(
        Cyclic(8), "Identity", normalized=False, draw=[0, 1, 0, 0, 0, 0, 0, 0], interpolation="nearest"
    )
    assert 0.28 < floor(nn.Identity(), images).penalty < 0.65
    own = equivariance(Cyclic(8), "Identity", normalized=False, draw=[0, 1, 0, 0, 0, 0, 0, 0])
    assert own(nn.Identity(), images).penalty < 1e-20
