"""Exported networks take the sizes that the network takes, and refuse those for which the graph does not hold."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from equiconv.exporting import export, guards
from equiconv.groups import P4, HueShift
from equiconv.layers import GroupConv2d, GroupPool
from equiconv.models import CNN, RESNET18, ResNet


class Acts(nn.Module):
    """Does something with the maps of a convolution."""

    def __init__(self, function):
        super().__init__()
        group = P4()
        self.conv = GroupConv2d(group.image, 2 * group.regular, 3, padding=1)
        self.pool, self.function = GroupPool(2 * group.regular), function

    def forward(self, x):
        return self.function(self.pool(self.conv(x)))


def same(plain, net, *shape):
    """Tell whether both compute the same; an input that is refused is not the same."""
    x = torch.randn(*shape)
    try:
        y = plain(x)
    except AssertionError as error:
        assert "was exported for inputs with" in str(error)  # noqa: PT017
        return False
    expected = net(x)
    return y.shape == expected.shape and torch.allclose(y, expected, rtol=1e-4, atol=1e-5)


LEAST = 10  # the rows of the smallest images of the network below: its last map has one pixel then


@pytest.fixture(scope="module")
def whole():
    """Return a network, and what it becomes for examples whose last map has one pixel, and more."""
    net = CNN(P4(), 2, kernel_sizes=(3, 3, 3)).eval()
    return net, {size: export(net, torch.randn(2, 3, size, size)) for size in (LEAST, LEAST + 4)}


@pytest.mark.parametrize("more", [0, 4])
def test_a_whole_network_at_other_sizes(whole, more):
    net, plain = whole[0], whole[1][LEAST + more]
    for h, w in ((0, 0), (2, 2), (0, 8), (10, 0), (4, 4)):
        for batch in (0, 1, 3):
            assert same(plain, net, batch, 3, LEAST + h, LEAST + w)
    for small in (LEAST - 2, LEAST - 4, LEAST + 1):
        assert not same(plain, net, 2, 3, small, small)


def test_each_size_is_read_once(whole):
    plain = whole[1][LEAST]
    nodes = list(plain.get_submodule("check_sizes").graph.nodes)
    sizes = [node.args[1] for node in nodes if node.target == "size"]
    assert len(sizes) == len(set(sizes))
    texts = [node.args[1] for node in nodes if node.target is torch._assert]
    assert len(texts) == len(set(texts)) <= 7


BRANCHES = {
    "a quotient": (lambda y: y * 10 if y.shape[-1] // 8 != 1 else y, (2, 3, 8, 8)),
    "one image": (lambda y: y * 10 if y.shape[0] == 1 else y, (1, 3, 16, 16)),
    "one row": (lambda y: y * 10 if y.shape[2] == 1 else y, (2, 3, 1, 16)),
    "one pixel": (lambda y: y * 10 if y.shape[2] == 1 else y, (2, 3, 1, 1)),
    "squeeze": (lambda y: y.mean((2, 3), keepdim=True).squeeze(), (1, 3, 16, 16)),
    "no images": (lambda y: y if y.shape[0] else y.flatten(), (0, 3, 16, 16)),
    "large": (lambda y: y * 10 if y.shape[-1] > 20 else y, (2, 3, 24, 24)),
    "few pixels": (lambda y: y * 10 if y.shape[2] * y.shape[3] < 200 else y, (2, 3, 14, 14)),
    "a remainder": (lambda y: y * 10 if y.shape[-1] % 3 == 1 else y, (2, 3, 17, 17)),
}


@pytest.mark.parametrize("name", BRANCHES)
def test_what_goes_another_way_at_a_size_refuses_it(name):
    function, shape = BRANCHES[name]
    net = Acts(function).eval()
    plain = export(net, torch.randn(2, 3, 16, 16))
    assert same(plain, net, 3, 3, 16, 16)
    assert not same(plain, net, *shape)


def test_one_pixel_where_the_network_takes_it():
    net = Acts(torch.relu).eval()
    plain = export(net, torch.randn(2, 3, 16, 16))
    for shape in ((2, 3, 1, 1), (1, 3, 1, 5), (1, 3, 7, 1), (0, 3, 4, 4)):
        assert same(plain, net, *shape)
    assert [node.args[1] for node in plain.check_sizes.graph.nodes if node.target == "size"] == [1]  # the colors


def test_a_doubt_that_is_dropped_unseen_is_noticed(monkeypatch):
    function, shape = BRANCHES["squeeze"]
    net = Acts(function).eval()
    monkeypatch.setattr("equiconv.exporting.writing.needed", lambda traced, *_: [])
    x = torch.randn(*shape)
    assert export(net, torch.randn(2, 3, 16, 16))(x).shape != net(x).shape


def test_guards_with_one_number():
    bounds = ["(-3) + h >= 0", "(-5) + h >= 0", "(2 + (h % 2)) == 3", "(h % 2) == 1", "((-2) + h // 2) != 1"]
    assert guards._greatest(bounds) == ["h >= 5", "h % 2 == 1", "h // 2 != 3"]
    others = ["(1 + h) * (2 + w) == 3", "h + w == 3", "1 + h < h * w"]
    assert guards._greatest(others) == others


def test_residual_networks_go_on_where_their_last_map_has_one_pixel():
    net = ResNet(HueShift(3), replace(RESNET18, stem="small", blocks=(1, 1, 1, 1)), (2, 2, 3, 4)).eval()
    plain = export(net, torch.randn(2, 3, 32, 32))
    for shape in ((2, 3, 8, 8), (1, 3, 5, 9), (1, 3, 9, 17), (0, 3, 32, 32), (3, 3, 40, 33)):
        assert same(plain, net, *shape)


def test_a_size_that_is_built_in():
    class Positions(nn.Module):
        def __init__(self):
            super().__init__()
            self.positions = nn.Parameter(torch.randn(3, 8, 8))

        def forward(self, x):
            return x + self.positions

    net = Positions().eval()
    plain = export(net, torch.randn(2, 3, 8, 8))
    assert same(plain, net, 5, 3, 8, 8)
    assert not same(plain, net, 5, 3, 1, 1)
