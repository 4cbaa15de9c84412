"""Layers and networks on continuous groups: kernels at every angle, samples, what is refused."""

import math

import numpy as np
import pytest
import torch
from samples import CONVOLUTIONS, LAYERS, SHAPES

from equiconv.bases import Derivatives, Harmonics
from equiconv.errors import ExactnessError, FieldTypeError, GroupError
from equiconv.groups import (
    O2,
    P4,
    P4M,
    SO2,
    Cyclic,
    HueShift,
)
from equiconv.groups.irreps import rotations
from equiconv.layers import FourierActivation, GroupConv2d, GroupPool
from equiconv.solve import equivariant_kernels
from equiconv.testing import assert_equivariant, equivariance_error

REASONS = (
    "needs a regular out_type",
    "whose entries are permuted",
    "needs regular fields",
    "if entries are permuted",
    "between pixels",
    "a pointwise function breaks",
    "infinitely many cosets",
    "to pool over by a group",
)


ALWAYS = {
    "lift",
    "group",
    "group to invariant",
    "mixed",
    "dilated",
    "1x1",
    "norm activation",
    "gated",
    "fourier",
    "norm pool",
}


OWN = [name for name in CONVOLUTIONS | LAYERS if name not in ("restrict", "stock batch norm")]  # which knows no types


ROWS = np.diag([1.0, -1.0])  # flips rows


@pytest.mark.parametrize("group", [SO2(3), O2(2), HueShift(3) * SO2(2)], ids=repr)
@pytest.mark.parametrize("basis", [Harmonics((5, 5)), Derivatives((5, 5))], ids=repr)
def test_kernels_turn_by_every_angle(group, basis):
    """K(A x) = rho_out K(x) rho_in^-1 for functions of the plane and for operators, at random angles."""
    source, target = group.vector, group.regular
    kernels = equivariant_kernels(target, source, basis.action(group))
    assert len(kernels)
    for angle in np.random.default_rng(1).uniform(0, 7, 4):
        for mirrored in (False, True) if isinstance(group, O2) else (False,):
            action = np.zeros((basis.size, basis.size))
            start = 0
            for m in basis.waves:
                block = rotations(np.array([m * angle]))[0]
                block = ROWS @ block if mirrored else block
                end = start + (2 if m else 1)
                action[start:end, start:end] = block if m else 1.0
                start = end
            moved = np.einsum("bois,st->boit", kernels, action)
            out, back = target.at(angle, mirrored=mirrored), source.at(angle, mirrored=mirrored)
            np.testing.assert_allclose(moved, np.einsum("po,bois,ri->bprs", out, kernels, back), atol=1e-10)


class Faster(Harmonics):
    """Harmonics that claim to turn as those of the next frequency do."""

    @property
    def waves(self):
        return tuple(m + (m > 0) for m in super().waves)


def test_kernels_that_turn_too_fast_are_seen():
    group = SO2(2)
    for basis in (Harmonics, Faster):
        layer = GroupConv2d(group.regular, group.vector, 5, bias=False, basis=basis)
        types = layer.in_type.restrict(P4()), layer.out_type.restrict(P4())
        if basis is Harmonics:
            assert_equivariant(layer, *types)
        else:
            with pytest.raises(AssertionError, match="not equivariant"):
                assert_equivariant(layer, *types)


@pytest.mark.parametrize("group", [SO2(2), O2(2), HueShift(3) * SO2(1)], ids=repr)
def test_layers_are_exact_on_the_grid_and_close_elsewhere(group):
    conv = GroupConv2d(2 * group.image, 2 * group.regular, 5)
    back = GroupConv2d(2 * group.regular, 2 * group.vector, 5, bias=False)
    for layer in (conv, back):
        part = P4M() if group == O2(2) else P4()
        assert_equivariant(layer, layer.in_type.restrict(part), layer.out_type.restrict(part))
    assert equivariance_error(conv, size=(41, 41)) < 0.1


@pytest.mark.parametrize("group", [SO2(3), O2(2), HueShift(3) * SO2(2)], ids=repr)
def test_functions_of_samples(group):
    """Exact for the elements that are sampled; the more samples, the closer elsewhere."""
    layer = FourierActivation(2 * group.regular, torch.relu)
    sampled = group.sampled(layer.rotations)
    assert (layer.samples.T @ layer.samples - torch.eye(group.regular.dim)).abs().max() < 1e-6
    values = torch.randn(1, 2, group.regular.dim, 1, 1, dtype=torch.float64)
    for h in range(sampled.order):
        rho = torch.from_numpy(group.regular.restrict(sampled).rho[h].copy())
        moved = torch.einsum("ij,bnjhw->bnihw", rho, values)
        expected = torch.einsum("ij,bnjhw->bnihw", rho, layer.double()(values))
        torch.testing.assert_close(layer(moved), expected, atol=1e-12, rtol=0)

    def error(samples):
        finer = FourierActivation(2 * group.regular, torch.relu, samples=samples).double()
        rho = torch.from_numpy(group.regular.at(0.1))
        moved = torch.einsum("ij,bnjhw->bnihw", rho, values)
        return (finer(moved) - torch.einsum("ij,bnjhw->bnihw", rho, finer(values))).norm() / finer(values).norm()

    coarse, fine = error(2 * group.max_frequency + 1), error(64)
    assert fine < 0.003 < coarse


def test_a_function_of_samples_is_the_function_of_the_group():
    """Many samples tend to the integral over the angle."""
    group = SO2(2)
    layer = FourierActivation(group.regular, torch.relu, samples=90).double()
    field = torch.randn(5, dtype=torch.float64)
    angles = 2 * np.pi * np.arange(2000) / 2000
    waves = np.stack([f(k * angles) for k in range(1, 3) for f in (np.cos, np.sin)])
    basis = torch.from_numpy(np.concatenate([np.ones((1, 2000)), math.sqrt(2) * waves]) / math.sqrt(90))
    expected = (torch.relu(field @ basis) @ basis.T) * 90 / 2000
    torch.testing.assert_close(layer(field.view(1, 1, 5, 1, 1)).flatten(), expected, atol=1e-3, rtol=0)


def made_or_refused(make, group):
    try:
        return make(group), ""
    except (ExactnessError, FieldTypeError, GroupError) as refusal:
        return None, str(refusal)


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("group", [SO2(2), O2(1), HueShift(3) * SO2(1)], ids=repr)
def test_every_layer_is_exact_on_the_grid_or_refuses(group, name):
    """Restricted to quarter turns the layers are exact; what is not equivariant at every angle is not made."""
    layer, refusal = made_or_refused((CONVOLUTIONS | LAYERS)[name], group)
    if layer is None:
        assert any(word in refusal for word in REASONS), refusal
        assert name not in ALWAYS
        return
    part = group.sampled(4)
    size = SHAPES.get(name, (8, 7))
    for mode in (True, False):
        assert_equivariant(layer.train(mode), layer.in_type.restrict(part), layer.out_type.restrict(part), size=size)


@pytest.mark.parametrize("mode", ["max", "mean"])
@pytest.mark.parametrize("over", [HueShift(3), SO2(2)], ids=repr)
def test_pooling_over_a_factor_leaves_functions_on_the_other(over, mode):
    group = HueShift(3) * SO2(2)
    pool = GroupPool(2 * group.regular, over=over, mode=mode)
    (left,) = [factor for factor in group.factors if factor != over]
    assert pool.out_type.restrict(left) == 2 * left.regular
    part = group.sampled(12)  # the rotations that are sampled
    fields, rho = torch.randn(1, 2, 15, 1, 1, dtype=torch.float64), group.regular.restrict(part).rho
    moved_out = pool.out_type.representation.restrict(part).rho
    pooled = pool.double()(fields)
    for g in range(part.order):
        before = pool(torch.einsum("ij,bnjhw->bnihw", torch.from_numpy(rho[g].copy()), fields))
        after = torch.einsum("ij,bnjhw->bnihw", torch.from_numpy(moved_out[g].copy()), pooled)
        torch.testing.assert_close(before, after)
    constant = torch.zeros(1, 2, 3, 5, 1, 1, dtype=torch.float64)
    constant[:, :, :, 0] = 1  # a function that is the same everywhere stays so
    assert pool(constant.flatten(2, 3)).flatten()[0] > 0


def test_a_network_may_become_discrete_halfway():
    continuous, discrete = SO2(3), Cyclic(5)
    first = GroupConv2d(continuous.image, 2 * continuous.regular, 5, padding=2)
    second = GroupConv2d(first.out_type.restrict(discrete), 3 * discrete.regular, 5, padding=2)
    net = torch.nn.Sequential(first, second)
    error = equivariance_error(net, first.in_type.restrict(discrete), second.out_type, size=(41, 41))
    assert error < 0.12
