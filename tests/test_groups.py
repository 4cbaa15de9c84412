"""Groups keep their laws and the conventions of the design."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import GRID, OFF_GRID, SOME

import equiconv.groups as everything
from equiconv.errors import GroupError, ShapeError
from equiconv.groups import P4, P4M, ColorModel, Cyclic, Dihedral, Flip, Group, HueShift, Tone, Trivial
from equiconv.groups.irreps import cyclic_table
from equiconv.testing import assert_group_laws, move_image

NAMES = {name: getattr(everything, name) for name in everything.__all__}


def rebuilt(value):
    """Return what the repr of the value names."""
    return eval(repr(value), {"__builtins__": {}}, NAMES)


@pytest.mark.parametrize("group", [*GRID, *OFF_GRID, HueShift(3) * Dihedral(6), Cyclic(8) * HueShift(5)], ids=repr)
def test_laws(group):
    assert_group_laws(group)


@pytest.mark.parametrize("group", [*SOME, *OFF_GRID], ids=repr)
def test_values(group):
    copies = [pickle.loads(pickle.dumps(group)), copy.deepcopy(group), copy.copy(group), rebuilt(group)]
    assert all(other == group and hash(other) == hash(group) for other in copies)
    assert len({*copies, group}) == 1
    with pytest.raises(ValueError, match="read-only"):
        group.table[0, 0] = 1


def test_conventions_of_single_groups():
    image = torch.randn(3, 5, 4)
    for r in range(4):
        assert torch.equal(P4().transform_image(image, r), torch.rot90(image, r, (-2, -1)))
        assert torch.equal(P4M().transform_image(image, 4 + r), torch.rot90(image, r, (-2, -1)).flip(-2))
    assert torch.equal(Flip().transform_image(image, 1), image.flip(-1))
    assert torch.equal(Flip(0).transform_image(image, 1), image.flip(-2))
    assert torch.equal(Flip(math.pi / 4).transform_image(image, 1), torch.rot90(image.flip(-2), 1, (-2, -1)))
    red = torch.tensor([1.0, 0, 0]).view(3, 1, 1)
    assert HueShift(3).transform_image(red, 1).flatten().tolist() == [0, 1, 0]
    assert HueShift(3).transform_image(red, 2).flatten().tolist() == [0, 0, 1]
    gray = torch.ones(3, 2, 2)
    torch.testing.assert_close(HueShift(7).transform_image(gray, 3), gray)


def test_rotation_off_the_grid_goes_the_same_way():
    y, x = torch.meshgrid(torch.linspace(1, -1, 65), torch.linspace(-1, 1, 65), indexing="ij")
    spot = torch.exp(-((x - 0.5) ** 2 + y**2) / 0.03)[None]
    moved = Cyclic(8).transform_image(spot, 1)
    expected = torch.exp(-((x - 0.5 / math.sqrt(2)) ** 2 + (y - 0.5 / math.sqrt(2)) ** 2) / 0.03)[None]
    torch.testing.assert_close(moved, expected, atol=0.01, rtol=0)
    assert (Cyclic(8).transform_image(spot, 7) - expected).abs().max() > 0.5


def test_the_table_of_p4m():
    source = P4M().table[P4M().inverse]  # row g: the slices g^-1 h
    assert source[1].tolist() == [3, 0, 1, 2, 5, 6, 7, 4]
    assert source[4].tolist() == [4, 5, 6, 7, 0, 1, 2, 3]
    assert source[6].tolist() == [6, 7, 4, 5, 2, 3, 0, 1]


def test_products():
    group = HueShift(3) * P4M()
    assert group.order == 24
    assert group.factors == (HueShift(3), P4M())
    assert (HueShift(3) * P4M()) * Trivial() == group == HueShift(3) * (Trivial() * P4M())
    assert (Trivial() * Trivial()).order == 1
    assert len((HueShift(3) * Cyclic(2) * Flip()).factors) == 3
    hue, rest = 2, 5
    assert group.table[hue * 8, rest] == group.table[rest, hue * 8] == hue * 8 + rest
    np.testing.assert_array_equal(group.plane[hue * 8 + rest], P4M().plane[rest])
    np.testing.assert_array_equal(group.color[hue * 8 + rest], HueShift(3).color[hue])
    assert group != P4M() * HueShift(3)
    assert P4() != HueShift(4)
    assert Cyclic(1) == Trivial()


@pytest.mark.parametrize(
    ("a", "b", "name"),
    [
        (P4(), Flip(), "Dihedral(4)"),
        (Cyclic(3), Flip(), "Dihedral(3, pi / 6)"),
        (Cyclic(3), Flip(0), "Dihedral(3)"),
        (Dihedral(16), Dihedral(15), "Dihedral(240)"),
    ],
)
def test_factors_that_do_not_commute(a, b, name):
    for pair in ((a, b), (b, a), (HueShift(3) * a, b)):
        with pytest.raises(GroupError, match="do not commute") as error:
            pair[0] * pair[1]
        assert name in str(error.value)


@given(st.integers(-30, 30), st.sampled_from(range(24)))
@settings(max_examples=60, deadline=None)
def test_pow(exponent, g):
    group = HueShift(3) * P4M()
    power = 0
    for _ in range(abs(exponent)):
        power = int(group.table[power, g])
    assert group.pow(g, exponent) == (power if exponent >= 0 else int(group.inverse[power]))


@pytest.mark.parametrize("kind", [Cyclic, Dihedral, HueShift])
@pytest.mark.parametrize("n", [0, -1, 2.0, "4", True, None])
def test_orders_that_are_none(kind, n):
    with pytest.raises(GroupError, match="n >= 1"):
        kind(n)


@pytest.mark.parametrize("axis", [math.nan, math.inf, "x", None])
def test_axes_that_are_none(axis):
    with pytest.raises(GroupError, match="finite angle"):
        Flip(axis)


@pytest.mark.parametrize("other", [3, None, P4, "P4"])
def test_products_with_what_is_no_group(other):
    with pytest.raises(GroupError, match=r"HueShift\(3\) \* P4\(\)"):
        HueShift(3) * other
    with pytest.raises(GroupError, match=r"HueShift\(3\) \* P4\(\)"):
        other * HueShift(3)


@pytest.mark.parametrize("g", [-1, 4, 1.0, True, "1"])
def test_elements_that_are_none(g):
    for use in (
        lambda: P4().pow(g, 2),
        lambda: P4().transform_image(torch.zeros(3, 2, 2), g),
        lambda: P4().check_element(g),
    ):
        with pytest.raises(GroupError, match=r"0 \.\. 3"):
            use()


def test_images_that_cannot_be_moved():
    with pytest.raises(ShapeError, match="3, H, W"):
        HueShift(3).transform_image(torch.zeros(1, 4, 4), 1)
    with pytest.raises(ShapeError, match="C, H, W"):
        P4().transform_image(torch.zeros(4, 4), 1)
    assert P4().transform_image(torch.zeros(5, 4, 3), 1).shape == (5, 3, 4)


class Custom(Group):
    def __init__(self, table, plane=None, color=None):
        super().__init__(np.array(table), plane=plane, color=color)

    @property
    def arguments(self):
        return self.table, self.plane, self.color


KLEIN = [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]]
LOOP = [[0, 1, 2, 3, 4], [1, 0, 3, 4, 2], [2, 4, 0, 1, 3], [3, 2, 4, 0, 1], [4, 3, 1, 2, 0]]  # Latin, not associative


def test_a_group_of_ones_own():
    group = Custom(KLEIN, plane=np.array([np.diag(d) for d in ([1.0, 1], [-1, 1], [1, -1], [-1, -1])]))
    assert [irrep.dim for irrep in group.irreps] == [1, 1, 1, 1]
    assert group.generators == (1, 2)


@pytest.mark.parametrize(
    ("table", "plane", "message"),
    [
        (LOOP, None, "not associative"),
        ([[1, 0], [0, 1]], None, "identity"),
        ([[0, 1], [1, 1]], None, "each element once"),
        ([[0, 1]], None, "square"),
        ([[0, 1], [1, 0]], np.array([np.eye(2), 2 * np.eye(2)]), "orthogonal"),
        ([[0, 1], [1, 0]], np.array([np.eye(2), [[0, -1.0], [1, 0]]]), "do not multiply"),
        ([[0, 1], [1, 0]], np.eye(2)[None], "shape"),
    ],
)
def test_laws_are_checked_at_construction(table, plane, message):
    with pytest.raises(GroupError, match=message):
        Custom(table, plane)


def quaternions():
    units = {
        "1": np.eye(2),
        "i": np.diag([1j, -1j]),
        "j": np.array([[0, 1], [-1, 0]]),
        "k": np.array([[0, 1j], [1j, 0]]),
    }
    elements = [sign * unit for sign in (1, -1) for unit in units.values()]
    table = [[next(n for n, c in enumerate(elements) if np.allclose(a @ b, c)) for b in elements] for a in elements]
    return Custom(table)


def test_quaternions():
    """The quaternion group has an irrep of quaternionic type; nothing in the library is special to ours."""
    group = quaternions()
    assert sorted((irrep.dim, irrep.type) for irrep in group.irreps) == [(1, "real")] * 4 + [(4, "quaternionic")]
    indices, _ = group.regular.decompose()
    assert len(indices) == 5
    for product in (group * HueShift(3), group * group):
        assert_group_laws(product, move=product.transform_image)


def test_exponents():
    with pytest.raises(GroupError, match=r"exponent is an integer"):
        P4().pow(1, 2.5)
    assert P4().pow(1, 10**9) == 0
    assert P4().pow(1, -(10**9) - 1) == 3


def test_values_are_written_once():
    for value, name in ((P4(), "order"), (P4().regular, "flat"), (2 * P4().regular, "n")):
        with pytest.raises(AttributeError, match="do not change"):
            setattr(value, name, 5)


def test_numpy_numbers():
    assert Cyclic(np.int64(4)) == P4()
    assert rebuilt(Flip(np.float64(0.5))) == Flip(0.5)
    assert np.int64(3) * P4().regular == 3 * P4().regular


class Channels(ColorModel):
    """Red, green and blue themselves."""

    axes = ("interval", "interval", "interval")

    def of(self, images):
        return images

    def images(self, coordinates):
        return coordinates


class Inverted(Group):
    """Two elements, the second of which turns colors to their negatives: half a turn of the cover of each channel."""

    def __init__(self):
        super().__init__(cyclic_table(2), tone=Tone(Channels(), np.outer([0, 1], [1, 1, 1])))

    @property
    def arguments(self):
        return ()


def test_products_and_subgroups_ask_how_a_group_moves_images():
    group, x = Inverted() * P4(), torch.rand(3, 4, 5)
    torch.testing.assert_close(group.transform_image(x, 5), 1 - torch.rot90(x, 1, (-2, -1)))
    torch.testing.assert_close(group.subgroup([4]).transform_image(x, 1), 1 - x)
    torch.testing.assert_close((1 * Inverted().image).transform(x[None], 1), 1 - x[None])


def test_images_of_whole_numbers_have_no_mixed_colors():
    with pytest.raises(ShapeError, match="floating-point"):
        HueShift(4).transform_image(torch.zeros(3, 2, 2, dtype=torch.uint8), 1)
    x = torch.arange(12, dtype=torch.uint8).view(3, 2, 2)
    assert torch.equal(P4().transform_image(x, 1), torch.rot90(x, 1, (-2, -1)))


def test_a_product_turned_backwards_is_seen_off_the_grid():
    group = HueShift(3) * Cyclic(3)
    with pytest.raises(AssertionError, match="moves an image"):
        assert_group_laws(group, move=lambda x, g: move_image(group, x, (3 - g // 3) % 3 * 3 + g % 3))
