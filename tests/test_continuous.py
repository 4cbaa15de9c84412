"""Continuous groups: every angle, every subgroup, and what the tables stand for."""

import math

import numpy as np
import pytest

from equiconv.bases import Harmonics
from equiconv.errors import FieldTypeError, GroupError, ShapeError
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
from equiconv.layers import FourierActivation
from equiconv.testing import assert_group_laws

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
