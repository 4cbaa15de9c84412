"""What listens to the layers of a network: what it takes maps for, and what it refuses."""

import numpy as np
import pytest
import torch
from taught import equivariance
from torch import nn

from equiconv.errors import FieldTypeError, GroupError
from equiconv.groups import P4, SO2, Cyclic, HueShift
from equiconv.layers import ChannelMaxPool, GroupConv2d, GroupPool
from equiconv.losses import EquivarianceLoss, ien_draw
from equiconv.taps import Taps
from equiconv.testing import equivariance_profile

IMAGES = torch.rand(4, 3, 9, 9)


class Added(nn.Module):
    """A residual network that adds in place."""

    def __init__(self, in_place):
        super().__init__()
        self.first, self.second, self.in_place = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), in_place

    def forward(self, x):
        x = self.first(x)
        y = self.second(x)
        if not self.in_place:
            return y + x
        y += x
        return y


def test_maps_that_are_changed_in_place_are_refused():
    rectified = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
    for net, name in ((rectified, "1"), (Added(True), "second")):
        with pytest.raises(FieldTypeError, match=f"{name} was changed in place"):
            equivariance(P4(), name)(net, IMAGES)
    equivariance(P4(), "2")(rectified, IMAGES)
    equivariance(P4(), "second")(Added(False), IMAGES)
    with pytest.raises(FieldTypeError, match="second was changed in place"):
        equivariance_profile(Added(True), P4(), IMAGES)
    equivariance_profile(rectified, P4(), IMAGES, angles=())  # a copy does not work in place


def types(net):
    with Taps(net) as taps:
        net(IMAGES)
    return [tap.field_type for tap in taps.taps]


def test_a_stock_layer_keeps_a_type_unless_it_mixes_channels():
    kind = 1 * HueShift(3).image
    layers = GroupConv2d(kind, kind, 3), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1), nn.ReLU()
    assert types(nn.Sequential(*layers)) == [kind, kind, None, None]
    assert types(nn.Sequential(layers[0], nn.ReLU(), nn.Flatten(), nn.Linear(147, 3))) == [kind, kind, None, None]


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.module = nn.Sequential(nn.Conv2d(3, 4, 3))

    def forward(self, x):
        return self.module(x)


def test_names_are_those_of_the_network_whatever_runs_it():
    net = Named()
    for model in (net, nn.DataParallel(net), torch.compile(net, backend="eager")):
        assert list(Taps(model, "module.0").wanted) == ["module.0"]
    profiles = [equivariance_profile(model, P4(), IMAGES) for model in (net, torch.compile(net, backend="eager"))]
    assert np.array_equal(profiles[0].elements, profiles[1].elements)


class Pair(nn.Module):
    def forward(self, x):
        return x, x


def test_layers_without_a_tensor_are_told():
    with pytest.raises(FieldTypeError, match="0 did not run, or returned no tensor"):
        equivariance(P4(), "0")(nn.Sequential(Pair(), nn.Identity()), IMAGES)


def test_what_is_carried_is_no_class():
    with pytest.raises(FieldTypeError, match="carried is a field type"):
        EquivarianceLoss(P4(), nn.Conv2d, carried=ChannelMaxPool)


def test_a_function_that_knows_its_type_makes_fields():
    group = HueShift(3) * P4()
    net = nn.Sequential(GroupConv2d(group.image, 2 * group.regular, 3)).double()
    pooled = GroupPool(2 * group.regular, over=HueShift(3))
    for carried, least in ((pooled, 0), (lambda x: pooled(x).flatten(1, 2), 0.1)):
        found = equivariance(P4(), GroupConv2d, carried=carried)
        penalty = found(net, IMAGES.double()).penalty
        assert penalty < 1e-10 if least == 0 else penalty > least


def test_a_type_is_seen_by_parts_of_products():
    kind = 2 * (HueShift(3) * SO2()).regular
    part = HueShift(3) * Cyclic(5)
    assert kind.under(part) == kind.restrict(part)


def test_no_weight_is_no_penalty():
    net = nn.Sequential(nn.Conv2d(3, 4, 3))
    net[0].weight.data.fill_(torch.inf)
    found = EquivarianceLoss(P4(), nn.Conv2d, 0)(net, IMAGES)
    assert found.penalty == 0
    assert not found.penalty.requires_grad
    assert not found.errors["0"].isfinite()


def test_the_published_draw_needs_a_turn():
    with pytest.raises(GroupError, match="n > 1"):
        ien_draw(Cyclic(1))
