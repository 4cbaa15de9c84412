"""Groups within groups, named by generators or by a group."""

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_groups import rebuilt

from equiconv.errors import GroupError
from equiconv.groups import P4, P4M, Cyclic, Flip, HueShift, Trivial
from equiconv.testing import assert_group_laws


@given(st.lists(st.sampled_from(range(24)), max_size=3))
@settings(max_examples=60, deadline=None)
def test_subgroups_by_generators(generators):
    group = HueShift(3) * P4M()
    part = group.subgroup(generators)
    assert set(generators) <= set(part.elements)
    assert group.order % part.order == 0
    assert sorted(g for coset in part.cosets for g in coset) == list(range(24))
    assert [coset[0] for coset in part.cosets] == sorted(min(coset) for coset in part.cosets)
    for coset in part.cosets:
        assert {int(group.table[group.inverse[coset[0]], g]) for g in coset} == set(part.elements)
    conjugates = {group.table[group.table[g, h], group.inverse[g]] for g in range(24) for h in part.elements}
    assert part.is_normal == (conjugates == set(part.elements))
    assert_group_laws(part)
    assert rebuilt(part) == part == pickle.loads(pickle.dumps(part))


def test_subgroups_by_group():
    group = HueShift(3) * P4M()
    assert group.subgroup(HueShift(3)).elements == (0, 8, 16)
    assert group.subgroup(P4M()).elements == tuple(range(8))
    assert group.subgroup(P4()) == P4()
    assert P4M().subgroup([1]) == P4()
    assert P4M().subgroup(Flip()).elements == (0, 6)
    assert Cyclic(8).subgroup(P4()).elements == (0, 2, 4, 6)
    assert (P4() * Cyclic(2)).subgroup(Cyclic(2)).elements == (0, 1)
    assert group.subgroup(Trivial()).elements == (0,)
    assert (Cyclic(2) * P4() * HueShift(3)).subgroup(P4() * HueShift(3)).elements == tuple(range(12))
    assert (P4() * P4()).subgroup(P4() * P4()).order == 16
    assert not P4M().subgroup([4]).is_normal
    part = group.subgroup(P4())
    assert group.subgroup(part) is part


@pytest.mark.parametrize(
    ("parent", "which", "message"),
    [
        (P4(), HueShift(3), "no element"),
        (P4(), Cyclic(8), "no element"),
        (HueShift(3), HueShift(3) * HueShift(3), "does not multiply"),
        (HueShift(3) * HueShift(3), HueShift(3), "give generators"),
        (P4(), [4], "0 .. 3"),
        (P4(), [True], r"0 \.\. 3"),
        (P4(), 1, "list of elements"),
    ],
)
def test_subgroups_that_are_none(parent, which, message):
    with pytest.raises(GroupError, match=message):
        parent.subgroup(which)
