"""Kernel sizes, strides and padding: what is symmetric passes, what is not is refused."""

import pytest
import torch
from torch.nn import functional as F

from equiconv.errors import ExactnessError, ShapeError
from equiconv.groups import P4, P4M, Cyclic, Dihedral, Flip, HueShift, Trivial
from equiconv.layers import (
    GroupConv2d,
)
from equiconv.testing import assert_equivariant, equivariance_error

P4_TYPES = (2 * P4().regular, 4 * P4().regular)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("group", [P4(), P4M(), Flip(), HueShift(3) * P4M()], ids=repr)
def test_kernel_sizes(group, size):
    assert_equivariant(GroupConv2d(group.image, 2 * group.regular, size), size=(8, 9))


@pytest.mark.parametrize(
    "group", [Flip(), Flip(0), Cyclic(2), Dihedral(2), HueShift(3), HueShift(3) * Flip()], ids=repr
)
def test_rectangular_kernels(group):
    conv = GroupConv2d(group.regular, 2 * group.regular, (2, 5), padding=(1, 2), dilation=(1, 2), stride=(2, 1))
    assert_equivariant(conv, size=(8, 10))


@pytest.mark.parametrize("group", [P4(), P4M(), Flip(0.7853981633974483), HueShift(3) * P4()], ids=repr)
def test_rectangular_kernels_that_do_not_fit(group):
    with pytest.raises(ShapeError, match="square window"):
        GroupConv2d(group.image, 2 * group.regular, (3, 5))


def test_strides_that_do_not_fit_are_refused():
    conv = GroupConv2d(P4().image, 2 * P4().regular, 3, stride=2, padding=1)
    assert_equivariant(conv, size=(9, 13))
    with pytest.raises(ExactnessError, match=r"8x8 image leaves 1 rows and 1 columns.*exact=False"):
        conv(torch.zeros(1, 3, 8, 8))
    assert_equivariant(GroupConv2d(P4().image, 2 * P4().regular, 4, stride=2, padding=1), size=(8, 12))
    loose = GroupConv2d(P4().image, 2 * P4().regular, 3, stride=2, padding=1, exact=False)
    assert loose(torch.zeros(1, 3, 8, 8)).shape == (1, 2, 4, 4, 4)
    assert equivariance_error(loose, size=(8, 8)) > 0.1


def test_only_the_axis_that_is_reversed_counts():
    conv = GroupConv2d(Flip().image, 2 * Flip().regular, 3, stride=2, padding=1)
    assert_equivariant(conv, size=(8, 9))
    with pytest.raises(ExactnessError):
        conv(torch.zeros(1, 3, 9, 8))
    diagonal = Flip(0.7853981633974483)  # exchanges the axes in reverse
    with pytest.raises(ExactnessError):
        GroupConv2d(diagonal.image, 2 * diagonal.regular, 3, stride=2, padding=1)(torch.zeros(1, 3, 8, 8))
    other = Flip(-0.7853981633974483)  # exchanges the axes as they are: nothing is reversed
    assert_equivariant(GroupConv2d(other.image, 2 * other.regular, 3, stride=2, padding=1), size=(8, 8))
    for group in (Trivial(), HueShift(3)):
        assert_equivariant(GroupConv2d(group.image, 2 * group.regular, 3, stride=2, padding=1), size=(8, 8))


def test_same_padding():
    for kernel, dilation in ((3, 1), (5, 2), ((3, 7), 1)):
        conv = GroupConv2d(Flip().image, 2 * Flip().regular, kernel, padding="same", dilation=dilation)
        assert conv(torch.zeros(1, 3, 8, 9)).shape[-2:] == (8, 9)
        assert_equivariant(conv, size=(8, 9))
    with pytest.raises(ExactnessError, match="even kernel"):
        GroupConv2d(P4().image, 2 * P4().regular, 4, padding="same")
    even = GroupConv2d(Trivial().image, 2 * Trivial().regular, 4, padding="same")
    x = torch.randn(1, 3, 7, 7)
    plain = F.conv2d(F.pad(x, (1, 2, 1, 2)), even.kernel(), even.expanded_bias())
    torch.testing.assert_close(even(x)[:, :, 0], plain)


@pytest.mark.parametrize("name", ["stride", "padding", "dilation"])
def test_quarter_turns_need_equal_settings(name):
    with pytest.raises(ExactnessError, match=f"{name} must be the same"):
        GroupConv2d(*P4_TYPES, 3, **{name: (1, 2)})
    GroupConv2d(*P4_TYPES, 3, **{name: (1, 2)}, exact=False)
    GroupConv2d(2 * Flip().regular, 2 * Flip().regular, 3, **{name: (1, 2)})
