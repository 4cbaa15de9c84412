"""Modules as users write them are exported: names, outputs, precisions, and layers that draw."""

from collections import OrderedDict, namedtuple

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from equiconv.errors import ExportError
from equiconv.exporting import export
from equiconv.exporting.writing import same
from equiconv.groups import P4
from equiconv.interop import to_torch
from equiconv.layers import GroupConv2d

Both = namedtuple("Both", "maps mean")
NAMES = ("graph", "code", "meta", "print_readable", "recompile", "check_sizes")


class Acts(nn.Module):
    """Does something with the maps of a convolution."""

    def __init__(self, function):
        super().__init__()
        group = P4()
        self.conv, self.function = GroupConv2d(group.image, 2 * group.regular, 3), function
        self.offsets = nn.Parameter(torch.arange(6), requires_grad=False)

    def forward(self, x):
        return self.function(self, self.conv(x).flatten(1, 2))


X = torch.randn(2, 3, 8, 8)


@pytest.mark.parametrize("write", [export, to_torch])
@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_layer(name, write):
    net = nn.Sequential(OrderedDict({name: GroupConv2d(P4().image, P4().regular, 3), "graph_": nn.BatchNorm3d(1)}))
    plain = write(net, X).eval()
    torch.testing.assert_close(plain(X), net.eval()(X))
    plain.load_state_dict(plain.state_dict())


OUTPUTS = {
    "a named tuple": (lambda net, y: Both(y, y.mean()), tuple),
    "an ordered dict": (lambda net, y: OrderedDict(maps=y, mean=[y.mean()]), dict),
    "infinite": (lambda net, y: y.masked_fill(y < 0, -torch.inf), torch.Tensor),
    "complex": (lambda net, y: torch.fft.rfft2(y), torch.Tensor),
    "integers": (lambda net, y: y + net.offsets, torch.Tensor),
    "always dropped": (lambda net, y: F.dropout(y, 0.5, training=True), torch.Tensor),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs(name):
    function, kind = OUTPUTS[name]
    net = Acts(function).eval()
    for write in (export, to_torch):
        plain, results = write(net, X), []
        for module in (net, plain):
            torch.manual_seed(0)
            results.append(module(X[:1]))
        assert same(*results)
        assert not same(results[0], plain(2 * X[:1]))
        assert type(results[1]) is kind


def test_what_is_always_dropped_stays_dropped():
    plain = export(Acts(OUTPUTS["always dropped"][0]), X)
    assert 0.3 < (plain.eval()(X) == 0).float().mean() < 0.7


def test_infinities_are_compared():
    y = torch.tensor([1.0, torch.inf, torch.nan])
    assert same(y, y.clone())
    assert not same(y, torch.tensor([1.0, -torch.inf, torch.nan]))
    assert not same(y, torch.tensor([1.0, 2.0, torch.nan]))


@pytest.mark.parametrize("write", [export, to_torch])
def test_an_example_in_another_precision(write):
    with pytest.raises(ExportError, match=r"example is in torch\.float64.*parameters in torch\.float32"):
        write(nn.Sequential(GroupConv2d(P4().image, P4().regular, 3), nn.BatchNorm3d(1)), X.double())


def test_kernels_are_made_once_and_not_traced():
    plain = export(GroupConv2d(P4().image, 2 * P4().regular, 3, basis="harmonics"), X)
    assert set(plain.state_dict()) == {"conv.weight", "conv.bias"}
