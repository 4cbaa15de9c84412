"""The profile is zero where it has to be, and only there."""

import json
import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from test_zoo import SIZES, Turned
from torch import nn
from zoo import BROKEN
from zoo_layers import BROKEN_LAYERS

from equiconv.errors import FieldTypeError, GroupError, ShapeError
from equiconv.groups import P4, P4M, SO2, Cyclic, Flip, HueShift
from equiconv.layers import ChannelMaxPool, GroupConv2d, GroupPool
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
        (ordinary, torch.rand(2, 3, 8, 8), {"carried": {"0": "regular"}}, FieldTypeError, "expected a field type"),
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
