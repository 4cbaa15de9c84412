"""Continuous groups: every angle, every subgroup, and what the tables stand for."""

import math

import numpy as np
import pytest
import torch
from samples import CONVOLUTIONS, LAYERS, SHAPES

from equiconv.bases import Derivatives, Harmonics
from equiconv.errors import ExactnessError, FieldTypeError, GroupError, ShapeError
from equiconv.groups import (
    O2,
    P4,
    P4M,
    SO2,
    Cyclic,
    Dihedral,
    Flip,
    HueShift,
    Representation,
    Trivial,
)
from equiconv.groups.irreps import rotations
from equiconv.layers import FourierActivation, GroupConv2d, GroupPool
from equiconv.solve import equivariant_kernels
from equiconv.testing import assert_equivariant, assert_group_laws, equivariance_error

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


@pytest.mark.parametrize("group", [SO2(1), SO2(), O2(1), O2(), HueShift(3) * SO2(2), SO2() * Cyclic(2)], ids=repr)
def test_laws(group):
    assert_group_laws(group)


@pytest.mark.parametrize("group", [SO2(3), O2(3)], ids=repr)
def test_matrices_at_any_angle(group):
    for angle in np.random.default_rng(0).uniform(-7, 7, 5):
        first, second = group.regular.at(angle), group.regular.at(0.4)
        np.testing.assert_allclose(first @ second, group.regular.at(angle + 0.4), atol=1e-12)
        np.testing.assert_allclose(group.vector.at(angle), rotations(np.array([angle]))[0], atol=1e-12)
        expected = rotations(np.array([2 * angle]))[0]
        wave = group.irrep(2) if group == SO2(3) else group.irrep(3)
        np.testing.assert_allclose(wave.at(angle), expected, atol=1e-12)
        assert abs(wave.at(angle) - rotations(np.array([3 * angle]))[0]).max() > 1e-3


def test_mirrored_elements_flip_rows_after_the_turn():
    group = O2()
    turn = rotations(np.array([0.7]))[0]
    np.testing.assert_allclose(group.vector.at(0.7, mirrored=True), ROWS @ turn, atol=1e-12)
    for rep in (group.regular, group.irrep(1), group.irrep(4)):
        flip = rep.at(0, mirrored=True)
        np.testing.assert_allclose(rep.at(0.7, mirrored=True), flip @ rep.at(0.7), atol=1e-12)


def test_frequencies_of_the_regular_representation():
    assert SO2(3).regular.decompose()[0] == (0, 1, 2, 3)
    assert O2(2).regular.decompose()[0] == (0, 1, 2, 2, 3, 3)
    assert O2(3).quotient(Flip()).decompose()[0] == (0, 2, 3, 4)
    assert SO2(4).quotient(Cyclic(2)).decompose()[0] == (0, 2, 4)
    assert SO2(5).quotient(Cyclic(5)).decompose()[0] == (0, 5)
    assert O2(3).quotient(SO2(3)).is_permutation


@pytest.mark.parametrize(
    ("rep", "subgroup"),
    [
        (SO2(4).regular, Cyclic(5)),
        (SO2(4).regular, Cyclic(8)),
        (SO2(2).irrep(2), Trivial()),
        (O2(3).regular, SO2(3)),
        (O2(3).regular, Dihedral(5)),
        (O2(3).vector, Flip(0.3)),
        (O2(3).regular, Cyclic(2) * Flip()),
        ((HueShift(3) * O2(2)).regular, HueShift(3) * Dihedral(7)),
        ((HueShift(3) * O2(2)).regular, Dihedral(7)),
        ((HueShift(3) * O2(2)).regular, HueShift(3)),
        ((HueShift(4) * SO2(2)).regular, HueShift(2) * Cyclic(5)),
    ],
    ids=repr,
)
def test_restriction_to_every_subgroup(rep, subgroup):
    part = rep.restrict(subgroup)  # the constructor asks whether the matrices multiply as the subgroup does
    assert part.group == subgroup
    for h in range(subgroup.order):
        turned = subgroup.plane[h]
        mirrored = np.linalg.det(turned) < 0
        turn = ROWS @ turned if mirrored else turned
        if np.allclose(subgroup.color[h], np.eye(3)):
            at = rep.at(math.atan2(turn[1, 0], turn[0, 0]), mirrored=bool(mirrored))
            np.testing.assert_allclose(part.rho[h], at, atol=1e-12)
    assert eval(repr(part)) == part


def test_restriction_in_two_steps_is_restriction_in_one():
    rep = O2(3).regular
    np.testing.assert_allclose(rep.restrict(SO2(3)).restrict(Cyclic(5)).rho, rep.restrict(Cyclic(5)).rho, atol=1e-12)


@pytest.mark.parametrize(
    ("rep", "group"),
    [
        (Cyclic(4).irrep(1), Cyclic(8)),
        (Flip(0).irrep(1), Dihedral(4)),
        (Cyclic(3).regular, Dihedral(3)),
        (SO2(3).irrep(2), O2(3)),
        (HueShift(3).image, HueShift(3) * P4M()),
        ((HueShift(3) * SO2(2)).irrep(3), HueShift(3) * O2(2)),
    ],
    ids=repr,
)
def test_induction(rep, group):
    """The character of an induced representation is the sum over the conjugates that lie in the subgroup."""
    induced = rep.induce(group)
    part = group.subgroup(rep.group)
    assert induced.dim == rep.dim * len(part.cosets)
    where = {g: h for h, g in enumerate(part.elements)}
    for g in range(0, group.order, 5):
        conjugates = [group.table[group.inverse[k], group.table[g, k]] for k in range(group.order)]
        expected = sum(rep.character[where[k]] for k in conjugates if k in where) / len(part.elements)
        assert induced.character[g] == pytest.approx(expected, abs=1e-9)
    assert eval(repr(induced)) == induced


def test_inducing_the_trivial_representation_gives_the_quotient():
    assert np.array_equal(Flip(0).trivial.induce(Dihedral(4)).rho, Dihedral(4).quotient(Flip(0)).rho)
    assert np.array_equal(P4().regular.induce(P4()).rho, P4().regular.rho)


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


def test_a_continuous_group_is_not_the_group_of_its_tables():
    assert SO2(3) != Cyclic(SO2(3).steps)
    assert SO2(3) != SO2(4)
    assert SO2(3) == SO2(3)
    assert len({SO2(3), SO2(3), SO2(4)}) == 2


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: FourierActivation(SO2().regular, samples=6), FieldTypeError, "more than 6"),
        (lambda: FourierActivation(P4().regular, samples=6), FieldTypeError, "is finite"),
        (lambda: FourierActivation(SO2().irrep(1) + SO2().irrep(1)), FieldTypeError, "2 times"),
        (lambda: SO2(10**12), GroupError, "at most 1000"),
        (lambda: SO2().vector.at("x"), GroupError, "finite number"),
        (lambda: SO2().vector.at(math.nan), GroupError, "finite number"),
        (lambda: SO2(5).irrep(5).restrict(SO2(3)), GroupError, "same max_frequency"),
        (lambda: SO2(2).irrep(1).induce(O2(20)), GroupError, "same max_frequency"),
        (lambda: (SO2() * Cyclic(8)).regular.restrict(Cyclic(8) * Cyclic(8)), GroupError, "not a subgroup"),
        (lambda: SO2(0), GroupError, ">= 1"),
        (lambda: O2(1.5), GroupError, "integer"),
        (lambda: SO2() * SO2(), GroupError, "one continuous factor"),
        (lambda: O2(2) * SO2(3), GroupError, r"O2\(3\) holds both"),
        (lambda: SO2().irrep(4), GroupError, "irreps 0 .. 3"),
        (lambda: SO2().regular.restrict(Flip()), GroupError, "rotations only"),
        (lambda: SO2().regular.restrict(HueShift(3)), GroupError, "rotations only"),
        (lambda: SO2().subgroup(Cyclic(5)), GroupError, "restrict takes it"),
        (lambda: SO2().vector.at(0.1, mirrored=True), GroupError, "rotations only"),
        (lambda: P4().vector.at(0.1), GroupError, "is finite"),
        (lambda: Cyclic(4).irrep(1).induce(SO2()), GroupError, "infinitely many"),
        (lambda: Cyclic(3).irrep(1).induce(Cyclic(4)), GroupError, "not a subgroup"),
        (lambda: Representation(SO2(2), SO2(5).irrep(5).rho).decompose(), FieldTypeError, "larger max_frequency"),
        (lambda: Harmonics((5, 5), rings=[2], widths=[1], frequencies=[200]).action(SO2()), ShapeError, "angular freq"),
    ],
)
def test_mistakes_are_told(make, error, message):
    with pytest.raises(error, match=message):
        make()


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
