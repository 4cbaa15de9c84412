"""Groups, field types and tensors of e2cnn are carried over as they move."""

import math

import e2cnn_pairs as pairs
import numpy as np
import pytest
import torch

from equiconv.errors import EquiconvError, FieldTypeError, GroupError, ShapeError
from equiconv.groups import O2, SO2, Cyclic, Dihedral, Flip, Trivial
from equiconv.interop.e2cnn import conversion, field_type_from_e2cnn, fields, fields_from_e2cnn, fields_to_e2cnn
from equiconv.layers import GroupConv2d
from equiconv.losses import ien_draw
from equiconv.testing import assert_equivariant, assert_group_laws, move_image

pytestmark = pytest.mark.filterwarnings("ignore")  # e2cnn warns wherever it goes
enn, gspaces, SPACES, TYPES = pairs.enn, pairs.gspaces, pairs.SPACES, pairs.TYPES

GROUPS = {
    "trivial": Trivial(),
    "mirror": Flip(),
    "C4": Cyclic(4),
    "C8": Cyclic(8),
    "D3": Dihedral(3, math.pi / 2),
    "D4": Dihedral(4),
    "SO2": SO2(3),
    "O2": O2(3),
}
ON_GRID = {
    "C4": gspaces.Rot2dOnR2(4),
    "D4": gspaces.FlipRot2dOnR2(4),
    "D2 at 45 degrees": gspaces.FlipRot2dOnR2(2, axis=math.pi / 4),
    "mirror": gspaces.Flip2dOnR2(),
    "mirror at 45 degrees": gspaces.Flip2dOnR2(axis=math.pi / 4),
    "O2": gspaces.FlipRot2dOnR2(-1, maximum_frequency=3),
}


def ours_of(name):
    """Return our group; e2cnn has one SO(2) and one O(2) in a process, whose largest frequency only grows."""
    space = SPACES[name]
    return field_type_from_e2cnn(enn.FieldType(space, [space.trivial_repr])).group


@pytest.mark.parametrize("name", GROUPS)
def test_groups(name):
    group, expected = ours_of(name), GROUPS[name]
    assert type(group) is type(expected)
    if expected.max_frequency is None:
        assert group == expected
    else:
        assert group.max_frequency >= expected.max_frequency


def test_canonical_representations():
    c8, d4, so2, o2 = (SPACES[name] for name in ("C8", "D4", "SO2", "O2"))
    eight, four, turns, all_ = (ours_of(name) for name in ("C8", "D4", "SO2", "O2"))
    induced = SO2(all_.max_frequency).irrep(2).induce(all_)
    expected = [
        (c8, [c8.regular_repr] * 5, 5 * eight.regular),
        (c8, [c8.irrep(3)] * 2, 2 * eight.irrep(3)),
        (c8, [c8.quotient_repr(2)] * 2, 2 * eight.quotient(Cyclic(2))),
        (c8, [c8.trivial_repr, c8.regular_repr] * 3, 3 * (eight.trivial + eight.regular)),
        (d4, [d4.regular_repr], 1 * four.regular),
        (d4, [d4.quotient_repr((None, 4))], 1 * four.quotient(Cyclic(4))),
        (d4, [d4.irrep(1, 1)], 1 * four.vector),
        (so2, [so2.irrep(0)] * 4 + [so2.irrep(2)] * 2, 2 * (turns.trivial + turns.trivial + turns.irrep(2))),
        (o2, [o2.irrep(1, 0)], 1 * all_.irrep(1)),
        (o2, [pairs.part(o2, (None, -1), 2)], 1 * induced),
    ]
    for space, theirs, wanted in expected:
        assert field_type_from_e2cnn(enn.FieldType(space, theirs)) == wanted


@pytest.mark.parametrize("name", TYPES)
def test_tensors_come_back(name):
    kind = TYPES[name]
    x = torch.randn(2, kind.size, 3, 3, dtype=torch.float64)
    y = fields_from_e2cnn(x, kind)
    assert y.shape == (2, *field_type_from_e2cnn(kind).shape, 3, 3)
    assert torch.allclose(fields_to_e2cnn(y, kind), x, atol=1e-10)
    assert torch.allclose(y.norm(), x.norm())
    with pytest.raises(ShapeError):
        fields_from_e2cnn(x[:, 1:], kind)
    with pytest.raises(ShapeError):
        fields_to_e2cnn(y[:, :, 1:], kind)


def alike(space, element, group):
    """Return our element that moves an image as e2cnn moves it."""
    image = torch.randn(1, 1, 5, 5)
    kind = enn.FieldType(space, [space.trivial_repr])
    moved = enn.GeometricTensor(image, kind).transform(element).tensor
    found = [g for g in range(group.order) if torch.allclose(group.transform_image(image, g), moved, atol=1e-5)]
    assert len(found) == 1
    return found[0]


def moves(name):
    """Yield a type, and elements on the grid, e2cnn's beside ours; found by how they move an image."""
    space = ON_GRID[name]
    irreps = list(space.fibergroup.irreps.values())[:4]
    several = irreps + ([space.regular_repr] if space.fibergroup.order() > 0 else [])
    kind = enn.FieldType(space, several + irreps[::-1])
    group = field_type_from_e2cnn(kind).group
    elements = space.fibergroup.elements or [(m, k * math.pi / 2) for m in (0, 1) for k in range(4)]
    return kind, [(element, alike(space, element, group)) for element in elements]


@pytest.mark.parametrize("name", ON_GRID)
def test_fields_move_alike(name):
    kind, elements = moves(name)
    ours = field_type_from_e2cnn(kind)
    x = torch.randn(2, kind.size, 5, 5)
    for element, g in elements:
        moved = enn.GeometricTensor(x, kind).transform(element).tensor
        expected = ours.transform(fields_from_e2cnn(x, kind), g)
        assert torch.allclose(fields_from_e2cnn(moved, kind), expected, atol=1e-5)
        if g:
            assert not torch.allclose(fields_from_e2cnn(moved, kind), fields_from_e2cnn(x, kind), atol=1e-2)


def test_an_axis_of_the_mirror():
    group = Dihedral(5, 0.3)
    assert_group_laws(group)
    c, s = math.cos(0.3), math.sin(0.3)
    assert np.allclose(group.plane[5] @ [c, s], [c, s])  # the line stays
    assert np.allclose(group.plane[5] @ [-s, c], [s, -c])
    assert repr(group) == "Dihedral(5, 0.3)"
    x, diagonal = torch.randn(1, 1, 5, 5), Dihedral(2, math.pi / 4)
    for g in range(4):
        assert torch.equal(move_image(diagonal, x, g), diagonal.transform_image(x, g))
    assert torch.equal(move_image(diagonal, x, 2), torch.rot90(x.flip(-2), 1, (-2, -1)))
    assert_equivariant(GroupConv2d(1 * diagonal.trivial, 2 * diagonal.regular, 3))
    with pytest.raises(GroupError, match="published draw"):
        ien_draw(diagonal)
    assert group == Dihedral(5, 0.3) != Dihedral(5)
    assert Dihedral(5, 0.0).arguments == (5,)
    with pytest.raises(GroupError, match="axis"):
        Dihedral(5, math.inf)


def reversed_elements(space, group):
    found = original(space, group)
    return [found[g] for g in group.inverse]


original = fields.elements_of


@pytest.mark.parametrize("name", ["C8", "SO2"])
def test_elements_in_a_wrong_order_are_noticed(name, monkeypatch):
    space = SPACES[name]
    source, target = enn.FieldType(space, [space.trivial_repr]), enn.FieldType(space, [space.irrep(1)] * 2)
    module = pairs.drawn(enn.R2Conv(source, target, 3))
    monkeypatch.setattr(fields, "elements_of", reversed_elements)
    with pytest.raises(EquiconvError, match="miss"):
        conversion.from_e2cnn(module)


def test_a_wrong_axis_is_noticed(monkeypatch):
    space = SPACES["O2"]
    kind = enn.FieldType(space, [space.irrep(0, 0), space.irrep(1, 1)])
    module = pairs.drawn(enn.R2Conv(kind, kind, 3))
    pairs.check(module)
    monkeypatch.setattr(space, "axis", 0.4)
    with pytest.raises(EquiconvError, match="miss"):
        conversion.from_e2cnn(module)
    monkeypatch.setattr(fields, "group_of", lambda space: Dihedral(3))
    with pytest.raises(GroupError, match="does not move the plane"):
        field_type_from_e2cnn(enn.FieldType(SPACES["D3"], [SPACES["D3"].trivial_repr]))


@pytest.mark.parametrize("wrong", ["transposed", "rolled", "mirrored"])
def test_a_wrong_change_of_basis_is_noticed(wrong):
    d4 = SPACES["D4"]
    kind = enn.FieldType(d4, [d4.irrep(1, 1), d4.regular_repr, d4.irrep(1, 1), d4.regular_repr])
    module = pairs.drawn(enn.R2Conv(kind, kind, 3))
    ours = conversion.from_e2cnn(module)

    def carry(x, kind):
        y = fields_from_e2cnn(x, kind)  # (b, n, d, h, w)
        if wrong == "transposed":
            matrix = torch.from_numpy(fields.Fields(kind).matrix.toarray()).to(x.dtype)
            return torch.einsum("io,bihw->bohw", matrix, x).view_as(y)
        return y.roll(1, 2) if wrong == "rolled" else y.flip(2)

    assert pairs.difference(module, ours) < 1e-5
    assert pairs.difference(module, ours, carry=carry) > 1e-2


def test_a_basis_that_is_not_orthogonal_is_refused():
    c4 = SPACES["C4"]
    skew = pairs.group.change_basis(c4.irrep(1), np.array([[1.0, 1.0], [0.0, 1.0]]), name="skew")
    with pytest.raises(FieldTypeError, match="skew"):
        field_type_from_e2cnn(enn.FieldType(c4, [skew]))
