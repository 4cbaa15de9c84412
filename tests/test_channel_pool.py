"""Pooling over groups of channels."""

from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from torch import nn

from equiconv.errors import FieldTypeError, ShapeError
from equiconv.groups import P4
from equiconv.layers import ChannelMaxPool, GroupPool

PUBLISHED = {(4, 2, 1): (8, 2, 1), (8, 4, 2): (8, 2, 1), (8, 4, 2, 1): (32, 8, 2, 1)}
MADE = [  # orders, ratio, the least number of channels
    (4, None, 4),
    ((8,), None, 8),
    (1, None, 1),
    ((4, 2, 1), None, 11),
    ((8, 4, 2), None, 22),
    ((8, 4, 2, 1), None, 43),
    ((6, 3), None, 9),
    ((4, 2, 1), (1, 1, 1), 12),
    ((4, 2, 1), (16, 4, 2), 11),
    ((3, 4), (1, 2), 18),
]


def by_hand(x, orders, ratio):
    """Pool channel by channel."""
    unit, first, out = x.shape[1] // sum(ratio), 0, []
    for order, part in zip(orders, ratio, strict=True):
        for start in range(first, first + unit * part, order):
            largest = x[:, start]
            for channel in range(start + 1, start + order):
                largest = torch.maximum(largest, x[:, channel])
            out.append(largest)
        first += unit * part
    return torch.stack(out, 1)


@pytest.mark.parametrize(("orders", "ratio", "multiple"), MADE)
@pytest.mark.parametrize("times", [1, 3])
def test_channels_are_pooled_in_consecutive_groups(orders, ratio, multiple, times):
    pool = ChannelMaxPool(orders, ratio=ratio)
    assert pool.multiple == multiple
    x = torch.randn(2, times * multiple, 3, 4)
    expected = by_hand(x, pool.orders, pool.ratio)
    for layout in (torch.contiguous_format, torch.channels_last):
        assert torch.equal(pool(x.contiguous(memory_format=layout)), expected)
    assert expected.shape[1] == pool.out_channels(x.shape[1])
    assert sum(pool.partitions(x.shape[1])) == x.shape[1]


def test_groups_are_neither_strided_nor_counted_from_the_end():
    x = torch.randn(2, 44, 3, 3)
    assert not torch.equal(ChannelMaxPool(4)(x), x.unflatten(1, (4, -1)).amax(1))
    assert not torch.equal(ChannelMaxPool((4, 2, 1))(x), by_hand(x, (1, 2, 4), (1, 2, 8)))


def test_the_published_ratios_follow_from_one_rule():
    for orders, ratio in PUBLISHED.items():
        assert ChannelMaxPool(orders).ratio == ratio
    for orders in [*PUBLISHED, (5, 3), (9, 7, 2, 2, 1)]:
        pool = ChannelMaxPool(orders)
        pooled = [Fraction(part, order) for part, order in zip(pool.ratio, orders, strict=True)]
        assert all(a == 2 * b for a, b in pairwise(pooled[:-1]))
        assert pooled[-1] == pooled[-2]


def test_pooled_channels_move_only_with_the_plane():
    """What the pooling is for: a turn of the plane that permutes the channels of each group."""
    pool, x = ChannelMaxPool((4, 2, 1)), torch.randn(2, 22, 5, 5)
    fours, twos, ones = torch.rot90(x, 1, (-2, -1)).split(pool.partitions(22), 1)
    turned = torch.cat([roll(fours, 4), roll(twos, 2), ones], 1)
    assert torch.equal(pool(turned), torch.rot90(pool(x), 1, (-2, -1)))
    other = torch.cat([roll(fours, 8), roll(twos, 2), ones], 1)
    assert not torch.equal(pool(other), torch.rot90(pool(x), 1, (-2, -1)))


def test_of_flattened_regular_fields_it_is_the_group_pooling():
    fields = 3 * P4().regular
    x = torch.randn(2, *fields.shape, 5, 5)
    assert torch.equal(ChannelMaxPool(4)(x.flatten(1, 2)), GroupPool(fields)(x))


def roll(x, order):
    return x.unflatten(1, (-1, order)).roll(1, 2).flatten(1, 2)


def test_gradients_go_to_the_largest():
    x = torch.tensor([1.0, 3.0, 2.0, 2.0]).view(1, 4, 1, 1).requires_grad_()
    ChannelMaxPool(2)(x).sum().backward()
    assert x.grad.flatten().tolist() == [0, 1, 0.5, 0.5]
    double = torch.randn(1, 11, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(ChannelMaxPool((4, 2, 1)), double)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_dtype_and_an_empty_batch(dtype):
    pool = ChannelMaxPool((4, 2, 1))
    assert pool(torch.zeros(0, 11, 3, 3, dtype=dtype)).shape == (0, 4, 3, 3)
    assert pool(torch.zeros(1, 11, 3, 3, dtype=dtype)).dtype == dtype


def test_it_is_traced_whole():
    net = nn.Sequential(nn.Conv2d(3, 11, 1), ChannelMaxPool((4, 2, 1)))
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(torch.export.export(net, (x,)).module()(x), net(x))


def test_it_is_shown_by_what_rebuilds_it():
    for pool in (ChannelMaxPool(4), ChannelMaxPool((4, 2, 1), ratio=(2, 2, 2))):
        same = eval(repr(pool))
        assert (same.orders, same.ratio) == (pool.orders, pool.ratio)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ChannelMaxPool(0), FieldTypeError, "orders has integers >= 1, such as .*; got 0"),
        (lambda: ChannelMaxPool(()), FieldTypeError, r"got \(\)"),
        (lambda: ChannelMaxPool((4, -2)), FieldTypeError, r"got \(4, -2\)"),
        (lambda: ChannelMaxPool(True), FieldTypeError, "got True"),
        (lambda: ChannelMaxPool("421"), FieldTypeError, "got '421'"),
        (lambda: ChannelMaxPool(2.0), FieldTypeError, "got 2.0"),
        (lambda: ChannelMaxPool(4, ratio=0), FieldTypeError, "ratio has integers >= 1, .*; got 0"),
        (lambda: ChannelMaxPool(4, ratio=(1, 2)), FieldTypeError, r"each of the orders \(4,\); got \(1, 2\)"),
        (lambda: ChannelMaxPool((4, 2), ratio=(1, 0)), FieldTypeError, r"ratio .* got \(1, 0\)"),
        (
            lambda: ChannelMaxPool((4, 2, 1)).out_channels(90),
            ShapeError,
            "88 or 99 channels work, multiples of 11; .*90",
        ),
        (lambda: ChannelMaxPool(8).partitions(6), ShapeError, r"\(8\): 8 channels work, multiples of 8; got 6"),
        (lambda: ChannelMaxPool(4)(torch.zeros(2, 6, 3, 3)), ShapeError, "4 or 8 channels work"),
        (lambda: ChannelMaxPool(4)(torch.zeros(2, 8, 4, 3, 3)), ShapeError, r"\(2, 8, 4, 3, 3\): fields .* GroupPool"),
    ],
)
def test_mistakes_are_told(make, error, message):
    with pytest.raises(error, match=message):
        make()
