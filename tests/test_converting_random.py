"""Networks that nobody has drawn: whatever can be converted is equivariant, and the original on the trivial group."""

import random

import pytest
import torch
from ordinary import settled
from torch import nn
from torch.nn import functional as F

from equiconv import convert
from equiconv.groups import P4, P4M, Flip, HueShift, Trivial
from equiconv.testing import assert_equivariant

GROUPS = [P4(), P4M(), HueShift(3) * P4(), Flip(), HueShift(3)]


class Step(nn.Module):
    """One step of a network, from some channels to others."""

    def __init__(self, rng, kind, channels):
        super().__init__()
        self.kind, self.channels = kind, channels
        if kind == "conv":
            self.channels, kernel = rng.choice([4, 6, 8, 12]), rng.choice([1, 2, 3, 4])
            blocks, padding = rng.choice([1, 2]), rng.randint(0, kernel // 2)
            self.part = nn.Conv2d(channels, self.channels, kernel, rng.choice([1, 2]), padding, groups=blocks)
        elif kind == "pool":
            kernel, stride, ends = rng.choice([2, 3]), rng.choice([1, 2]), rng.choice([0, 1])
            self.part = rng.choice([nn.MaxPool2d, nn.AvgPool2d])(kernel, stride, ends, ceil_mode=rng.random() < 0.5)
        elif kind == "sum":
            half = channels // 2
            self.part, self.other = nn.Conv2d(channels, half, 1), nn.Conv2d(channels, channels - half, 3, padding=1)
        elif kind == "cat":
            self.part = nn.Conv2d(channels, 4, 3, padding=1)
            self.channels += 4
        elif kind == "depthwise":
            self.part = nn.Conv2d(channels, channels, 3, rng.choice([1, 2]), 1, groups=channels)
        elif kind == "gate":
            self.part = nn.Sequential(nn.Linear(channels, 3), nn.ReLU(), nn.Linear(3, channels), nn.Sigmoid())
        elif kind == "norm":
            self.part = rng.choice([nn.BatchNorm2d, nn.InstanceNorm2d, nn.PReLU])(channels)

    def forward(self, x):
        if self.kind == "sum":
            return F.elu(x + torch.cat([self.part(x), self.other(x)], 1))
        if self.kind == "cat":
            return torch.cat([x, F.elu(self.part(x))], 1)
        if self.kind == "gate":
            return x * self.part(x.mean((2, 3)))[:, :, None, None]
        if self.kind == "split":
            left, right = x.chunk(2, 1)
            return torch.cat([right, left.sigmoid()], 1)
        return F.elu(self.part(x))


KINDS = ["conv", "pool", "sum", "cat", "depthwise", "gate", "norm", "split"]


def drawn(rng):
    stem = Step(rng, "conv", 8)
    channels = rng.choice([4, 6, 8])
    stem.part = nn.Conv2d(3, channels, rng.choice([3, 4, 7]), rng.choice([1, 2]), rng.choice([1, 2]))
    steps = [stem]
    for kind in rng.choices(KINDS, k=4):
        steps.append(Step(rng, kind, channels))
        channels = steps[-1].channels
    return nn.Sequential(*steps, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, 3))


@pytest.mark.parametrize("seed", range(16))
def test_a_network(seed):
    rng, size = random.Random(seed), 22
    net = settled(drawn(rng), size).double()
    x = torch.randn(2, 3, size, size, dtype=torch.float64)
    same, _ = convert(net, Trivial(), image_size=size)
    torch.testing.assert_close(same(x), net(x), rtol=1e-10, atol=1e-10)
    new, _ = convert(net, rng.choice(GROUPS), match=rng.choice(["parameters", "compute", None]), image_size=size)
    assert_equivariant(settled(new, size), size=(size, size))
    assert_equivariant(new.train(), size=(size, size))
