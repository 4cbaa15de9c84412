"""The mirror lines of groups: which values they take, what is called after them."""

import math
import re

import numpy as np
import pytest

import equiconv.groups
from equiconv.bases import Pixels
from equiconv.errors import ExactnessError, GroupError
from equiconv.groups import Cyclic, Dihedral, Flip, HueShift
from equiconv.viz.elements import name

HINTS = [
    (Cyclic(4), Flip(0.3)),
    (Dihedral(2, math.pi / 8), Cyclic(4)),
    (Flip(), Cyclic(4)),
    (Cyclic(3), Flip()),
    (Cyclic(3), Flip(-math.pi / 8)),
    (Dihedral(4), Dihedral(6)),
    (Dihedral(3, 0.2), Dihedral(2, 0.2 + math.pi / 6)),
]


def held(group, matrices):
    """Tell, for each matrix, whether it moves the plane as an element of the group."""
    return [bool(np.isclose(group.plane, matrix, atol=1e-8).all((1, 2)).any()) for matrix in matrices]


@pytest.mark.parametrize(("a", "b"), HINTS)
def test_the_group_that_is_named_holds_both(a, b):
    with pytest.raises(GroupError, match="holds both") as error:
        a * b
    text = re.search(r"; (Dihedral\(.*\)) holds both", str(error.value))[1]
    group = eval(text, {"Dihedral": Dihedral, "pi": math.pi})
    both = np.concatenate([a.plane, b.plane])
    assert all(held(group, both))
    assert not all(held(Dihedral(group.n, group.axis + 0.1), both))
    smaller = [Dihedral(n, group.axis) for n in range(1, group.n)]
    assert not any(all(held(other, both)) for other in smaller)


def test_no_group_is_named_where_there_is_none():
    with pytest.raises(GroupError) as error:
        Flip(0.3) * Flip(0.5)
    assert "holds" not in str(error.value)


@pytest.mark.parametrize("make", [Flip, lambda axis: Dihedral(2, axis)])
def test_angles_are_numbers(make):
    for axis in (np.float32(0.5), np.float64(0.5), np.int64(1), 2, -3.0):
        group = make(axis)
        assert group == make(float(axis))
        assert type(group.axis) is float
        assert eval(repr(group), vars(equiconv.groups)) == group
    for axis in (True, np.True_, math.nan, math.inf, 1e308, 10**400, "0", None, 1j, np.zeros(1)):
        with pytest.raises(GroupError, match="finite angle"):
            make(axis)


def test_names_tell_the_line():
    assert name(Flip(), 1) == name(Dihedral(1), 1) == "mirrored"
    assert name(Flip(math.pi / 4), 1) == "mirrored at 45°"
    assert name(Dihedral(4, math.pi / 8), 5) == "mirrored at 22.5°, turn 90°"
    assert name(Dihedral(4), 5) == "mirrored, turn 90°"
    assert name(Flip(0.0) * HueShift(2), 3) == "mirrored at 0°, hue 180°"


def test_which_groups_keep_the_grid():
    for n in (1, 2, 4):
        assert Dihedral(n, math.pi / 4).keeps_grid
        assert not Dihedral(n, math.pi / 8).keeps_grid
    assert not Dihedral(8).keeps_grid
    with pytest.raises(ExactnessError, match=r"Dihedral\(n, k \* pi / 4\)"):
        Pixels((3, 3)).permutation(Dihedral(4, math.pi / 8))
