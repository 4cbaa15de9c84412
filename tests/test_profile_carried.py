"""What the maps of a profile carry may be said, and what cannot be measured is told."""

import json
import math

import numpy as np
import pytest
import torch
from test_profile import COLORED, NONE, images, network, ordinary
from test_zoo import Turned
from torch import nn

from equiconv.errors import FieldTypeError, GroupError, ShapeError
from equiconv.groups import P4, P4M, HueShift
from equiconv.layers import ChannelMaxPool, GroupConv2d, GroupPool
from equiconv.testing import equivariance_profile


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3).double()

    def forward(self, x):
        return self.conv(self.conv(x)).mean((-2, -1))


def test_what_is_said_holds_for_every_call():
    options = {"layers": "conv", **NONE}
    plain, said = (
        equivariance_profile(Twice(), HueShift(3), images(), carried=carried, **options)
        for carried in (None, {"conv": Zeros()})
    )
    assert plain.layers == said.layers == ("conv", "conv#2")
    assert plain.worst.min() > 1e-2
    assert said.worst.tolist() == [math.inf, math.inf]


class Zeros(nn.Module):
    """Nothing of the input is left."""

    def forward(self, x):
        return x * 0


def test_random_layers_start_from_the_seed():
    model, x = ordinary(), images()
    model.insert(3, nn.Dropout(0.5))
    first, again, other = (equivariance_profile(model, P4(), x, seed=seed, **NONE).elements for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (other[3:, 1:] != first[3:, 1:]).all()


def as_stock(lift):
    stock = nn.Conv2d(3, lift.out_type.channels, 3, bias=False).double()
    stock.weight.data = lift.kernel().detach()
    return stock


class Strongest(nn.Module):
    """The maximum over blocks of four channels."""

    def forward(self, x):
        return x.unflatten(1, (-1, 4)).amax(2)


@pytest.mark.parametrize(
    "carried",
    [
        2 * P4().regular,
        {"0": 2 * P4().regular},
        {nn.Conv2d: 2 * P4().regular},
        Strongest(),
        {"0": Strongest()},
        {nn.Conv2d: lambda x: x.unflatten(1, (-1, 4)).amax(2)},
        ChannelMaxPool(4),
    ],
)
def test_what_a_stock_layer_carries_may_be_said(carried):
    model = nn.Sequential(as_stock(GroupConv2d(P4().image, 2 * P4().regular, 3, bias=False).double()))
    assert equivariance_profile(model, P4(), images(), **NONE).worst[0] > 0.1
    assert equivariance_profile(model, P4(), images(), carried=carried, **NONE).worst[0] < 1e-10


def test_a_name_goes_before_a_class():
    model = nn.Sequential(as_stock(GroupConv2d(P4().image, 2 * P4().regular, 3, bias=False).double()))
    carried = {"0": P4().regular + P4().regular, nn.Conv2d: 8 * P4().trivial}
    assert equivariance_profile(model, P4(), images(), carried=carried, **NONE).worst[0] < 1e-10


def test_the_network_and_the_generator_stay_as_they_are():
    model = nn.Sequential(network(P4(), dropout=0.3), nn.ReLU(inplace=True)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = images(20).requires_grad_()
    state = torch.get_rng_state()
    found = equivariance_profile(model, P4(), x, **NONE)
    assert found.worst.max() < 1e-10
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(not module._forward_hooks for module in model.modules())
    assert model.training
    assert model[1].inplace
    assert all(parameter.grad is None for parameter in model.parameters())


def test_what_works_in_place_does_not_hide_the_layer_before():
    model, x = ordinary(), images()
    apart = equivariance_profile(model, P4(), x, **NONE).elements
    model[2] = nn.ReLU(inplace=True)
    np.testing.assert_array_equal(equivariance_profile(model, P4(), x, **NONE).elements, apart)


def test_precision():
    model = network(P4()).float()
    coarse, fine = (equivariance_profile(model, P4(), images(), dtype=dtype, **NONE) for dtype in (None, torch.float64))
    assert 1e-10 < coarse.worst.max() < 1e-3
    assert fine.worst.max() < 1e-10
    assert next(model.parameters()).dtype == torch.float32


def test_images_need_not_be_square():
    x = torch.rand(2, 3, 16, 12, dtype=torch.float64)
    assert equivariance_profile(network(P4M(), kernel_sizes=(3, 3, 3)), P4M(), x, **NONE).worst.max() < 1e-10


def test_what_was_not_tested_is_told():
    class Constant(nn.Module):
        def forward(self, x):
            return torch.ones_like(x)

    class Nothing(nn.Module):
        def forward(self, x):
            return x * torch.nan

    class Cut(nn.Module):
        def forward(self, x):
            return x[..., 1:, :]

    model = nn.Sequential(Cut(), Constant(), Nothing()).double()
    found = equivariance_profile(model, P4(), images(8))
    assert found.elements[0, [1, 3]].tolist() == [math.inf, math.inf]
    assert (found.elements[1] == math.inf).all()
    assert np.isnan(found.worst[2])
    assert (found.angles.errors[1] == math.inf).all()


def test_a_group_of_ones_own_is_moved_by_a_move_of_ones_own():
    group = Turned(-1)
    model = nn.Sequential(GroupConv2d(group.image, 2 * group.regular, 3).double())
    for clockwise in (True, False):

        def move(x, g, turns=-1 if clockwise else 1):
            return torch.rot90(x, turns * g, (-2, -1))

        found = equivariance_profile(model, group, images(), move=move, **NONE)
        assert (found.worst[0] < 1e-10) == clockwise
    with pytest.raises(GroupError, match="pass move="):
        equivariance_profile(model, group, images())


def test_it_can_be_read_and_written():
    found = equivariance_profile(network(COLORED), COLORED, images(), angles=(45,), hues=(60,))
    lines = str(found).splitlines()
    assert lines[0].split() == ["layer", "HueShift(3)", "*", "Cyclic(4)", "any", "angle", "any", "hue"]
    assert [line.split()[0] for line in lines[1:]] == list(found.layers)
    assert lines[1].split()[1:] == [
        f"{x:.1e}" for x in (found.worst[0], found.angles.errors[0, 0], found.hues.errors[0, 0])
    ]
    written = json.loads(json.dumps(found.as_dict()))
    np.testing.assert_array_equal(written["elements"], found.elements)
    np.testing.assert_array_equal(written["hues"]["errors"], found.hues.errors)
    assert written["angles"]["degrees"] == [45]
    assert written["group"] == "HueShift(3) * Cyclic(4)"


class Tokens(nn.Module):
    def forward(self, x):
        return x.flatten(2)


@pytest.mark.parametrize(
    ("model", "x", "options", "error", "message"),
    [
        (ordinary, torch.rand(1, 3, 8, 8), {}, ShapeError, "of two images or more"),
        (ordinary, torch.rand(2, 1, 8, 8), {}, ShapeError, r"a floating-point batch \(B, 3, H, W\)"),
        (ordinary, torch.rand(3, 8, 8), {}, ShapeError, r"got \(3, 8, 8\)"),
        (ordinary, torch.zeros(2, 3, 8, 8, dtype=torch.uint8), {}, ShapeError, "torch.uint8"),
        (ordinary, torch.rand(2, 3, 8, 8), {"layers": "7"}, FieldTypeError, "has no '7'"),
        (ordinary, torch.rand(2, 3, 8, 8), {"carried": {"7": P4().regular}}, FieldTypeError, "carried: '7' is none of"),
        (
            ordinary,
            torch.rand(2, 3, 8, 8),
            {"carried": {"0": 2 * COLORED.regular}},
            FieldTypeError,
            "carried: 0 returns",
        ),
        (ordinary, torch.rand(2, 3, 8, 8), {"carried": {"0": "regular"}}, FieldTypeError, "carried is a field type"),
        (lambda: nn.Sequential(Tokens()), torch.rand(2, 3, 8, 8), {}, ShapeError, r"0 returns \(2, 3, 64\); expected"),
    ],
)
def test_mistakes_are_told(model, x, options, error, message):
    with pytest.raises(error, match=message):
        equivariance_profile(model(), COLORED, x, **options)


def test_a_pooling_of_equiconv_may_be_applied_first():
    model = nn.Sequential(GroupConv2d(P4().image, 2 * P4().regular, 3)).double()
    pool = GroupPool(2 * P4().regular)
    found = equivariance_profile(model, P4(), images(), carried={"0": pool}, angles=(45,))
    assert found.worst[0] < 1e-10
    assert found.angles.errors[0, 0] > 1e-2
