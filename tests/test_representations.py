"""Representations, their sums and products, and the field types made of them."""

import copy
import pickle

import numpy as np
import pytest
import torch
from samples import GRID, OFF_GRID, SOME, halves, mixed
from scipy.linalg import block_diag
from test_groups import rebuilt

from equiconv.errors import FieldTypeError, GroupError, ShapeError
from equiconv.groups import P4, P4M, Cyclic, Dihedral, FieldType, Flip, HueShift, Representation, Trivial
from equiconv.testing import move_image


def blocks(rep):
    """Return the matrices Q blockdiag(irreps) Q^T that the decomposition claims."""
    indices, basis = rep.decompose()
    parts = [rep.group.irreps[k].rho for k in indices]
    diagonal = np.array([block_diag(*(part[g] for part in parts)) for g in range(rep.group.order)])
    assert diagonal.shape == rep.rho.shape
    return basis @ diagonal @ basis.T


@pytest.mark.parametrize("group", [*GRID, *OFF_GRID], ids=repr)
def test_everything_splits_into_irreps(group):
    for rep in (group.regular, group.image, group.vector, halves(group), mixed(group)):
        np.testing.assert_allclose(blocks(rep), rep.rho, atol=1e-9)


def test_the_split_check_can_fail():
    rep = P4M().regular
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(blocks(rep), rep.rho[P4M().inverse], atol=1e-9)


@pytest.mark.parametrize(
    ("group", "types"),
    [
        (Cyclic(4), [(1, "real"), (2, "complex"), (1, "real")]),
        (Cyclic(5), [(1, "real"), (2, "complex"), (2, "complex")]),
        (Dihedral(4), [(1, "real"), (1, "real"), (2, "real"), (1, "real"), (1, "real")]),
        (Dihedral(3), [(1, "real"), (1, "real"), (2, "real")]),
        (HueShift(3) * P4(), [(1, "real"), (2, "complex"), (1, "real")] + [(2, "complex")] * 4),
        (HueShift(3) * Dihedral(3), [(1, "real"), (1, "real"), (2, "real"), *[(2, "complex")] * 2, (4, "complex")]),
    ],
    ids=repr,
)
def test_irreps_and_their_types(group, types):
    assert [(irrep.dim, irrep.type) for irrep in group.irreps] == types
    assert all(irrep.is_irreducible for irrep in group.irreps)


def test_frequencies():
    for k in range(1, 4):
        angle = 2 * np.pi * k * 3 / 8
        matrix = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        np.testing.assert_allclose(Cyclic(8).irrep(k).rho[3], matrix, atol=1e-12)
    np.testing.assert_allclose(Dihedral(5).irrep(2).rho, Dihedral(5).vector.rho, atol=1e-12)


def test_definitions():
    group = HueShift(3) * P4M()
    for g in (1, 4, 8, 21):
        for h in range(24):
            assert group.regular.rho[g, group.table[g, h], h] == 1
    quotient = P4M().quotient([4])
    cosets = P4M().subgroup([4]).cosets
    for g in range(8):
        for j, coset in enumerate(cosets):
            image = {int(P4M().table[g, h]) for h in coset}
            assert image == set(cosets[quotient.permutation[g, j]])
    assert (group.regular.dim, group.image.dim, group.vector.dim, quotient.dim) == (24, 3, 2, 4)


def test_permutations():
    assert P4M().quotient([4]).is_permutation
    assert HueShift(3).image.is_permutation
    assert not HueShift(4).image.is_permutation
    assert not P4().vector.is_permutation
    assert P4().regular.is_regular
    assert not P4M().quotient([4]).is_regular


def test_products_of_representations():
    a, b = HueShift(3), P4M()
    assert a.regular * b.regular == (a * b).regular
    assert a.image * b.trivial == (a * b).image
    assert a.trivial * b.vector == (a * b).vector
    assert (a.irrep(1) * b.irrep(2)).is_irreducible
    assert not (a.irrep(1) * P4().irrep(1)).is_irreducible
    assert (a * b).quotient(a).restrict(b) == b.regular


def test_sums():
    group = P4M()
    total = group.trivial + group.irrep(2) + group.irrep(2)
    assert (total.dim, len(total.summands)) == (5, 3)
    assert total.decompose()[0] == (0, 2, 2)
    assert [part.restrict(P4()).dim for part in total.restrict(P4()).summands] == [1, 2, 2]
    np.testing.assert_array_equal(total.fixed, [[1, 0, 0, 0, 0]])
    np.testing.assert_allclose(group.regular.fixed, np.ones((1, 8)))


@pytest.mark.parametrize("group", SOME, ids=repr)
def test_values(group):
    for rep in (group.trivial, group.regular, group.image, halves(group), mixed(group), group.regular.restrict([])):
        for kind in (rep, 3 * rep):
            for other in (rebuilt(kind), pickle.loads(pickle.dumps(kind)), copy.deepcopy(kind)):
                assert other == kind
                assert hash(other) == hash(kind)
        assert 2 * rep != 3 * rep
    assert group.image != group.regular  # the same matrices for HueShift(3), but another layout


def test_reprs_of_products():
    product = (HueShift(3).irrep(1) + HueShift(3).trivial) * P4().regular
    assert rebuilt(product) == product
    assert rebuilt(2 * product) == 2 * product


@pytest.mark.parametrize("group", SOME, ids=repr)
def test_transform_moves_plane_and_fiber_together(group):
    x = torch.randn(2, 2, group.order, 5, 4, dtype=torch.float64)
    kind = 2 * group.regular
    for g in range(group.order):
        moved = kind.transform(x, g)
        for h in range(group.order):
            plane = move_image(group, x[:, :, h, None], g)[:, :, 0]
            assert torch.equal(moved[:, :, group.table[g, h]], plane)
    image = torch.rand(2, 3, 5, 4)
    for g in range(group.order):
        torch.testing.assert_close((1 * group.image).transform(image, g), group.transform_image(image, g))


@pytest.mark.parametrize("n", [0, -2, 1.5, True, None])
def test_multiplicities_that_are_none(n):
    with pytest.raises(FieldTypeError, match="n >= 1"):
        FieldType(P4().regular, n)


def test_mistakes():
    with pytest.raises(FieldTypeError, match="one group"):
        P4().regular + P4M().regular
    with pytest.raises(FieldTypeError, match="adds representations"):
        P4().regular + 3
    with pytest.raises(FieldTypeError, match="different groups"):
        P4().regular * P4().regular
    with pytest.raises(FieldTypeError, match="number of fields first"):
        P4().regular * 3
    with pytest.raises(FieldTypeError, match="reducible"):
        _ = P4().regular.type
    with pytest.raises(FieldTypeError, match="no representation"):
        Representation(Cyclic(2), np.ones((2, 1, 1)) * 2)
    with pytest.raises(FieldTypeError, match="no representation"):
        Representation(Cyclic(3), np.array([1.0, -1, 1]).reshape(3, 1, 1))
    with pytest.raises(FieldTypeError, match="array of numbers"):
        Representation(P4(), "abc")
    with pytest.raises(FieldTypeError, match="of a group"):
        Representation(None, np.ones((1, 1, 1)))
    assert P4().trivial + P4().trivial != Representation(P4(), np.tile(np.eye(2), (4, 1, 1)))
    with pytest.raises(FieldTypeError, match="order, d, d"):
        Representation(Cyclic(3), np.ones(3))
    with pytest.raises(GroupError, match=r"irreps 0 \.\. 2"):
        P4().irrep(3)
    with pytest.raises(FieldTypeError, match="made of a representation"):
        FieldType(P4(), 2)


@pytest.mark.parametrize("shape", [(2, 8, 4, 5), (2, 2, 3, 5, 5), (2, 4, 4, 5, 5), (2, 4, 5, 5)])
def test_tensors_of_another_type(shape):
    with pytest.raises(ShapeError, match=r"\(B, 2, 4, H, W\)"):
        (2 * P4().regular).transform(torch.zeros(shape), 1)


def test_a_flip_has_two_irreps():
    assert [irrep.rho[1, 0, 0] for irrep in Flip().irreps] == [1, -1]
    assert len(Trivial().irreps) == 1


def test_what_names_a_subgroup_may_be_read_once():
    rep = Cyclic(4).irrep(0) + Cyclic(4).irrep(1)
    assert rep.restrict(g for g in [2]) == rep.restrict([2])
    assert [part.group.order for part in rep.restrict(g for g in [2]).summands] == [2, 2]
    assert Cyclic(4).quotient(g for g in [2]) == Cyclic(4).quotient([2])
    for call in (rep.restrict, Cyclic(4).quotient):
        with pytest.raises(GroupError, match="list of elements"):
            call(2)


def test_blocks():
    group = P4M()
    induced = P4().irrep(1).induce(group)
    assert induced.blocks == ((0, 1), (2, 3))
    assert np.array_equal(induced.of_blocks.rho, group.quotient(P4()).rho)
    assert group.regular.blocks == tuple((i,) for i in range(8))
    assert group.vector.blocks == ((0, 1),)
    total = induced + group.vector + group.trivial
    assert total.blocks == ((0, 1), (2, 3), (4, 5), (6,))
    assert total.of_blocks.rho[4].diagonal().tolist() == [0, 0, 1, 1]  # a mirror exchanges the two cosets
    plain = Representation(group, induced.rho, block=2)
    assert plain.blocks == induced.blocks
    assert eval(repr(plain), {"Representation": Representation, "Dihedral": Dihedral}) == plain
    assert Representation(group, induced.rho) != plain  # one block of four
    with pytest.raises(FieldTypeError, match="blocks of 3"):
        Representation(group, induced.rho, block=3)
    with pytest.raises(FieldTypeError, match="blocks of 1"):
        Representation(Cyclic(8), Cyclic(8).irrep(1).rho, block=1)


def test_a_pickled_permutation_is_small():
    rep = (HueShift(4) * Cyclic(32)).regular
    saved = pickle.dumps(8 * rep)
    assert pickle.loads(saved) == 8 * rep
    assert len(saved) < rep.rho.nbytes / 20
