"""What conversions count, keep and report, for networks that are not a plain chain."""

import copy
import inspect

import pytest
import torch
from ordinary import settled
from test_converting_silent import Net, _then, check_same, plain, refused
from torch import nn
from torch.nn import functional as F

from equiconv import convert
from equiconv.converting import SymmetricPool, Windows
from equiconv.errors import ShapeError
from equiconv.groups import P4, P4M, HueShift, Trivial
from equiconv.testing import assert_equivariant

SIZE = 8


def recurrent(net, x):
    x = net.a(x)
    for _ in range(6):
        x = net.b(x).relu()
    return x


@pytest.mark.parametrize("match", ["parameters", "compute"])
def test_every_call_is_counted(match):
    net = Net(recurrent)
    net.a, net.b, net.fc = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(32, 32, 3, padding=1), nn.Linear(32, 4)
    _, report = convert(net, P4(), image_size=SIZE, match=match)
    before, after = getattr(report, {"compute": "multiplications"}.get(match, match))
    assert after == pytest.approx(before, rel=0.1)


class Headed(Net):
    def __init__(self, *, head=True):
        super().__init__(plain)
        self.head = nn.Sequential(nn.Linear(8, 256), nn.ReLU(), nn.Linear(256, 4)) if head else None
        self.unused = nn.Linear(500, 500)

    def forward(self, x):
        x = plain(self, x).mean((2, 3))
        return self.fc(x) if self.head is None else self.head(x)


def test_what_is_left_and_unused_is_not_filled():
    net = Headed()
    _, report = convert(net, P4(), image_size=SIZE, leave=["head"])
    assert report.scale < 1
    assert report.parameters[1] == pytest.approx(report.parameters[0], rel=0.05)
    assert {row.name for row in report.rows if row.status == "unused"} == {"fc", "unused"}
    _, report = convert(Headed(head=False), P4(), image_size=SIZE)
    assert report.scale < 1
    check_same(net)


def test_what_cannot_be_equal_is_not_called_so():
    net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3, groups=16))
    text = str(convert(net, P4M(), image_size=SIZE)[1])
    assert text.splitlines()[0].startswith("on Dihedral(4): nearest possible parameters")
    assert "0 fields" not in text


def test_module_lists_are_left():
    def steps(net, x):
        for part in net.head:
            x = part(x)
        return x

    class Lists(Net):
        def forward(self, x):
            return steps(self, self.a(x).mean((2, 3)))

    net = Lists(head=nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 4)]))
    _, report = convert(net, P4(), image_size=SIZE, leave=["head"])
    assert [row.name for row in report.rows if row.status == "left"] == ["head.0", "head.1"]
    refused(net, "never calls 'fc'", leave=["fc"])


class DropPath(nn.Module):
    def __init__(self, rate, *, entries=False):
        super().__init__()
        self.rate, self.entries = rate, entries

    def forward(self, x):
        if not self.training:
            return x
        shape = x.shape if self.entries else (x.shape[0], 1, 1, 1)
        return x * (torch.rand(shape, dtype=x.dtype) > self.rate) / (1 - self.rate)


def test_paths_are_dropped_by_samples():
    steps = lambda net, x: net.a(x) + net.d(net.b(net.a(x)))  # noqa: E731
    net, _ = convert(Net(steps, d=DropPath(0.5)), P4(), image_size=SIZE)
    assert_equivariant(settled(net, SIZE), size=(SIZE, SIZE))
    x = torch.randn(1, 3, SIZE, SIZE)
    outputs = {tuple(net.train()(x).flatten().tolist()) for _ in range(12)}
    assert len(outputs) == 2  # dropped or not
    refused(Net(steps, d=DropPath(0.5, entries=True)), r"d \(DropPath\) .*something else")


class Mixed(Net):
    def forward(self, x):
        return self.fc(self.b(self.a(x)).mean((2, 3)).double())


def test_every_module_keeps_its_precision():
    net = Mixed()
    net.fc.double()
    new, _ = convert(net, P4(), image_size=SIZE)
    assert (new.a.weight.dtype, new.fc.weight.dtype) == (torch.float32, torch.float64)
    assert new(torch.randn(2, 3, SIZE, SIZE)).dtype == torch.float64


@pytest.mark.parametrize("stride", [2, 3])
def test_padding_that_is_larger_than_the_maps(stride):
    net = Net(lambda net, x: net.c(F.max_pool2d(net.b(net.a(x)), 4)), c=nn.Conv2d(8, 8, 3, stride, 2))
    new, _ = convert(net, P4(), image_size=SIZE)
    assert_equivariant(new, size=(SIZE, SIZE))
    assert new(torch.zeros(1, 3, 13, 13)).shape == net(torch.zeros(1, 3, 13, 13)).shape
    with pytest.raises(ShapeError, match="smaller than one window"):
        SymmetricPool(P4().regular, Windows((4, 4), (3, 3)))(torch.zeros(1, 1, 4, 2, 2))


class Named(Net):
    def forward(self, input):  # noqa: A002
        return self.fc(plain(self, input).mean((2, 3)))


def test_shallow_copies_and_the_name_of_the_input():
    net, _ = convert(Named(), HueShift(3), image_size=SIZE)
    twin = copy.copy(net)
    assert (type(twin).__name__, twin.in_type, twin.out_type) == ("Named", net.in_type, net.out_type)
    x = torch.randn(1, 3, SIZE, SIZE)
    assert torch.equal(twin(input=x), net(x))
    assert list(inspect.signature(net.forward).parameters) == ["input"]


def test_on_the_trivial_group_widths_are_kept():
    check_same(Headed())
    check_same(Net(_then(lambda net, x: net.b(x))))
    assert convert(Headed(), Trivial(), image_size=SIZE, leave=["head"])[1].scale == 1
