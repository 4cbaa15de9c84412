"""Gradients of the loss, with respect to images, maps and parameters; also in layouts and precisions of other kinds."""

import numpy as np
import pytest
import torch
from taught import equivariance
from torch import nn

from equiconv.groups import P4, P4M, Cyclic, HueShift
from equiconv.layers import ChannelMaxPool
from equiconv.losses.distance import permuted_distance, relative, spread

GROUPS = [P4(), P4M(), HueShift(3) * P4(), HueShift(4), Cyclic(8)]


def carried(group, kind):
    """Return what eight channels may carry, or a pooling of them."""
    types = {"regular": group.regular, "irrep": group.irreps[-1], "invariant": group.trivial, "image": group.image}
    if kind == "pooled":
        return ChannelMaxPool(2), 8
    rep = types[kind]
    return 2 * rep, 2 * rep.dim


def by_hand(value, places):
    return permuted_distance(value, places, np.argsort(places, axis=1))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("kind", ["regular", "irrep", "invariant", "image", "pooled"])
@pytest.mark.parametrize("group", GROUPS, ids=repr)
def test_gradients_are_those_of_differences(group, kind, normalized, layout):
    what, channels = carried(group, kind)
    loss = equivariance(group, nn.Conv2d, 0.5, carried=what, normalized=normalized)
    images = torch.rand(2, 3, 6, 6, dtype=torch.float64)
    net = nn.Conv2d(3, channels, 2).double().to(memory_format=layout)
    names = [name for name, _ in net.named_parameters()]

    def penalty(images, *parameters):
        torch.manual_seed(7)
        bound = nn.utils.stateless._reparametrize_module(net, dict(zip(names, parameters, strict=True)))
        with bound:
            return loss(net, images.to(memory_format=layout)).penalty

    inputs = [images.requires_grad_(), *(value.detach().clone().requires_grad_() for value in net.parameters())]
    assert penalty(*inputs) > 0.01
    assert torch.autograd.gradcheck(penalty, inputs, fast_mode=True)


def plain(value, places):
    """Return what the function with a gradient of its own computes, by what has one already."""
    still, moved = value.flatten(2).chunk(2)
    back = moved.gather(-1, torch.from_numpy(places)[:, None].expand_as(moved))
    variance = value.var((0, -1), correction=0).mean()
    return (back - still).square().mean(), variance, value.square().mean()


@pytest.mark.parametrize("layout", ["plain", "channels last", "expanded", "strided"])
def test_the_gradient_by_hand_is_that_of_the_plain_formula(layout):
    group = HueShift(3) * P4M()
    kind, elements = 3 * group.regular, np.array([5, 0, 17, 17, 23])
    places = kind.sources(group.inverse[elements], 4, 4)
    value = 2 + torch.randn(10, 3, 24, 16, dtype=torch.float64)
    if layout == "channels last":
        value = value.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    elif layout == "expanded":
        value = value[:, :1].expand(-1, 3, -1, -1)
    elif layout == "strided":
        value = torch.randn(10, 3, 24, 32, dtype=torch.float64)[..., ::2]
    gradients = []
    for function in (by_hand, plain):
        x = value.clone(memory_format=torch.preserve_format).requires_grad_()
        error, variance, square = function(x, places)
        (3 * error + (error / variance).exp() - variance).backward()
        gradients.append((error, variance, square, x.grad))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)
    for a, b in zip(spread(value.unflatten(-1, (4, 4))), plain(value, places)[1:], strict=True):
        torch.testing.assert_close(a, b)


def test_means_of_squares_keep_their_digits():
    """Many numbers in single precision, far from 0: not even a hundredth of the variance may be lost."""
    kind, elements = 4 * P4().regular, np.arange(64) % 4
    value = 5 + 0.01 * torch.randn(128, 4, 4, 30 * 30)
    places = kind.sources(P4().inverse[elements], 30, 30)
    for a, b in zip(by_hand(value, places), plain(value.double(), places), strict=True):
        assert a.item() == pytest.approx(b.item(), rel=1e-5)


def test_both_branches_have_a_gradient():
    still, moved = torch.rand(2, 4, 5, 5), torch.rand(2, 4, 5, 5)
    both = torch.cat([still, moved]).requires_grad_()
    places = (4 * P4().trivial).sources(np.array([1, 2]), 5, 5)
    error, _, square = by_hand(both[:, :, None].flatten(-2), places)
    assert not square.requires_grad
    error.backward()
    assert (both.grad.abs().amax((1, 2, 3)) > 0).all()
    torch.testing.assert_close(both.grad[:2].sum((-2, -1)), -both.grad[2:].sum((-2, -1)))


def test_a_map_that_does_not_vary_has_a_finite_gradient():
    for value in (0.0, 1.0):
        weight = torch.tensor(value, requires_grad=True)
        zero = torch.zeros((), requires_grad=True)
        relative(weight * 0, weight * 0 + zero, torch.tensor(value**2)).backward()
        assert weight.grad.isfinite()
    net = nn.Conv2d(3, 4, 3)
    nn.init.zeros_(net.weight)
    equivariance(P4(), nn.Conv2d)(net, torch.rand(4, 3, 7, 7)).penalty.backward()
    assert all(parameter.grad.isfinite().all() for parameter in net.parameters())


@pytest.mark.parametrize("group", [P4(), HueShift(4), Cyclic(8)], ids=repr)
def test_half_precision_is_compared_in_single(group):
    net, images = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), torch.rand(8, 3, 9, 9)
    loss, found = equivariance(group, "0"), []
    for enabled in (False, True):
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            _, penalty, errors = loss(net, images)
        penalty.backward()
        assert penalty.dtype == errors["0"].dtype == torch.float32
        found.append(penalty.item())
    assert found[0] == pytest.approx(found[1], rel=0.05)
    assert net[0].weight.grad.isfinite().all()
    half = nn.Conv2d(3, 8, 3).to(torch.bfloat16)
    assert equivariance(group, nn.Conv2d)(half, images.to(torch.bfloat16)).penalty.dtype == torch.float32


def test_an_equivariant_map_is_reached():
    """Steps down the gradient make an ordinary kernel symmetric."""
    net, images = nn.Conv2d(3, 4, 3), torch.randn(32, 3, 9, 9)
    loss, optimizer = equivariance(P4(), nn.Conv2d, draw=[0, 1, 1, 1]), torch.optim.Adam(net.parameters(), 0.05)
    first = loss(net, images).penalty.item()
    for _ in range(40):
        optimizer.zero_grad()
        penalty = loss(net, images).penalty
        penalty.backward()
        optimizer.step()
    assert penalty < 0.05 * first
    kernel = net.weight.detach()
    assert (kernel - torch.rot90(kernel, 1, (-2, -1))).square().mean() < 0.05 * kernel.square().mean()
