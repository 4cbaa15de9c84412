"""Batches of which each image moves by an element of its own, against the moves of single images."""

import numpy as np
import pytest
import torch
from samples import GRID, OFF_GRID, SOME, induced, mixed
from test_groups import Inverted

from equiconv.errors import GroupError, ShapeError
from equiconv.groups import O2, P4, P4M, SO2, Cyclic, Dihedral, Flip, HueShift, Trivial
from equiconv.groups.moves import inside, move_plane, move_planes

CONTINUOUS = [SO2(1), O2(1), HueShift(3) * SO2(1)]
SUBGROUPS = [
    P4M().subgroup([1]),
    (HueShift(3) * P4M()).subgroup([8, 4]),
    Cyclic(8).subgroup([2]),
    SO2(1).subgroup(P4()),
]
OWN = [Inverted(), Inverted() * P4(), (Inverted() * P4()).subgroup([4])]


def elements_of(group, count=11):
    """Return elements in no order, the first ones more than once; few of a large group."""
    found = np.random.default_rng(0).permutation(group.order)[:count]
    return np.concatenate([found, found[:3], [0]])


@pytest.mark.parametrize("group", [*GRID, *OFF_GRID, *CONTINUOUS, *SUBGROUPS, *OWN], ids=repr)
def test_each_image_moves_as_by_itself(group):
    elements = elements_of(group)
    images = torch.rand(len(elements), 3, 5, 5, dtype=torch.float64)
    expected = torch.stack([group.transform_image(x, int(g)) for x, g in zip(images, elements, strict=True)])
    found = group.transform_images(images, elements)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-14 if group.moves_color or not group.keeps_grid else 0)
    sequence = torch.stack([images, 1 - images], 1)  # (b, t, c, h, w)
    torch.testing.assert_close(group.transform_images(sequence, elements)[:, 0], expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("make", [lambda g: g.regular, lambda g: g.image, lambda g: g.vector, mixed, induced])
@pytest.mark.parametrize("group", [*SOME, Cyclic(8), Dihedral(3), *SUBGROUPS, *OWN], ids=repr)
def test_each_field_moves_as_by_itself(group, make):
    kind, elements = 2 * make(group), elements_of(group)
    x = torch.rand(len(elements), *kind.shape, 4, 4, dtype=torch.float64)
    expected = torch.cat([kind.transform(x[i : i + 1], int(g)) for i, g in enumerate(elements)])
    torch.testing.assert_close(kind.transform_each(x, elements), expected, rtol=1e-13, atol=1e-13)


def test_what_only_permutes_is_exact():
    kind = 2 * (HueShift(3) * P4M()).regular
    elements = np.arange(24)
    x = torch.randn(24, *kind.shape, 3, 3)
    expected = torch.cat([kind.transform(x[i : i + 1], i) for i in elements])
    assert torch.equal(kind.transform_each(x, elements), expected)
    places = torch.from_numpy(kind.sources(elements, 3, 3))
    assert torch.equal(x.flatten(2).gather(2, places[:, None].expand(-1, 2, -1)).view_as(x), expected)
    assert (2 * P4().irrep(1)).sources(np.array([1]), 3, 3) is None
    assert (2 * Cyclic(8).regular).sources(np.array([1, 2]), 3, 3) is None
    assert (2 * Cyclic(8).regular).sources(np.array([0, 2]), 3, 3) is not None
    assert (1 * Inverted().image).sources(np.array([1]), 3, 3) is None
    turned = (1 * P4().trivial).sources(np.array([1]), 2, 2)[0]
    assert turned.tolist() == torch.rot90(torch.arange(4).view(2, 2), 1).flatten().tolist()


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "nearest"])
def test_turns_on_and_off_the_grid_in_one_batch(interpolation):
    """Elements on the grid are exact whatever interpolates the others."""
    images, elements = torch.rand(8, 2, 6, 6), np.array([3, 0, 5, 2, 1, 6, 4, 7])
    found = Cyclic(8).transform_images(images, elements, interpolation=interpolation)
    for x, y, g in zip(images, found, elements, strict=True):
        if g % 2 == 0:
            assert torch.equal(y, torch.rot90(x, g // 2, (-2, -1)))
        elif interpolation == "bicubic":
            assert torch.equal(y, Cyclic(8).transform_image(x, int(g)))
        else:
            assert not torch.allclose(y, Cyclic(8).transform_image(x, int(g)), atol=1e-3)
            assert torch.equal(y, move_planes(x[None], Cyclic(8).plane[[g]], interpolation)[0])
    if interpolation == "nearest":
        assert np.isin(found[0].numpy(), [0, *images[0].flatten().tolist()]).all()


def test_images_that_are_not_square():
    images = torch.rand(2, 3, 4, 6)
    for group in (Dihedral(2), Flip(), HueShift(3) * Cyclic(2)):
        moved = group.transform_images(images, [1, group.order - 1])
        assert torch.equal(moved[0], group.transform_image(images[0], 1))
    assert torch.equal(P4().transform_images(images, [2, 0])[0], torch.rot90(images[0], 2, (-2, -1)))
    smooth = SO2(1).transform_images(images, [1, 5])
    torch.testing.assert_close(smooth[1], SO2(1).transform_image(images[1], 5))
    for group in (P4(), P4M(), HueShift(3) * P4(), Flip(np.pi / 4)):
        with pytest.raises(ShapeError, match="need square images; these are 4x6"):
            group.transform_images(images, [0, 1])
    with pytest.raises(ShapeError, match="need square images"):
        (2 * P4().regular).transform_each(torch.rand(1, 2, 4, 4, 6), [1])


@pytest.mark.parametrize("elements", [[0], [0, 1, 2], [0, 4], [-1, 0], [0.0, 1.0], [True, False], [[0, 1]], None, 1])
def test_elements_that_do_not_fit_the_batch(elements):
    groups = (P4(), (P4M() * HueShift(3)).subgroup([3]), Inverted() * Cyclic(2))
    for group in groups:
        with pytest.raises(GroupError, match=r"a batch of 2 is moved by as many elements of .*, integers 0 \.\."):
            group.transform_images(torch.rand(2, 3, 4, 4), elements)
    with pytest.raises(GroupError, match="a batch of 2 is moved by as many"):
        (2 * P4().regular).transform_each(torch.rand(2, 2, 4, 3, 3), elements)


def test_batches_that_are_none():
    for group in (P4(), P4() * HueShift(3), P4M().subgroup([1]), Inverted()):
        with pytest.raises(ShapeError, match=r"shape \(B, ..., C, H, W\); got \(3, 4, 4\): x\[None\]"):
            group.transform_images(torch.rand(3, 4, 4), [0, 1, 1])
        with pytest.raises(ShapeError, match="interpolation is one of bicubic, bilinear, nearest; got 'cubic'"):
            group.transform_images(torch.rand(1, 3, 4, 4), [1], interpolation="cubic")
        assert group.transform_images(torch.rand(0, 3, 4, 4), np.zeros(0, int)).shape == (0, 3, 4, 4)
    for rep in (P4().regular, P4().irrep(1), P4().image):
        assert (2 * rep).transform_each(torch.rand(0, *(2 * rep).shape, 4, 4), np.zeros(0, int)).shape[0] == 0
    with pytest.raises(ShapeError, match="C, H, W"):
        P4().transform_images(torch.rand(4, 4), [0])
    with pytest.raises(ShapeError, match=r"3, H, W"):
        HueShift(3).transform_images(torch.rand(2, 1, 4, 4), [0, 1])
    with pytest.raises(ShapeError, match="floating-point"):
        HueShift(3).transform_images(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), [1])
    with pytest.raises(ShapeError, match="interpolation is one of"):
        (1 * P4().regular).transform_each(torch.rand(1, 1, 4, 3, 3), [0], interpolation="area")
    with pytest.raises(ShapeError, match="fields of type"):
        (2 * P4().regular).transform_each(torch.rand(2, 8, 4, 4), [0, 1])
    whole = torch.arange(16).view(1, 1, 4, 4)
    assert torch.equal(P4().transform_images(whole, [1]), torch.rot90(whole, 1, (-2, -1)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_type_of_the_numbers_stays(dtype):
    group = HueShift(3) * Cyclic(8)
    assert group.transform_images(torch.rand(3, 3, 4, 4).to(dtype), [1, 8, 11]).dtype == dtype
    for rep in (group.regular, group.image, group.irreps[-1]):
        x = torch.rand(3, *(2 * rep).shape, 4, 4).to(dtype)
        assert (2 * rep).transform_each(x, [1, 8, 11]).dtype == dtype


def test_pixels_that_come_from_within():
    """Against where the move sends an image of ones: whatever is touched by zeros from outside is not within."""
    planes = np.concatenate([Cyclic(8).plane, Dihedral(6).plane])
    for side in (2, 3, 6, 9):
        valid = inside(planes, side, side, 1.0)
        for plane, mask in zip(planes, valid, strict=True):
            ones = move_plane(torch.ones(side, side, dtype=torch.float64), plane).numpy()
            assert (abs(ones[mask] - 1) < 1e-9).all()
    assert inside(P4M().plane, 4, 4, 1.0).all()
    assert inside(Cyclic(8).plane, 1, 1, 1.0).all()
    assert not inside(Cyclic(8).plane[[1]], 2, 2, 1.0).any()
    assert 0.3 < inside(Cyclic(8).plane[[1]], 15, 15, 1.0).mean() < 0.8
    assert inside(Dihedral(2).plane, 3, 5, 1.0).all()


SMALLER = [  # the group of a type, another group, and the same one as elements within
    (P4M(), P4()),
    (HueShift(3) * P4M(), P4M()),
    (HueShift(3) * P4M(), HueShift(3)),
    (HueShift(6), HueShift(3)),
    (SO2(2), Cyclic(8)),
    (SO2(2), Cyclic(5)),
    (O2(1), Dihedral(5)),
]


@pytest.mark.parametrize(("group", "other"), SMALLER, ids=repr)
def test_a_type_under_a_subgroup_is_the_restricted_one(group, other):
    for rep in (group.trivial, group.regular, group.image, group.vector, group.irreps[-1]):
        found, expected = rep.under(other), rep.restrict(other)
        assert found.group == other
        np.testing.assert_allclose(found.rho, expected.rho, atol=1e-12)
        assert found == expected


@pytest.mark.parametrize(
    ("group", "other"),
    [*SMALLER, (P4(), HueShift(3) * P4()), (HueShift(3), P4M()), (P4M(), Cyclic(2) * HueShift(3)), (Trivial(), P4())],
    ids=repr,
)
def test_a_type_under_another_group_is_a_representation(group, other):
    for rep in (group.trivial, group.regular, group.image, mixed(group)):
        found = rep.under(other)
        assert (found.group, found.dim, found.flat) == (other, rep.dim, rep.flat)
        for a in other.generators:
            np.testing.assert_allclose(found.rho[other.table[a]], found.rho[a] @ found.rho, atol=1e-12)
        if rep.sizes != (rep.dim,):
            assert found.sizes == rep.sizes


def test_elements_move_a_type_as_those_that_act_alike():
    group, other = P4(), HueShift(3) * P4()
    rho = group.regular.under(other).rho.reshape(3, 4, 4, 4)
    assert all(np.array_equal(rho[hue], group.regular.rho) for hue in range(3))
    swapped = P4() * HueShift(3)
    assert np.array_equal(other.image.under(swapped).rho, swapped.color)
    assert np.array_equal(HueShift(3).regular.under(P4()).rho, np.tile(np.eye(3), (4, 1, 1)))
    kind = 5 * P4M().regular
    assert kind.under(P4M()) is kind
    assert kind.under(P4()).shape == kind.shape
    assert (Inverted() * P4()).regular.under(P4M().subgroup([1])).group.order == 4
    assert (2 * P4().trivial).under(Cyclic(8)) == 2 * Cyclic(8).trivial
    for a, b, reason in (
        (P4(), Cyclic(8), "no element of"),
        (P4(), P4M(), "no element of"),
        (HueShift(3), HueShift(4), "no element of"),
    ):
        with pytest.raises(GroupError, match=reason):
            a.regular.under(b)
