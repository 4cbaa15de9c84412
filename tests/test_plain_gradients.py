"""What trains in a network trains in what to_torch makes of it: gradients, ties, frozen parts and modes."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from equiconv.errors import ExportError
from equiconv.exporting import constants, export
from equiconv.groups import P4
from equiconv.interop import to_torch
from equiconv.layers import FieldBatchNorm, GroupConv2d, GroupPool

X = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Acts(nn.Module):
    """Does something with the maps of a convolution, and an ordinary convolution."""

    def __init__(self, function):
        super().__init__()
        group = P4()
        self.lift, self.function = GroupConv2d(group.image, group.regular, 3), function
        self.a, self.linear = nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 4)

    def forward(self, x):
        return self.function(self, self.lift(x).flatten(1, 2))


def without_gradients(net, y):
    with torch.no_grad():
        scale = net.a(y).mean((2, 3), keepdim=True)
    return y * scale


CASES = {
    "detached map": lambda net, y: net.a(y) * net.a(y).detach(),
    "detached kernel": lambda net, y: F.conv2d(y, net.a.weight.detach()) + F.conv2d(y, net.a.weight * 2),
    "no gradients": without_gradients,
    "transposed": lambda net, y: F.linear(net.linear(y.mean((2, 3))), net.linear.weight.t()),
    "dilated": lambda net, y: F.conv2d(net.a(y), net.a.weight, net.a.bias, padding=2, dilation=2),
    "normalized": lambda net, y: F.conv2d(y, net.a.weight / net.a.weight.norm()),
    "a scale of both": lambda net, y: F.conv2d(y, net.a.weight * net.a.bias.exp()[:, None, None, None], net.a.bias),
}


def step(net, x):
    """Return the gradient of the input, and the output after a step of all but the lifting."""
    x = x.clone().requires_grad_()
    net(x).square().mean().backward()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if not name.startswith("lift") and parameter.grad is not None:
                parameter -= 0.1 * parameter.grad
        return x.grad, net(x)


def trained_alike(net, free, x=X):
    (grad, y), (other, z) = step(copy.deepcopy(net), x), step(copy.deepcopy(free), x)
    return torch.allclose(grad, other, rtol=1e-9, atol=1e-12) and torch.allclose(y, z, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in CASES if name != "normalized"])
def test_a_step_of_training_is_the_same(name):
    net = Acts(CASES[name]).double()
    assert trained_alike(net, to_torch(net, X))


def test_a_parameter_that_is_read_once_becomes_what_is_made_of_it():
    free = to_torch(Acts(CASES["normalized"]).double(), X)
    assert [name for name, parameter in free.named_parameters() if parameter.shape == (4, 4, 3, 3)] == ["conv.weight"]


def test_losing_a_tie_or_a_stop_is_noticed(monkeypatch):
    net = Acts(CASES["transposed"]).double()
    monkeypatch.setattr(constants, "_after_the_last_cut", lambda *_: [])
    with pytest.raises(ExportError, match="gradients of what was written differ"):
        to_torch(net, X)
    monkeypatch.undo()
    net = Acts(CASES["detached map"]).double()
    free = to_torch(net, X)
    for node in list(free.graph.nodes):
        if node.name.startswith("detach"):
            node.replace_all_uses_with(node.args[0])
    free.recompile()
    assert not trained_alike(net, free)


class Reversal(torch.autograd.Function):
    """Reverses gradients."""

    @staticmethod
    def forward(_context, x):
        return x.clone()

    @staticmethod
    def backward(_context, grad):
        return -grad


def test_gradients_that_forward_changes_itself_are_refused():
    with pytest.raises(ExportError, match="gradients of what was written differ"):
        to_torch(Acts(lambda net, y: net.a(Reversal.apply(y))).double(), X)


def test_layers_that_share_a_kernel_go_on_sharing_it():
    net = Acts(lambda net, y: net.b(net.a(y))).double()
    net.b = nn.Conv2d(4, 4, 3, padding=2, dilation=2).double()
    net.b.weight, net.b.bias = net.a.weight, net.a.bias
    free = to_torch(net, X)
    assert free.a.weight is free.b.weight
    assert trained_alike(net, free)
    free.b.weight = nn.Parameter(free.a.weight.detach().clone())
    assert not trained_alike(net, free)


def test_frozen_parts_and_modes_stay():
    fields = 2 * P4().regular
    net = nn.Sequential(
        *(GroupConv2d(P4().image, fields, 3), nn.BatchNorm3d(2), FieldBatchNorm(fields)),
        *(nn.ReLU(), GroupConv2d(fields, fields, 3), nn.Dropout3d(0.5)),
    )
    net[:3].requires_grad_(False)
    net[1].eval()
    net[2].eval()
    free = to_torch(net, X.float())
    assert {name[0]: parameter.requires_grad for name, parameter in free.named_parameters()} == {
        **dict.fromkeys("012", False),
        "4": True,
    }
    assert [free.get_submodule(name).training for name in ("1", "2", "5")] == [False, False, True]
    assert free.training
    plain = export(net, X.float())
    wanted = {name: parameter.requires_grad for name, parameter in plain.named_parameters()}
    assert wanted == {"0.weight": False, "0.bias": False, "4.weight": True, "4.bias": True}


def test_what_trains_in_its_own_way_is_named():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift = GroupConv2d(P4().image, P4().regular, 3)
            self.encoder = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)

        def forward(self, x):
            return self.encoder(self.lift(x).flatten(1, 2).flatten(2).transpose(1, 2))

    with pytest.raises(ExportError, match=r"no counterpart trains as .*encoder\.self_attn, MultiheadAttention"):
        to_torch(Attention(), X.float())


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_an_example_of_equal_pixels(value):
    fields = 4 * P4().regular
    net = nn.Sequential(GroupConv2d(P4().image, fields, 3), nn.BatchNorm3d(4), nn.ReLU(), GroupPool(fields))
    assert to_torch(net, torch.full((2, 3, 8, 8), value)).training
