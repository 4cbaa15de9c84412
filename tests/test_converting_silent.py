"""What would silently become another function, or lose equivariance, when a network is converted."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from equiconv import convert
from equiconv.errors import ConversionError
from equiconv.groups import P4, HueShift, Trivial
from equiconv.testing import assert_equivariant

SIZE = 8


class Net(nn.Module):
    """Two convolutions, a linear layer, and a forward that is given."""

    def __init__(self, steps=None, **parts):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.fc = nn.Linear(8, 4)
        self.steps = steps
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.fc(self.steps(self, x).mean((2, 3)))


def check_same(net):
    net = net.double().eval()
    new, _ = convert(net, Trivial(), image_size=SIZE)
    x = torch.randn(2, 3, SIZE, SIZE, dtype=torch.float64)
    torch.testing.assert_close(new(x), net(x.clone()), rtol=1e-12, atol=1e-12)


def refused(net, message, group=None, **options):
    with pytest.raises(ConversionError, match=message):
        convert(net, group or P4(), image_size=SIZE, **options)


class Decoded(Net):
    """Makes maps of a vector."""

    def __init__(self, how):
        super().__init__()
        self.how, self.up = how, nn.Sequential(nn.Linear(8, 8 * SIZE * SIZE), nn.Unflatten(1, (8, SIZE, SIZE)))

    def forward(self, x):
        f = self.a(x).relu()
        z = self.up(f.mean((2, 3)))
        if self.how == "output":
            return z
        return self.fc((self.b(z) if self.how == "convolved" else f + z).relu().mean((2, 3)))


@pytest.mark.parametrize("how", ["convolved", "added", "output"])
@pytest.mark.parametrize("leave", [(), ("up",)])
def test_maps_made_of_a_vector_do_not_move(how, leave):
    refused(Decoded(how), "not move|not known to keep fields", leave=leave)
    net, _ = convert(Decoded(how), HueShift(3), image_size=SIZE, leave=leave)  # which moves no maps
    assert_equivariant(net, size=(SIZE, SIZE))


class Optional(Net):
    def forward(self, x, mask=None, features=False, *, scale=2.0):
        x = self.a(x).relu()
        if mask is not None:
            x = x * mask
        x = x.mean((2, 3))
        return x if features else self.fc(x) * scale


def test_other_arguments_have_their_defaults():
    check_same(Optional())
    assert convert(Optional(), P4(), image_size=SIZE)[0].out_type == 4 * P4().trivial


def _then(change):
    def steps(net, x):
        return change(net, net.a(x))

    return steps


def identity(net, x):
    i = net.i(x)
    x += 1
    return i * x


def chunks(net, x):
    left, _ = x.chunk(2, 1)
    left += 1
    return x


def sliced_dropout(net, x):
    y = F.dropout(x, 0.5, net.training)
    y += 1
    return x * y


def contiguous(net, x):
    y = x.contiguous()
    y *= 3
    return x + y


def positional(net, x):
    y = F.relu(x, True)
    return x + y


def viewed(net, x):
    y = x.view(x.shape)
    y.relu_()
    return x + y


ALIASES = [identity, chunks, sliced_dropout, contiguous, positional, viewed]


@pytest.mark.parametrize("change", ALIASES)
def test_what_is_changed_in_place_under_another_name_is_refused(change):
    refused(Net(_then(change), i=nn.Identity()), "in place", Trivial())


CLONES = {
    "method": lambda net, x: x - x.clone().relu_(),
    "function": lambda net, x: x - F.relu(x.clone(), inplace=True),
    "module": lambda net, x: x - net.relu(x.clone()),
}


@pytest.mark.parametrize("change", CLONES.values(), ids=CLONES)
def test_clones_stay_clones(change):
    check_same(Net(_then(change), relu=nn.ReLU(inplace=True)))


class Standardized(nn.Conv2d):
    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, weight - weight.mean((1, 2, 3), keepdim=True), bias)


class Plain(nn.Conv2d):
    def reset_parameters(self):
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)


def plain(net, x):
    return net.b(net.a(x))


def test_overridden_methods_are_refused():
    refused(Net(plain, b=Standardized(8, 8, 1)), r"b \(Standardized\) .*_conv_forward .*Conv2d")
    patched = Net(plain)
    patched.b.forward = lambda x: 2 * nn.Conv2d.forward(patched.b, x)
    refused(patched, "b .*forward")
    check_same(Net(plain, b=Plain(8, 8, 1)))


def test_hooks_of_the_network_are_followed():
    hooked, patched = Net(plain), Net(plain)
    hooked.register_forward_pre_hook(lambda module, inputs: (2 * inputs[0] - 1,))
    hooked.register_forward_hook(lambda module, inputs, output: 3 * output)
    check_same(hooked)
    patched.forward = lambda x: 2 * x
    refused(patched, "calls no nn.Conv2d")


def test_repeated_maps_are_repeated():
    class Repeated(Net):
        def forward(self, x):
            y = self.a(x)
            return y.mean((2, 3), keepdim=True).expand_as(y)

    new, _ = convert(Repeated(), P4(), image_size=SIZE)
    assert new(torch.zeros(1, 3, SIZE, SIZE)).shape == (1, 8, SIZE, SIZE)
    check_same(Repeated())


def test_tied_parameters_are_refused():
    net = Net(lambda net, x: net.c(net.b(net.a(x)).relu()), c=nn.Conv2d(8, 8, 3, padding=1))
    net.c.weight = net.b.weight
    refused(net, "weight .*shared by b and c")
    same = Net(lambda net, x: net.c(net.b(net.a(x)).relu()))
    same.c = same.b
    check_same(same)


def test_dropout_of_flattened_maps_is_told():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Dropout(), nn.Linear(36, 2))
    assert [row.name for row in convert(net, Trivial(), image_size=SIZE)[1].changed] == ["3"]


class Asking(Net):
    def forward(self, x):
        assert x.shape[1] == 3, "RGB"
        if x.dim() == 3:
            x = x.unsqueeze(0)
        return self.fc(self.a(x).mean((2, 3)))


def test_questions_of_channels_are_answered_and_others_refused():
    check_same(Asking())
    for asked in (lambda x: x.shape[2] > 4, lambda x: x.flatten(1).shape[1] > 4, lambda x: x.shape[0] > 4):
        refused(Net(lambda net, x, asked=asked: net.a(x) if asked(x) else x), "cannot be followed")
