"""What conversions are made of: widths that have to be equal, and pooling from all sides."""

import pytest
import torch
from torch.nn import functional as F

from equiconv.converting import SymmetricMean, SymmetricPool, Windows
from equiconv.converting.widths import Piece, Widths, best_widths, cut, divide, fix, open_pieces, tie
from equiconv.errors import ExactnessError, FieldTypeError
from equiconv.groups import P4, SO2
from equiconv.layers import GroupConv2d
from equiconv.models.residual import Halving
from equiconv.testing import assert_equivariant, equivariance_error


def test_widths_that_have_to_be_equal():
    a, b, c = Piece(4), Piece(8), Piece(12)
    tie((a, b), (c,))
    first, rest = cut((c,), [6, 6])
    divide(first, 2)
    widths = Widths(0.6)
    assert widths((a, b)) == widths((c,)) == widths(first) + widths(rest)
    assert sum(piece.size for piece in open_pieces((c,))) == 12
    assert all(widths((piece,)) % 2 == 0 for piece in open_pieces(first))
    fix((b,))
    assert widths((b,)) == 8
    loose = Piece(12)
    assert widths((loose,)) != widths((c,))  # what is not tied differs


def test_the_nearest_widths_are_found():
    pieces = tuple(Piece(size) for size in (4, 8, 8, 16))
    total = lambda widths: sum(widths((piece,)) ** 2 for piece in pieces)  # noqa: E731
    for target in (100, 233, 400, 1000):
        found = best_widths(pieces, total, target)
        others = [total(Widths(scale / 500)) for scale in range(1, 2000)]
        assert abs(total(found) - target) <= min(abs(other - target) for other in others)


@pytest.mark.parametrize("mode", ["max", "mean"])
@pytest.mark.parametrize("size", [7, 8, 10, 11])
def test_pooling_from_all_sides(size, mode):
    kind = 2 * P4().regular
    windows = Windows((3, 3), (2, 2), (1, 1), count_padding=False)
    pool = SymmetricPool(kind, windows, mode=mode)
    assert_equivariant(pool, size=(size, size))
    x = torch.randn(1, 2, 4, size, size)
    assert torch.equal(pool(x), Halving(kind, mode)(x))
    stock = SymmetricPool(kind, windows, mode=mode, exact=False)
    assert stock(x).shape == pool(x).shape
    assert (equivariance_error(stock, size=(size, size)) < 1e-10) == (size % 2 == 1)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 3, 0), (5, 4, 2), (2, 3, 0)])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_as_many_windows_as_in_pytorch(kernel, stride, padding, ceil_mode):
    windows = Windows((kernel,) * 2, (stride,) * 2, (padding,) * 2, ceil_mode=ceil_mode)
    pool = SymmetricPool(P4().regular, windows)
    for size in range(5, 15):
        x = torch.randn(1, 1, 4, size, size)
        assert pool(x).shape[-2:] == F.max_pool2d(x[0], kernel, stride, padding, ceil_mode=ceil_mode).shape[-2:]
        assert_equivariant(pool, size=(size, size))


def test_the_mean_in_the_place_of_a_stride():
    for kernel, padding in ((3, 1), (7, 3), (3, 0), (1, 0), (4, 1)):
        edge = kernel - 1 - 2 * padding
        mean = SymmetricMean(P4().regular, (2, 2), edge=(edge, edge))
        conv = GroupConv2d(P4().regular, P4().regular, kernel, padding=padding)
        for size in (9, 10, 13):
            assert_equivariant(mean, size=(size, size))
            x = torch.randn(1, 1, 4, size, size)
            assert (
                conv(mean(x)).shape[-1] == F.conv2d(x[0], torch.ones(4, 4, kernel, kernel), None, 2, padding).shape[-1]
            )


def test_refused_pooling():
    with pytest.raises(ExactnessError, match="kernel"):
        SymmetricPool(P4().regular, Windows((2, 3), (2, 2)))
    with pytest.raises(FieldTypeError, match="mean"):
        SymmetricPool(1 * SO2().regular, Windows((2, 2), (2, 2)))
    with pytest.raises(FieldTypeError, match="mode"):
        SymmetricPool(P4().regular, Windows((2, 2), (2, 2)), mode="median")
    with pytest.raises(ExactnessError, match="stride"):
        SymmetricMean(P4().regular, (1, 2))
