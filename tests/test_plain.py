"""Networks turned into ordinary PyTorch networks train as they would have."""

import copy
from dataclasses import replace

import pytest
import torch
from samples import CONVOLUTIONS, LAYERS, SHAPES
from torch import nn
from torch.nn import functional as F

from equiconv.errors import ExportError
from equiconv.groups import P4, HueShift, Trivial
from equiconv.interop import plain, to_torch
from equiconv.layers import FieldBatchNorm, FieldDropout, GroupConv2d, Pointwise
from equiconv.models import CNN, RESNET18, ResNet

GROUP = P4()
MODULES = CONVOLUTIONS | LAYERS
REFUSED = ("batch norm", "batch norm of images")  # of irreps, and of three colors that stay as they are


def check_training(module, x, tolerance=1e-6):
    """In training both compute the same; then, with what training has left, in evaluation; and gradients flow."""
    net = to_torch(module, x)
    assert net.training == module.training
    for y in (torch.randn(3, *x.shape[1:]).to(x.dtype) * 2 + 1, x):
        torch.testing.assert_close(net.train()(y), module.train()(y), rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(net.eval()(y), module.eval()(y), rtol=tolerance, atol=tolerance)
    net.train()(x.clone().requires_grad_()).square().sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters() if parameter.requires_grad)
    return net


@pytest.mark.parametrize("name", [name for name in MODULES if "dropout" not in name and name not in REFUSED])
def test_every_layer_in_training(name):
    module = MODULES[name](GROUP).double()
    x = torch.randn(2, *module.in_type.shape, *SHAPES.get(name, (8, 7)), dtype=torch.float64)
    check_training(module, x, 1e-11)


TYPES = {
    "invariant": 3 * GROUP.trivial,
    "images": 2 * HueShift(3).image,
    "regular": 2 * GROUP.regular,
    "quotient": 2 * GROUP.quotient([2]),
    "both": 2 * (GROUP.trivial + GROUP.regular),
}


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("name", TYPES)
def test_batch_norms_of_fields(name, affine):
    norm = FieldBatchNorm(TYPES[name], affine=affine, momentum=0.3, eps=1e-3).double()
    if affine:
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.uniform_(norm.bias, 0.5, 2)
    norm(torch.randn(4, *norm.in_type.shape, 5, 5, dtype=torch.float64) + 3)
    net = check_training(norm, torch.randn(2, *norm.in_type.shape, 5, 5, dtype=torch.float64), 1e-11)
    count = sum(isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d) for part in net.modules())
    assert count == (2 if name == "both" else 1)


def test_a_hybrid_residual_network_goes_on_training():
    architecture = replace(RESNET18, stem="small", blocks=(1, 1, 1, 1))
    net = ResNet([HueShift(3)] * 2 + [Trivial()] * 2, architecture, (2, 2, 3, 4)).double()
    other = copy.deepcopy(net)
    x = torch.randn(4, 3, 16, 16, dtype=torch.float64)
    free = check_training(net, x, 1e-10)
    kernel = free.get_submodule("stem.0").weight
    assert kernel.shape == net.stem[0].kernel().shape
    optimizer = torch.optim.SGD(free.parameters(), 0.1)
    before = F.cross_entropy(free.train()(x), torch.arange(4)).item()
    for _ in range(5):
        optimizer.zero_grad()
        loss = F.cross_entropy(free(x), torch.arange(4))
        loss.backward()
        optimizer.step()
    assert loss.item() < before
    fields = kernel.detach().unflatten(0, (2, 3))
    assert not torch.allclose(fields[:, 0], fields[:, 1].roll(-1, 1))  # the kernels of a field are no longer hue shifts
    assert set(other.state_dict()) == set(net.state_dict())


class Twice(nn.Module):
    """Normalizes twice by the same batch norm."""

    def __init__(self):
        super().__init__()
        fields = 2 * GROUP.regular
        self.conv, self.norm = GroupConv2d(fields, fields, 3, padding=1), FieldBatchNorm(fields)

    def forward(self, x):
        return self.norm(torch.relu(self.norm(self.conv(x))))


def test_layers_that_are_called_twice_stay_one():
    free = check_training(Twice().double(), torch.randn(2, 2, 4, 5, 5, dtype=torch.float64), 1e-11)
    assert {name for name, _ in free.named_parameters()} == {
        f"{a}.{b}" for a in ("conv", "norm") for b in ("weight", "bias")
    }


def test_dropouts_drop_whole_fields():
    group = P4()
    net = nn.Sequential(GroupConv2d(group.image, 200 * group.trivial, 1), FieldDropout(200 * group.trivial, 0.25))
    free = to_torch(net, torch.randn(2, 3, 4, 4))
    assert free.get_submodule("1").p == 0.25
    torch.manual_seed(0)
    x = torch.randn(5, 3, 4, 4)
    y, kept = free.train()(x), free.eval()(x)
    dropped = (y == 0).flatten(2).all(2)
    assert 0.15 < dropped.float().mean() < 0.35
    torch.testing.assert_close(y, torch.where(dropped[..., None, None], 0, kept / 0.75))
    free = to_torch(CNN(P4(), 2, dropout=0.1), torch.randn(2, 3, 28, 28))
    assert type(free.get_submodule("features.1")) is nn.BatchNorm3d
    assert type(free.get_submodule("features.3")) is nn.Dropout3d


def test_irreps_are_refused_or_frozen():
    group = P4()
    fields = 2 * (group.irrep(0) + group.irrep(1))
    net = nn.Sequential(GroupConv2d(group.image, fields, 3), FieldBatchNorm(fields))
    x = torch.randn(4, 3, 6, 6)
    net(x)
    with pytest.raises(ExportError, match=r"1, FieldBatchNorm.*has no counterpart.*freeze=True"):
        to_torch(net, x)
    frozen = to_torch(net, x, freeze=True)
    expected = net.eval()(x)
    for mode in (True, False):
        torch.testing.assert_close(frozen.train(mode)(x), expected, rtol=1e-5, atol=1e-6)
    frozen(x).sum().backward()
    assert all(parameter.grad is not None for parameter in frozen.parameters())


class Deeper(nn.Module):
    """Computes more in training than in evaluation."""

    def forward(self, x):
        return torch.relu(x) * 2 if self.training else torch.relu(x)


def test_what_computes_something_else_in_training_is_refused(monkeypatch):
    with pytest.raises(ExportError, match=r"Deeper in training.*forward may do nothing else"):
        to_torch(Deeper(), torch.randn(2, 3, 4, 4))
    norm, correct = FieldBatchNorm(2 * P4().regular), plain._block
    x = torch.randn(2, 2, 4, 5, 5)
    to_torch(norm, x)

    def slower(*args):
        block = correct(*args)
        block.running_mean += 0.1
        return block

    monkeypatch.setattr(plain, "_block", slower)
    with pytest.raises(ExportError, match="computes something else"):
        to_torch(norm, x)


def test_a_check_that_fails(monkeypatch):
    net = nn.Sequential(GroupConv2d(P4().image, 2 * P4().regular, 3), nn.BatchNorm3d(2), Pointwise(2 * P4().regular))
    x = torch.randn(4, 3, 6, 6)
    free = to_torch(net, x)
    free.get_submodule("1").momentum = 0.5
    free.train()(x)
    net(x)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(free.eval()(x), net.eval()(x), rtol=1e-3, atol=1e-3)
