"""The checks reject every broken implementation, and accept what was changed back."""

import math

import numpy as np
import pytest
import torch
from zoo import BROKEN, hidden, unequal_padding, with_source
from zoo_layers import BROKEN_LAYERS

from equiconv.errors import FieldTypeError, GroupError
from equiconv.groups import P4, P4M, Group
from equiconv.groups.action import Action
from equiconv.groups.irreps import cyclic_table, rotations
from equiconv.layers import GroupConv2d
from equiconv.testing import assert_equivariant, assert_group_laws, equivariance_error

SIZES = {
    "stride_that_does_not_fit": (8, 8),
    "nearest_pixels_that_lie_halfway": (6, 6),
}


@pytest.mark.parametrize("make", [*BROKEN, *BROKEN_LAYERS], ids=lambda f: f.__name__)
def test_rejected(make):
    size = SIZES.get(make.__name__, (9, 9))
    module = make()
    with pytest.raises(AssertionError, match="not equivariant under element"):
        assert_equivariant(module, size=size)
    if make is not unequal_padding:  # whose outputs have another shape
        assert not equivariance_error(module, size=size) < 1e-3


def test_the_tampering_itself_is_not_what_is_rejected():
    assert_equivariant(with_source(hidden(), lambda source, group: source))


def test_the_reason_is_told():
    reasons = {"nan_outputs": "not finite", "zero_outputs": "zero, constant", "relu_on_irreps": "relative error"}
    for make in BROKEN:
        if make.__name__ in reasons:
            with pytest.raises(AssertionError, match=reasons[make.__name__]):
                assert_equivariant(make())


class Turned(Group):
    """C_4, turning the plane by multiples of ``turn`` quarter turns."""

    def __init__(self, turn: int):
        self.turn = turn
        super().__init__(cyclic_table(4), plane=rotations(turn * np.pi / 2 * np.arange(4)))

    @property
    def arguments(self):
        return (self.turn,)


def test_a_group_of_ones_own_is_tested_by_a_move_of_ones_own():
    def clockwise(x, g):
        return torch.rot90(x, -g, (-2, -1))

    group = Turned(-1)
    conv = GroupConv2d(group.image, 2 * group.regular, 3)
    assert_equivariant(conv, move=clockwise)
    assert_group_laws(group, move=clockwise)
    with pytest.raises(AssertionError):
        assert_equivariant(conv, move=lambda x, g: torch.rot90(x, g, (-2, -1)))
    with pytest.raises(AssertionError, match="moves an image"):
        assert_group_laws(group, move=lambda x, g: torch.rot90(x, g, (-2, -1)))
    with pytest.raises(GroupError, match="pass move="):
        assert_equivariant(conv)


def break_associativity(group):
    table = group.table.copy()
    table[[1, 2]] = table[[2, 1]]
    vars(group)["table"] = table


def break_plane(group):
    vars(group)["action"] = Action(group.plane.transpose(0, 2, 1), group.color, group.tone)


def break_irreps(group):
    group.__dict__["irreps"] = group.irreps[:-1]


def break_types(group):
    group.__dict__["irreps"] = (*group.irreps[:-1], group.irreps[0])


@pytest.mark.parametrize("tamper", [break_associativity, break_plane, break_irreps, break_types])
def test_group_laws_reject_a_tampered_group(tamper):
    group = P4M()
    assert_group_laws(group)
    tamper(group)
    with pytest.raises(AssertionError):
        assert_group_laws(group)


def test_types_must_be_known_and_of_one_group():
    with pytest.raises(FieldTypeError, match="does not know them"):
        assert_equivariant(torch.relu)
    with pytest.raises(FieldTypeError, match="one group"):
        assert_equivariant(torch.relu, P4().regular, P4M().regular)


def test_no_error_is_hidden_by_a_large_bias():
    conv = GroupConv2d(P4().image, 4 * P4().trivial, 3)
    bad = torch.nn.Conv2d(3, 4, 3)
    error = equivariance_error(lambda x: 1e6 + bad.double()(x), conv.in_type, conv.out_type)
    assert error > 0.1
    assert math.isfinite(error)
