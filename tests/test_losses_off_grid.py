"""Angles off the pixel grid: what interpolation, borders and masks leave of the loss; and networks that are wrapped."""

import numpy as np
import pytest
import torch
from taught import equivariance
from torch import nn

from equiconv.errors import FieldTypeError
from equiconv.groups import P4, SO2, Cyclic, Dihedral, HueShift
from equiconv.layers import GroupConv2d
from equiconv.losses.distance import mean_within
from equiconv.taps import Taps, find_layers

EIGHTH = [0, 1, 0, 0, 0, 0, 0, 0]


def smooth(count=8, side=33):
    """Return images of low frequencies."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, side), torch.linspace(-1, 1, side), indexing="ij")
    waves = torch.randn(count, 3, 6, 2) * 3
    phases = waves[..., 0, None, None] * x + waves[..., 1, None, None] * y + torch.rand(count, 3, 6, 1, 1) * 6
    return phases.sin().sum(2)


@pytest.mark.parametrize("side", [4, 9, 16])
@pytest.mark.parametrize("group", [Cyclic(8), Dihedral(8), Cyclic(3), SO2(1), HueShift(4) * Cyclic(8)], ids=repr)
def test_a_network_that_keeps_the_pixels_has_no_loss(group, side):
    noise = torch.randn(6, 3, side, side, dtype=torch.float64)
    kind = group.image
    loss = equivariance(group, "Identity", carried=1 * kind, draw=np.arange(group.order))
    assert loss(nn.Identity(), noise).penalty < 1e-12
    wrong = equivariance(group, "Flipped", carried=1 * kind, draw=np.arange(group.order))
    assert wrong(Flipped(), noise).penalty > 0.2 or side == 4


class Flipped(nn.Module):
    def forward(self, x):
        return x.flip(-1)


@pytest.mark.parametrize(("group", "most"), [(Cyclic(8), 0.02), (SO2(2), 0.02), (Dihedral(6), 0.02)], ids=repr)
def test_networks_of_other_angles_have_a_small_loss_on_smooth_images(group, most):
    kind = group.regular if group.max_frequency is None else group.irrep(0) + group.irrep(1)
    conv = GroupConv2d(group.image, 4 * kind, 5, padding=2)
    draw = np.any(abs(group.plane) % 1 > 1e-9, axis=(1, 2)).astype(float)
    found = equivariance(group, GroupConv2d, draw=draw)(conv, smooth()).penalty
    plain = equivariance(group, nn.Conv2d, draw=draw)(nn.Conv2d(3, 12, 5, padding=2), smooth()).penalty
    assert found < most
    assert plain > 10 * found


def test_fields_turn_between_the_elements_of_the_grid():
    """The fiber must be permuted by the element that was drawn, not by its inverse or none."""
    group, images = Cyclic(8), smooth()
    conv = GroupConv2d(group.image, 4 * group.regular, 5, padding=2)
    found = []
    for places in (slice(None), [*range(1, 8), 0], [0, *range(7, 0, -1)]):
        net = nn.Sequential(conv, Indexed(places))
        loss = equivariance(group, Indexed, carried=4 * group.regular, draw=EIGHTH)
        found.append(loss(net, images).penalty.item())
    unmoved = equivariance(group, GroupConv2d, carried=lambda x: x.flatten(1, 2), draw=EIGHTH)
    right, shifted, backwards, still = *found, unmoved(conv, images).penalty.item()
    assert shifted == pytest.approx(right, rel=1e-3)  # a shift from the other side commutes with the group
    assert min(backwards, still) > 2.5 * right


class Indexed(nn.Module):
    def __init__(self, places):
        super().__init__()
        self.places = places

    def forward(self, x):
        return x[:, :, self.places]


def test_what_comes_from_outside_does_not_count():
    """Zeros beyond the border, and what a network makes of them, are not compared."""

    class Bordered(nn.Module):
        def forward(self, x):
            frame = torch.zeros(x.shape[-2:], dtype=x.dtype)
            frame[0, 0] = frame[-1, 0] = frame[0, -1] = frame[-1, -1] = 100.0
            return x + frame

    noise = torch.randn(4, 1, 15, 15, dtype=torch.float64)
    loss = equivariance(Cyclic(8), Bordered, normalized=False, draw=EIGHTH)
    assert loss(Bordered(), noise).penalty < 1e-12
    nearest = equivariance(Cyclic(8), Bordered, normalized=False, draw=EIGHTH, interpolation="nearest")
    assert nearest(Bordered(), noise).penalty > 10
    difference = torch.zeros(1, 2, 15, 15)
    difference[:, :, 0, 0] = 1e3
    assert mean_within(difference, Cyclic(8).plane[[1]]) == 0
    assert mean_within(torch.full((3, 2, 4, 15, 15), 2.0), Cyclic(8).plane[[1, 0, 5]]) == 4


def test_maps_without_an_inside_have_no_loss():
    net = nn.AdaptiveAvgPool2d(2)
    noise = torch.randn(4, 3, 9, 9)
    assert equivariance(Cyclic(8), "AdaptiveAvgPool2d", normalized=False, draw=EIGHTH)(net, noise).penalty == 0


def test_turns_on_and_off_the_grid_are_compared_together():
    torch.manual_seed(2)
    net, noise = nn.Conv2d(3, 4, 3), torch.randn(8, 3, 9, 9)
    loss = equivariance(Cyclic(8), nn.Conv2d, normalized=False)
    elements = np.array([0, 2, 4, 6, 0, 2, 4, 6])
    quarter = equivariance(P4(), nn.Conv2d, normalized=False)
    penalties = []
    for one, drawn in ((loss, elements), (quarter, elements // 2)):
        with Taps(net, one.layers) as taps:
            net(one.doubled(noise, drawn))
        penalties.append(one.compare(taps, drawn)[0].item())
    assert penalties[0] == pytest.approx(penalties[1], rel=1e-5)
    mixed = np.array([0, 1, 2, 3, 4, 5, 6, 7])
    with Taps(net, loss.layers) as taps:
        net(loss.doubled(noise, mixed))
    assert loss.compare(taps, mixed)[0] > 0.01


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.module, self.conv = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)

    def forward(self, x):
        return self.conv(self.module(x).relu())


class Wrapper(nn.Module):
    """What Lightning Fabric wraps around a network."""

    def __init__(self, module):
        super().__init__()
        self._forward_module = module

    def forward(self, x):
        return self._forward_module(x)


def test_names_are_those_of_the_network_however_it_is_wrapped():
    net = Net()
    expected = {"Net": net, "module": net.module, "conv": net.conv}
    assert find_layers(net, nn.Module) == expected
    assert find_layers(Wrapper(net), ["conv", "module"]) == {"conv": net.conv, "module": net.module}
    for wrap in (nn.DataParallel, Wrapper, lambda m: Wrapper(Wrapper(m)), torch.compile):
        found = find_layers(wrap(net), ["conv", "Net"])
        assert found == {"Net": net, "conv": net.conv}
    inner = nn.Sequential(Net())
    assert list(find_layers(inner, nn.Conv2d)) == ["0.module", "0.conv"]


def test_a_wrapped_network_has_the_same_penalty():
    net, noise = Net(), torch.randn(4, 3, 9, 9)
    loss, found = equivariance(P4(), nn.Conv2d), []
    for model in (net, nn.DataParallel(net), Wrapper(net)):
        torch.manual_seed(0)
        _, penalty, errors = loss(model, noise)
        found.append((penalty.item(), errors))
    assert found[0] == found[1] == found[2]
    assert list(found[0][1]) == ["module", "conv"]


def test_a_compiled_network_has_the_same_penalty():
    net, noise = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh()), torch.randn(4, 3, 9, 9)
    loss, found = equivariance(P4(), "0"), []
    compiled = torch.compile(net, backend="aot_eager")
    for model in (net, compiled, compiled):
        torch.manual_seed(0)
        net.zero_grad()
        penalty = loss(model, noise).penalty
        penalty.backward()
        found.append((penalty.item(), net[0].weight.grad.clone()))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert found[0][0] == pytest.approx(found[2][0], rel=1e-5)
    torch.testing.assert_close(found[0][1], found[2][1])


def test_a_compiled_network_may_be_trained_without_the_loss_in_between():
    net, noise = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh()), torch.randn(4, 3, 9, 9)
    loss = equivariance(P4(), "0")
    for skipped in (False, True):
        torch._dynamo.reset()
        compiled, found = torch.compile(net, backend="eager"), []
        with torch._dynamo.config.patch(skip_nnmodule_hook_guards=skipped):
            torch.manual_seed(0)
            found.append(loss(compiled, noise).penalty.item())
            compiled(noise)
            torch.manual_seed(0)
            if skipped:  # the usual setting
                with pytest.raises(FieldTypeError, match="skip_nnmodule_hook_guards = False"):
                    loss(compiled, noise)
            else:
                assert loss(compiled, noise).penalty.item() == pytest.approx(found[0], rel=1e-5)


@pytest.mark.parametrize("group", [Cyclic(3) * Cyclic(8), Cyclic(24)], ids=repr)
def test_a_product_turns_images_once(group):
    noise = torch.randn(6, 3, 21, 21, dtype=torch.float64)
    assert equivariance(group, nn.Identity)(nn.Sequential(nn.Identity()), noise).penalty < 1e-10
