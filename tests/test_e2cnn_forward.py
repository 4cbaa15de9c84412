"""What a forward does besides calling modules of e2cnn: modes, changes in place, state, noise."""

import random

import e2cnn_pairs as pairs
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from equiconv.errors import EquiconvError
from equiconv.interop import from_e2cnn

pytestmark = pytest.mark.filterwarnings("ignore")  # e2cnn warns wherever it goes
enn = pairs.enn
SPACE = pairs.SPACES["C4"]
IMAGES, FIELDS, MIXED = pairs.IMAGES, pairs.FIELDS, pairs.MIXED


class Net(nn.Module):
    """A convolution, and what is done with its fields."""

    def __init__(self, body, kind=FIELDS, inplace=False):
        super().__init__()
        self.body = body
        self.conv = enn.R2Conv(IMAGES, kind, 3)
        self.relu = enn.ReLU(kind, inplace=inplace) if kind is FIELDS else None
        self.linear = nn.Conv2d(kind.size, kind.size, 1)
        self.chain = nn.Sequential(nn.Identity(), nn.ReLU(inplace=inplace))
        self.register_buffer("mean", torch.full((), 0.5))
        self.steps, self.seen = 0, []

    def forward(self, x):
        return self.body(self, self.conv(enn.GeometricTensor(x, IMAGES)))


def network(body, **options):
    torch.manual_seed(0)
    return pairs.drawn(Net(body, **options))


def images():
    return torch.randn(3, 1, 7, 7, generator=torch.Generator().manual_seed(1))


def dropped(net, y):
    return F.dropout(net.linear(y.tensor), 0.5, training=net.training)


def scaled(net, y):
    return net.linear(y.tensor) * (2.0 if net.training else 3.0) + y.tensor[:, : 4 if net.training else 1].sum()


@pytest.mark.parametrize("converted_in", [True, False])
@pytest.mark.parametrize("body", [dropped, scaled])
def test_what_depends_on_the_mode_follows_it(body, converted_in):
    net, x = network(body), images()
    ours = from_e2cnn(net.train(converted_in))
    found = {}
    for mode in (True, False):
        net.train(mode)
        ours.train(mode)
        torch.manual_seed(0)
        expected = net(x)
        torch.manual_seed(0)
        found[mode] = ours(x)
        assert torch.allclose(found[mode], expected, atol=1e-5)
    assert (found[True] - found[False]).abs().max() > 0.1


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Net(dropped)

    def forward(self, x):
        return self.inner(x)


def test_the_mode_is_that_of_the_module_that_asks_for_it():
    net = pairs.drawn(Outer()).train()
    net.inner.eval()
    ours, x = from_e2cnn(net), images()
    assert torch.allclose(ours(x), net(x), atol=1e-5)
    ours.train()
    assert (ours(x) == 0).any()


def returned(net, y):
    return y.tensor if net.training else net.relu(y).tensor


def another(net, y):
    return y.tensor + (torch.ones(()) if net.training else torch.zeros(()))


@pytest.mark.parametrize("body", [returned, another])
def test_other_steps_in_training_than_in_evaluation_are_refused(body):
    with pytest.raises(EquiconvError, match=r"Net cannot be followed: .*in training than in evaluation"):
        from_e2cnn(network(body))


def step_in_place(net, y):
    return (y + net.relu(y)).tensor


def method_in_place(net, y):
    y.tensor.mul_(2.0)
    return net.relu(y).tensor + y.tensor


def sum_in_place(net, y):
    x = y.tensor
    x += 1
    x *= x
    return net.relu(y).tensor


def function_in_place(net, y):
    before = y.tensor * 1.0
    F.relu(y.tensor, True)
    return y.tensor + 2 * before


def module_in_place(net, y):
    return net.chain(y.tensor) + y.tensor


def out_in_place(net, y):
    z = torch.zeros_like(y.tensor)
    torch.add(y.tensor, 1.0, out=z)
    return z


def sizes_in_place(net, y):
    size = y.tensor.shape[2]
    half = size
    half //= 2
    size *= y.tensor
    return y.tensor + size + half


def fresh_in_place(net, y):
    z = net.linear(y.tensor)
    z += y.tensor
    y.tensor.clamp_(min=0.0)
    return z + y.tensor


POINTWISE = [step_in_place, method_in_place, sum_in_place]
IN_PLACE = [function_in_place, module_in_place, out_in_place, sizes_in_place, fresh_in_place]
CASES = [(body, FIELDS) for body in POINTWISE + IN_PLACE] + [(body, MIXED) for body in IN_PLACE]


@pytest.mark.parametrize(("body", "kind"), CASES)
def test_changes_in_place(body, kind):
    net, x = network(body, kind=kind, inplace=True), images()
    ours = from_e2cnn(net)
    with torch.no_grad():
        expected, found = net(x), ours(x)
        assert torch.allclose(found, expected, atol=1e-5)
        assert not torch.allclose(ours(1.1 * x), expected, atol=1e-3)


def view_before(net, y):
    part = y.tensor[:, :2]
    y.tensor.mul_(2.0)
    return part


def view_changed(net, y):
    part = y.tensor.flatten(2)
    part += 1
    return net.relu(y).tensor


def perhaps_the_same(net, y):
    z = F.dropout(y.tensor, 0.5, net.training)
    z += 1
    return y.tensor


def attribute(net, y):
    y.tensor.data.add_(1)
    return y.tensor


@pytest.mark.parametrize("body", [view_before, view_changed, perhaps_the_same, attribute])
def test_changes_that_another_view_shows_are_refused(body):
    with pytest.raises(EquiconvError, match="another view is read later"):
        from_e2cnn(network(body))


def average(net, y):
    net.mean.mul_(0.9)
    return y.tensor - net.mean


def constant(net, y):
    total = torch.zeros(8)
    total += y.tensor.mean((0, 2, 3))
    return total


def counted(net, y):
    net.mean += 1
    return y.tensor


def numbered(net, y):
    net.steps += 1
    return y.tensor


def collected(net, y):
    net.seen.append(1)
    return y.tensor


@pytest.mark.parametrize("body", [average, constant, counted, numbered, collected])
def test_state_is_refused_and_stays_as_it_was(body):
    net = network(body)
    with pytest.raises(EquiconvError, match=r"changes a parameter, buffer or constant|changes (mean|steps|seen)"):
        from_e2cnn(net)
    assert net.mean == 0.5
    assert net.steps == 0
    assert net.seen == []


def test_buffers_that_are_read_are_buffers():
    net, x = network(lambda net, y: y.tensor - 2 * net.mean), images()
    ours = from_e2cnn(net)
    for model in (net, ours):
        model.mean.fill_(3.0)
    assert torch.allclose(ours(x), net(x), atol=1e-5)
    assert "_tensor_constant0" not in vars(net)


DRAWS = {
    "torch": lambda: torch.randn(2).sum(),
    "random": random.random,
    "numpy": lambda: np.random.rand(),  # noqa: NPY002
}


@pytest.mark.parametrize("name", DRAWS)
def test_noise_that_would_be_the_same_in_every_call_is_refused(name):
    with pytest.raises(EquiconvError, match="draws random numbers"):
        from_e2cnn(network(lambda net, y: y.tensor + DRAWS[name]()))


def test_noise_like_a_tensor_is_drawn_in_every_call():
    ours, x = from_e2cnn(network(lambda net, y: y.tensor + torch.randn_like(y.tensor))), images()
    assert not torch.equal(ours(x), ours(x))
