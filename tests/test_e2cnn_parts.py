"""What becomes of the names and parameters of networks of e2cnn, and of what holds them."""

import e2cnn_pairs as pairs
import pytest
import torch
from torch import nn

from equiconv.errors import EquiconvError
from equiconv.interop import from_e2cnn

pytestmark = pytest.mark.filterwarnings("ignore")  # e2cnn warns wherever it goes
enn = pairs.enn
SPACE = pairs.SPACES["C4"]
IMAGES, FIELDS, MIXED = pairs.IMAGES, pairs.FIELDS, pairs.MIXED


def images():
    return torch.randn(3, 1, 7, 7, generator=torch.Generator().manual_seed(1))


class Named(nn.Module):
    """A network with a module of a name that the result may need for itself."""

    def __init__(self, name):
        super().__init__()
        self.name = name
        self.conv = enn.R2Conv(IMAGES, MIXED, 3)
        setattr(self, name, nn.Conv2d(MIXED.size, 2, 1))
        self.last = enn.R2Conv(MIXED, MIXED, 1)

    def forward(self, x):
        y = self.conv(enn.GeometricTensor(x, IMAGES))
        return getattr(self, self.name)(y.tensor) + getattr(self, self.name)(self.last(y).tensor)


NAMES = [
    "border_0",
    "border_1",
    "border_2",
    "border_3",
    "graph",
    "code",
    "meta",
    "recompile",
    "print_readable",
    "shape",
]


@pytest.mark.parametrize("name", NAMES)
def test_modules_may_have_any_name(name):
    net, x = pairs.drawn(Named(name)), images()
    ours = from_e2cnn(net)
    assert torch.allclose(ours(x), net(x), atol=1e-5)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in net.parameters() if p.requires_grad)


def block():
    points = enn.FieldType(SPACE, [SPACE.trivial_repr, SPACE.regular_repr, SPACE.quotient_repr(2)])
    return enn.SequentialModule(enn.R2Conv(IMAGES, points, 3), enn.InnerBatchNorm(points))


def test_parameters_that_are_not_trained_stay_so():
    module = block()
    for name in ("0.weights", "1.batch_norm_[1].bias", "1.batch_norm_[2].bias", "1.batch_norm_[4].bias"):
        module.get_parameter(name).requires_grad_(False)
    flags = {name: parameter.requires_grad for name, parameter in from_e2cnn(module).named_parameters()}
    assert flags.pop("0.weight") is False
    assert flags.pop("1.bias") is False
    assert all(flags.values())
    assert flags.keys() >= {"0.bias", "1.weight"}
    module.get_parameter("1.batch_norm_[1].bias").requires_grad_(True)
    with pytest.raises(EquiconvError, match=r"1: InnerBatchNorm .* require gradients and some do not"):
        from_e2cnn(module)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = enn.R2Conv(IMAGES, FIELDS, 3)
        self.first, self.second = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(self.first(self.conv(enn.GeometricTensor(x, IMAGES)).tensor))


def test_tied_weights_stay_tied():
    ours = from_e2cnn(Tied())
    assert ours.first.weight is ours.second.weight
    assert ours.first.bias is not ours.second.bias


class Outer(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


def test_containers_and_parallel_networks():
    net, x = pairs.drawn(Tied()), images()
    expected, relu = net(x), enn.ReLU(FIELDS)
    for network in (nn.DataParallel(net), Outer(nn.DataParallel(net)), nn.ModuleDict({"net": net, "relu": relu})):
        ours = from_e2cnn(network.eval())
        if isinstance(network, nn.ModuleDict):
            assert list(ours) == ["net", "relu"]
            ours = ours["net"]
        assert torch.allclose(ours(x), expected, atol=1e-5)
        assert not torch.allclose(ours(2 * x), expected, atol=1e-3)
