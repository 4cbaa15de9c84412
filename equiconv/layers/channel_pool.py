"""Pooling over groups of the channels of ordinary feature maps."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from equiconv.errors import FieldTypeError, ShapeError
from equiconv.groups.values import integer
from equiconv.layers.layer import in_format_of
from equiconv.recorded import Recorded

__all__ = ["ChannelMaxPool"]


class ChannelMaxPool(Recorded):
    """Take the maximum over groups of consecutive channels of an ordinary feature map.

    A network with this pooling is taught, by a loss on its maps, that each group of K channels holds one feature in K
    poses, such as four quarter turns. A transform of the image then moves the plane, and permutes the channels within
    the groups; the maxima are invariant channels, which move with the plane only. Fields of equiconv, whose axis of the
    group is known, are pooled by ``GroupPool``.

    Equivariance:
        None by construction: nothing in the layer makes the channels move so, and how far it is true of a network is to
        be measured.

    Args:
        orders: K, for groups of K channels, the first of which are the channels 0 to K - 1; or several orders: the
            channels are divided into as many consecutive parts, and the i-th one has groups of ``orders[i]`` channels.
            In a part of order 1 each channel is to be invariant by itself.
        ratio: the sizes of the parts in proportion, an integer for each order. By default they are such that the pooled
            channels of a part are half of those of the part before, and those of the last two parts are as many: 8:2:1
            for ``(4, 2, 1)`` and ``(8, 4, 2)``, 32:8:2:1 for ``(8, 4, 2, 1)``.

    Attributes:
        orders: a tuple, also of one order.
        ratio: the same, in lowest terms.
        multiple: the least number of channels that can be divided so; its multiples are the others.

    Shapes:
        Input: ``(B, C, H, W)``, C a multiple of ``multiple``. Output: ``(B, out_channels(C), H, W)``, the parts in
        their order.

    The gradient goes to the largest channel of a group; if several are as large, each has an equal part of it.

    Raises:
        FieldTypeError: if the orders or the ratio are not integers >= 1, or not as many.
        ShapeError: in ``forward``, if the map has other axes, or a number of channels that cannot be divided so.

    Example:
        >>> ChannelMaxPool(4).out_channels(128)
        32
        >>> pool = ChannelMaxPool((4, 2, 1))
        >>> pool.ratio, pool.multiple, pool.out_channels(88)
        ((8, 2, 1), 11, 32)

    Source:
        Khetan, Arora, Rehman and Gupta, Implicit Equivariance in Convolutional Networks (2021).
    """

    def __init__(self, orders: int | Sequence[int], *, ratio: Sequence[int] | None = None) -> None:
        super().__init__()
        self.orders = _integers("orders", orders)
        parts = _default_ratio(self.orders) if ratio is None else _integers("ratio", ratio)
        if len(parts) != len(self.orders):
            raise FieldTypeError(
                f"ChannelMaxPool: ratio has one number for each of the orders {self.orders}; got {ratio}"
            )
        self.ratio = tuple(part // math.gcd(*parts) for part in parts)
        unit = math.lcm(*(order // math.gcd(order, part) for order, part in zip(self.orders, self.ratio, strict=True)))
        self.multiple = unit * sum(self.ratio)

    def partitions(self, channels: int) -> tuple[int, ...]:
        """Return the number of channels of each part, before pooling.

        Args:
            channels: all of them.

        Raises:
            ShapeError: if they cannot be divided so.
        """
        if channels < 1 or channels % self.multiple:
            near = nearest_multiples(self.multiple, channels)
            raise ShapeError(f"{self}: {near} channels work, multiples of {self.multiple}; got {channels}")
        return tuple(part * channels // sum(self.ratio) for part in self.ratio)

    def out_channels(self, channels: int) -> int:
        """Return the number of channels after pooling.

        Args:
            channels: those before.

        Raises:
            ShapeError: if they cannot be divided so.
        """
        return sum(part // order for part, order in zip(self.partitions(channels), self.orders, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """Pool a map ``(B, C, H, W)``."""
        if x.dim() != 4:
            raise ShapeError(
                f"{self} pools maps (B, C, H, W); got the shape {tuple(x.shape)}: fields of equiconv have GroupPool"
            )
        parts = x.split(self.partitions(x.shape[1]), 1)
        pooled = [_pooled(part, order) for part, order in zip(parts, self.orders, strict=True)]
        return in_format_of(torch.cat(pooled, 1), x)

    def extra_repr(self) -> str:
        """Return the arguments that rebuild it."""
        return str(self.orders[0]) if len(self.orders) == 1 else f"{self.orders}, ratio={self.ratio}"


def nearest_multiples(multiple: int, number: int) -> str:
    """Return those next to a number that is none, for an error to tell: ``"88 or 99"``."""
    below = max(0, number) // multiple * multiple
    return " or ".join(str(each) for each in (below, below + multiple) if each)


def _pooled(part: Tensor, order: int) -> Tensor:
    return part.unflatten(1, (part.shape[1] // order, order)).amax(2)  # (b, n, order, h, w) -> (b, n, h, w)


def _default_ratio(orders: tuple[int, ...]) -> tuple[int, ...]:
    """Return parts whose pooled channels halve from one to the next, and are as many in the last two."""
    last = len(orders) - 1
    return tuple(order * 2 ** max(last - 1 - index, 0) for index, order in enumerate(orders))


def _integers(name: str, given: int | Sequence[int]) -> tuple[int, ...]:
    """Return integers >= 1, of one or several, or raise."""
    found = [integer(value) for value in (given if isinstance(given, Sequence) else [given])]
    values = tuple(value for value in found if value is not None and value >= 1)
    if not values or len(values) < len(found):
        raise FieldTypeError(f"ChannelMaxPool: {name} has integers >= 1, such as 4 or (4, 2, 1); got {given!r}")
    return values
