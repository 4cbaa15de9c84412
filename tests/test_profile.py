"""The profile is zero where it has to be, and only there."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from test_zoo import SIZES
from torch import nn
from zoo import BROKEN
from zoo_layers import BROKEN_LAYERS

from equiconv.groups import P4, P4M, SO2, Cyclic, Flip, HueShift
from equiconv.layers import GroupConv2d
from equiconv.models import CNN
from equiconv.taps import Taps
from equiconv.testing import equivariance_profile

COLORED = HueShift(3) * P4()
NONE = {"angles": (), "hues": ()}


def images(side=16, n=3):
    return torch.rand(n, 3, side, side, dtype=torch.float64)


def smooth(side, channels=1):
    noise = torch.randn(2, channels, side, side, dtype=torch.float64)
    return torch.from_numpy(ndimage.gaussian_filter(noise.numpy(), 2.0, axes=(-2, -1)))


def network(group, **options):
    return CNN(group, 4, classes=4, **{"kernel_sizes": (3, 3, 3, 3), **options}).double()


def ordinary():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    ).double()


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("group", [P4(), P4M(), HueShift(3), COLORED, Flip() * HueShift(3)], ids=repr)
def test_zero_in_every_layer_by_construction(group, train):
    model = network(group).train(train)
    found = equivariance_profile(model, group, images(), **NONE)
    with Taps(model) as taps:
        model(images())
    assert list(found.layers) == [tap.name for tap in taps.taps]
    assert found.elements.shape == (len(found.layers), group.order)
    assert found.worst.max() < 1e-10
    assert found.angles is None
    assert found.hues is None


@pytest.mark.parametrize("make", [*BROKEN, *BROKEN_LAYERS], ids=lambda f: f.__name__)
def test_broken_layers_are_rejected(make):
    broken = make().double()
    group, height = broken.out_type.group, SIZES.get(make.__name__, (9, 9))[0]
    source = broken.in_type if broken.in_type.group == group else broken.in_type.restrict(group)
    model = nn.Sequential(GroupConv2d(group.image, source, 3, padding=1).double(), broken)
    found = equivariance_profile(model, group, images(height, 2), layers=["0", "1"], **NONE)
    assert group.keeps_grid <= (found.worst[0] < 1e-10)
    assert not found.worst[1] < 1e-3


def test_an_ordinary_network_is_far_from_zero():
    found = equivariance_profile(ordinary(), COLORED, images())
    assert (found.elements[:, 1:] > 1e-2).all()
    assert (found.elements[:, 0] == 0).all()
    assert (found.angles.errors.max(1) > 0.1).all()
    assert (found.hues.errors.max(1) > 0.1).all()


def test_factors_that_were_pooled_over_change_nothing():
    model = network([COLORED] * 2 + [P4()] * 2)
    assert equivariance_profile(model, COLORED, images(), **NONE).worst.max() < 1e-10
    assert equivariance_profile(model, P4(), images(), **NONE).worst.max() < 1e-10
    assert equivariance_profile(network(P4()), COLORED, images(), **NONE).worst.min() > 1e-2


def test_larger_groups_are_restricted_and_subgroups_compare_norms():
    assert equivariance_profile(network(P4M()), Cyclic(2), images(), **NONE).worst.max() < 1e-10
    found = equivariance_profile(network(P4()), P4M(), images(), **NONE)
    assert found.elements[:, :4].max() < 1e-10
    assert found.elements[:, 4:].min() > 1e-3


def test_a_rotation_by_any_angle_is_kept_by_a_network_on_so2_and_not_by_one_on_p4():
    x = smooth(28)
    errors = {}
    for group, asked in ((SO2(2), Cyclic(8)), (SO2(2), SO2(2)), (P4(), P4())):
        model = network(group, in_channels=1, kernel_sizes=(5, 5))
        names = ["features.0", "features.3", "features.6", "head"]
        found = equivariance_profile(model, asked, x, layers=names, angles=(0, 45, 90, 100))
        errors[asked] = found.angles.errors
        np.testing.assert_array_equal(found.angles.degrees, [0, 45, 90, 100])
        assert found.angles.errors[:, [0, 2]].max() < 1e-10
        if asked != P4():
            assert found.worst.max() < 0.25
    assert errors[SO2(2)].max() < 0.25
    assert (errors[P4()][:, 1] > 2 * errors[SO2(2)][:, 1]).all()
    assert errors[P4()][1:, 1].min() > 0.1


def test_the_norms_of_a_lift_do_not_change_with_the_hue():
    """A lift is linear: the norm over all shifts is the same for every angle about the gray axis."""
    found = equivariance_profile(network(HueShift(3)), HueShift(3), images(), angles=(0, 45), hues=(0, 50, 120))
    assert found.angles is None
    assert found.hues.errors[0].max() < 1e-10
    assert found.hues.errors[:, [0, 2]].max() < 1e-10
    assert found.hues.errors[2:, 1].min() > 1e-3


def test_invariants_keep_their_sign_between_the_elements():
    """Half a turn of the hue changes the sign of what has no gray in it."""
    chroma = nn.Conv2d(3, 1, 1, bias=False).double()
    chroma.weight.data = torch.tensor([1.0, -1.0, 0.0]).double().view(1, 3, 1, 1)
    x = images()
    found = equivariance_profile(nn.Sequential(chroma), HueShift(3), x, hues=(180,))
    y = chroma(x).detach()
    assert found.hues.errors[0, 0] == pytest.approx(float(2 * y.norm() / (y - y.roll(1, 0)).norm()))


def test_image_fields_are_moved_by_every_hue():
    clip = nn.Sequential(GroupConv2d(COLORED.image, COLORED.image, 1), nn.Softplus(10)).double()
    x, turn = images(), torch.tensor(HueShift(36).color[5].tolist(), dtype=torch.float64)
    found = equivariance_profile(clip, COLORED, x, hues=(50,), angles=(90,))
    with torch.no_grad():
        moved = clip(torch.einsum("ij,bjhw->bihw", turn, x))
        expected = torch.einsum("ij,bjhw->bihw", turn, clip(x))
    error = float((moved - expected).norm() / (expected - expected.roll(1, 0)).norm())
    assert found.hues.errors[:, 0] == pytest.approx([0, error], abs=1e-10)
    assert error > 1e-3
    assert found.angles.errors.max() < 1e-10


def test_maps_without_a_disk_are_compared_by_their_means():
    away = torch.linspace(-1, 1, 36, dtype=torch.float64) ** 2
    x = smooth(36) + torch.tensor([1.0, 2.0]).view(2, 1, 1, 1)
    x = x * (-8 * (away + away[:, None])).exp()  # nothing is lost at the corners
    found = equivariance_profile(nn.Sequential(nn.AdaptiveAvgPool2d(2)).double(), P4(), x, angles=(45, 90))
    assert 0 < found.angles.errors[0, 0] < 0.05
    assert found.angles.errors[0, 1] < 1e-10
