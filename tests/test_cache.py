"""In evaluation the kernels are made once, and again whenever a parameter has changed."""

import copy
import io

import pytest
import torch
from torch import nn

from equiconv.execution import Cache
from equiconv.groups import P4, HueShift
from equiconv.layers import GroupConv2d, GroupConvTranspose2d

MAKES = {
    "dense": lambda: GroupConv2d(2 * P4().regular, 2 * P4().regular, 3, padding=1),
    "fourier": lambda: GroupConv2d(2 * HueShift(4).regular, 2 * HueShift(4).regular, 3, padding=1, execution="fourier"),
    "separable": lambda: GroupConv2d(2 * P4().regular, 2 * P4().regular, 3, padding=1, factorization="gc"),
    "irreps": lambda: GroupConv2d(2 * P4().irrep(1), 2 * P4().vector, 3, padding=1),
    "transposed": lambda: GroupConvTranspose2d(2 * P4().regular, 2 * P4().regular, 3, padding=1),
}
pytestmark = pytest.mark.parametrize("name", MAKES)


class Counted(Cache):
    """Counts how often something is made."""

    made = 0

    def get(self, name, parameters, make):
        def count():
            self.made += 1
            return make()

        return super().get(name, parameters, count)


def ready(name):
    layer = MAKES[name]()
    layer._cache = Counted()
    x = torch.randn(2, *layer.in_type.shape, 7, 7)
    return layer.eval(), x


def fresh(layer, x):
    """Return what a layer of the same parameters computes that has never computed before."""
    other = copy.deepcopy(layer)
    assert not other._cache._kept
    return other.train()(x)


@torch.no_grad()
def test_made_once(name):
    layer, x = ready(name)
    first = layer(x)
    assert torch.equal(layer(x), first)
    torch.testing.assert_close(layer(x[:1]), first[:1])
    assert layer._cache.made == 1
    layer.train()(x)
    assert layer._cache.made == 1
    layer.eval()(x)
    assert layer._cache.made == 2


def double_in_place(layer):
    for parameter in layer.parameters():
        parameter.mul_(2)


def double_data(layer):
    for parameter in layer.parameters():
        parameter.data.mul_(2)


def replace_data(layer):
    for parameter in layer.parameters():
        parameter.data = parameter.data + 1


def replace_parameters(layer):
    for key, parameter in list(layer.named_parameters()):
        setattr(layer, key, nn.Parameter(parameter + 1))


def load(layer):
    layer.load_state_dict({key: value + 1 for key, value in layer.state_dict().items()})


def assign(layer):
    layer.load_state_dict({key: value + 1 for key, value in layer.state_dict().items()}, assign=True)


def draw(layer):
    layer.reset_parameters()


def average(layer):
    with torch.inference_mode():
        for parameter in layer.parameters():
            parameter.lerp_(torch.ones_like(parameter), 0.5)


def through_numpy(layer):
    for parameter in layer.parameters():
        parameter.numpy()[...] += 1


def step(layer):
    with torch.enable_grad():
        for parameter in layer.parameters():
            parameter.grad = torch.ones_like(parameter)
    torch.optim.Adam(layer.parameters(), 0.1).step()


CHANGES = [double_in_place, double_data, replace_data, replace_parameters, load, assign, draw, average, step]


@pytest.mark.parametrize("change", [*CHANGES, through_numpy], ids=lambda f: f.__name__)
@torch.no_grad()
def test_follows_every_change(name, change):
    layer, x = ready(name)
    before = layer(x)
    change(layer)
    after = layer(x)
    assert (after - before).abs().max() > 1e-3
    torch.testing.assert_close(after, fresh(layer, x))


@torch.no_grad()
def test_a_cache_that_does_not_look_is_seen(name):
    layer, x = ready(name)
    layer(x)
    kept = layer._cache._kept
    double_in_place(layer)
    for copies, _ in kept.values():
        for each in copies:
            each.is_still = lambda parameter: True
    assert (layer(x) - fresh(layer, x)).abs().max() > 1e-3


@torch.no_grad()
def test_elsewhere_recorded_changes_are_followed(name, monkeypatch):
    """Where parameters are not compared number by number, what PyTorch records tells, and ``eval`` forgets."""
    monkeypatch.setattr("equiconv.execution.cache.COMPARED", ())
    for change in (double_in_place, replace_data, replace_parameters, load, assign, draw, step):
        layer, x = ready(name)
        layer(x)
        layer(x)
        assert layer._cache.made == 1
        change(layer)
        torch.testing.assert_close(layer(x), fresh(layer, x))
        assert layer._cache.made == 2
    double_data(layer)
    torch.testing.assert_close(layer.eval()(x), fresh(layer, x))
    with torch.inference_mode():
        made_there, x = ready(name)
        made_there(x)
        double_in_place(made_there)
        torch.testing.assert_close(made_there(x), fresh(made_there, x))


@torch.no_grad()
def test_follows_precision(name):
    layer, x = ready(name)
    layer(x)
    assert layer.double()(x.double()).dtype == torch.float64
    torch.testing.assert_close(layer(x.double()), fresh(layer, x.double()))


def test_never_saved_nor_copied(name):
    layer, x = ready(name)
    layer._cache = Cache()
    empty, state = len(pickled(layer)), list(layer.state_dict())
    with torch.no_grad():
        layer(x)
    assert layer._cache._kept
    assert len(pickled(layer)) == empty
    assert list(layer.state_dict()) == state
    assert not copy.deepcopy(layer)._cache._kept


def pickled(layer):
    buffer = io.BytesIO()
    torch.save(layer, buffer)
    return buffer.getvalue()


def test_gradients_in_evaluation(name):
    layer, x = ready(name)
    with torch.inference_mode():
        layer(x)
    x.requires_grad_()
    (expected,) = torch.autograd.grad(fresh(layer, x).pow(2).sum(), x)
    layer(x).pow(2).sum().backward()
    torch.testing.assert_close(x.grad, expected)
    assert all(parameter.grad.abs().max() > 0 for parameter in layer.parameters())
    assert layer._cache.made == 1
    layer.requires_grad_(False)  # frozen: now what was kept in inference mode serves
    x.grad = None
    layer(x).pow(2).sum().backward()
    torch.testing.assert_close(x.grad, expected)
    assert layer._cache.made == 1


@torch.no_grad()
def test_replaced_parameters_are_not_kept(name):
    layer, x = ready(name)
    other = {key: value + 1 for key, value in layer.state_dict().items()}
    expected = layer(x)
    found = torch.func.functional_call(layer, other, (x,))
    assert (found - expected).abs().max() > 1e-3
    assert torch.equal(layer(x), expected)
    assert layer._cache.made == 1
