"""Ordinary networks that are taught a symmetry, and pool groups of channels for it: plain stacks of convolutions."""

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from fractions import Fraction

from torch import Tensor, nn

from equiconv.errors import FieldTypeError, ShapeError
from equiconv.groups.values import integer
from equiconv.layers import ChannelMaxPool
from equiconv.layers.channel_pool import nearest_multiples
from equiconv.recorded import Recorded

__all__ = ["ChannelPooled", "ChannelPooledCNN", "ChannelPooledVGG", "pooled_channels"]

Orders = int | Sequence[int]
Factor = int | Fraction

CNN_WIDTHS = {(4,): 128, (8,): 128, (4, 2, 1): 88, (8, 4, 2): 88, (8, 4, 2, 1): 86}
CNN_FACTORS = (1, Fraction(3, 2), 2, 2, 3, 4)
CNN_KERNELS = ((7, 1), (5, 2), (5, 2), (5, 2), (5, 2), (5, 0))  # and paddings
CNN_HIDDEN = 128
VGG_WIDTHS = {(4,): 144, (8,): 200, (4, 2, 1): 99, (8, 4, 2): 132, (8, 4, 2, 1): 129}
VGG_FACTORS = (1, 2, 4, 4, 8, 8, 8, 8)
VGG_KERNELS = ((3, 1), (2, 1), (3, 1), (2, 1), (3, 1), (3, 1), (2, 1), (3, 1))
VGG_HIDDEN = 1024
BIAS = 0.01


class ChannelPooled(Recorded):
    """Hold what these networks share: the last map, pooled over groups of channels and averaged, goes to the head.

    Args:
        features: what makes the last map.
        pool: of its channels.
        head: what makes logits of the pooled channels.
        taps: the modules whose outputs a loss on the maps sees, by their names in ``named_modules()``.
    """

    def __init__(self, features: nn.Module, pool: ChannelMaxPool, head: nn.Module, taps: tuple[str, ...]) -> None:
        super().__init__()
        self.features, self.pool, self.head = features, pool, head
        self.taps = taps

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``(B, classes)`` of images ``(B, in_channels, H, W)``."""
        return self.head(self.pool(self.features(x)).mean((-2, -1)))  # (b, n, h, w) -> (b, n) -> (b, classes)


class ChannelPooledCNN(ChannelPooled):
    """Classify small images by six ordinary convolutions with batch norm and ELU, whose channels are pooled in the end.

    The network "CNNBasic" of the experiments on turned digits. The layers have 1, 1.5, 2, 2, 3 and 4 times ``width``
    channels, kernels 7, 5, 5, 5, 5 and 5, and no bias; the plane is pooled by two after the second and the fourth. Maps
    of 28x28 images have the sides 24, 24, 12, 12, 6 and 2. The last one is pooled over groups of channels, then over
    the plane; the head is linear, batch norm, ELU, linear, with 128 channels in between.

    Equivariance:
        None by construction: a loss on the maps of ``taps``, each pooled by ``pool``, teaches it. The layers in between
        see all channels.

    Args:
        orders: those of ``ChannelMaxPool``: the channels that one feature has, such as 4 for quarter turns, or several
            orders; 1 is the ordinary network, without pooling.
        width: the channels of the first layer. All layers have to be pooled: multiples of twice ``pool.multiple`` work.
            None takes the published width of the orders, 128 for 4 and 8, 88 for ``(4, 2, 1)`` and ``(8, 4, 2)``, and
            86 for ``(8, 4, 2, 1)``, of which none is published.
        ratio: that of ``ChannelMaxPool``.
        in_channels: those of the images.
        classes: the number of classes.

    Attributes:
        taps: the names of the six layers; their outputs are those of ELU, before the plane is pooled.
        pool: the pooling of channels.

    No map is changed in place, so that any module can be listened to.

    Shapes:
        Input: ``(B, in_channels, H, W)``, H and W at least 24. Output: logits ``(B, classes)``.

    Initialization:
        As published: Xavier uniform; the biases of the head are 0.01.

    Raises:
        FieldTypeError: if the orders or the ratio are not integers >= 1, or the width is needed.
        ShapeError: if the width cannot be divided into the groups, or a number of channels or classes is not an integer
            >= 1.

    Example:
        >>> net = ChannelPooledCNN(4)
        >>> sum(p.numel() for p in net.parameters())
        10882186
        >>> net.taps[0], net.pool
        ('features.conv1', ChannelMaxPool(4))

    Source:
        Khetan, Arora, Rehman and Gupta, Implicit Equivariance in Convolutional Networks (2021).
    """

    def __init__(
        self,
        orders: Orders,
        width: int | None = None,
        *,
        ratio: Sequence[int] | None = None,
        in_channels: int = 1,
        classes: int = 10,
    ) -> None:
        pool = ChannelMaxPool(orders, ratio=ratio)
        channels = pooled_channels(pool, width, CNN_FACTORS, CNN_WIDTHS)
        check_counts(in_channels=in_channels, classes=classes)
        features, taps = _stack([in_channels, *channels], CNN_KERNELS, pooled=(2, 4))
        pooled = pool.out_channels(channels[-1])
        head = nn.Sequential(*_hidden(pooled, CNN_HIDDEN), nn.Linear(CNN_HIDDEN, classes))
        super().__init__(features, pool, head, taps)
        self.apply(_draw)


class ChannelPooledVGG(ChannelPooled):
    """Classify images by eight ordinary convolutions with batch norm and ELU, whose channels are pooled in the end.

    The network "VGG" of the experiments on turned TinyImageNet. The layers have 1, 2, 4, 4, 8, 8, 8 and 8 times
    ``width`` channels, and no bias; the plane is pooled by two after layers 1, 2, 4 and 6. As published, the kernels
    are 3, 2, 3, 2, 3, 3, 2 and 3, all with padding 1: those of two pixels enlarge the map by one. Maps of 64x64 images
    have the sides 64, 33, 16, 17, 8, 8, 5 and 5; where those of 33 and 17 are pooled, the last row and column are left
    out, so that turns of the image cannot become turns of all maps. The last one is pooled over groups of channels,
    then over the plane; the head is linear, batch norm, ELU, dropout, linear, with 1024 channels in between.

    Equivariance:
        None by construction, as of ``ChannelPooledCNN``.

    Args:
        orders: those of ``ChannelMaxPool``; 1 is the ordinary network, without pooling.
        width: the channels of the first layer, a multiple of ``pool.multiple``. None takes the published width of the
            orders: 144 for 4, 200 for 8, 99 for ``(4, 2, 1)``, 132 for ``(8, 4, 2)`` and 129 for ``(8, 4, 2, 1)``.
        ratio: that of ``ChannelMaxPool``.
        in_channels: those of the images.
        classes: the number of classes.

    Attributes:
        taps: the names of the eight layers; their outputs are those of ELU, before the plane is pooled.
        pool: the pooling of channels.

    No map is changed in place, so that any module can be listened to.

    Shapes:
        Input: ``(B, in_channels, H, W)``, H and W at least 10. Output: logits ``(B, classes)``.

    Raises:
        FieldTypeError: if the orders or the ratio are not integers >= 1, or the width is needed.
        ShapeError: if the width cannot be divided into the groups, or a number of channels or classes is not an integer
            >= 1.

    Example:
        >>> net = ChannelPooledVGG((8, 4, 2), 22, classes=10)
        >>> net.pool.out_channels(8 * 22)
        32

    Source:
        Khetan, Arora, Rehman and Gupta, Implicit Equivariance in Convolutional Networks (2021).
    """

    def __init__(
        self,
        orders: Orders,
        width: int | None = None,
        *,
        ratio: Sequence[int] | None = None,
        in_channels: int = 3,
        classes: int = 100,
    ) -> None:
        pool = ChannelMaxPool(orders, ratio=ratio)
        channels = pooled_channels(pool, width, VGG_FACTORS, VGG_WIDTHS)
        check_counts(in_channels=in_channels, classes=classes)
        features, taps = _stack([in_channels, *channels], VGG_KERNELS, pooled=(1, 2, 4, 6))
        pooled = pool.out_channels(channels[-1])
        head = nn.Sequential(*_hidden(pooled, VGG_HIDDEN), nn.Dropout(0.5), nn.Linear(VGG_HIDDEN, classes))
        super().__init__(features, pool, head, taps)


def pooled_channels(
    pool: ChannelMaxPool, width: int | None, factors: Sequence[Factor], published: Mapping[tuple[int, ...], int]
) -> tuple[int, ...]:
    """Return the channels of each layer, all of which can be pooled.

    Args:
        pool: the pooling of channels.
        width: what the factors multiply; None takes the published one.
        factors: of the layers.
        published: the width of some orders.

    Raises:
        FieldTypeError: if there is no width.
        ShapeError: if the channels of a layer cannot be pooled.
    """
    fractions = [Fraction(factor) for factor in factors]
    steps = [pool.multiple * each.denominator for each in fractions]
    multiple = math.lcm(
        *(step // math.gcd(step, each.numerator) for step, each in zip(steps, fractions, strict=True))
    )  # the least width for which all are multiples of that of the pooling
    chosen = published.get(pool.orders) if width is None else integer(width)
    if chosen is None and width is None:
        raise FieldTypeError(f"{pool} needs a width, for these orders have no usual one; multiples of {multiple} work")
    if chosen is None or chosen < 1 or chosen % multiple:
        near, got = nearest_multiples(multiple, chosen or 0), repr(width) if chosen is None else chosen
        raise ShapeError(
            f"{pool} pools the channels of all layers: the width can be {near}, multiples of {multiple}; got {got}"
        )
    return tuple(int(each * chosen) for each in fractions)


def check_counts(**counts: int) -> None:
    """Raise ShapeError unless numbers, by their names, are integers >= 1."""
    for name, count in counts.items():
        value = integer(count)
        if value is None or value < 1:
            raise ShapeError(f"{name} is an integer >= 1; got {count!r}")


def _stack(
    channels: Sequence[int], kernels: Sequence[tuple[int, int]], pooled: Sequence[int]
) -> tuple[nn.Sequential, tuple[str, ...]]:
    """Return layers with given channels, kernels and paddings, and their names; the plane is pooled after some."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (size, padding) in enumerate(kernels, start=1):
        before, after = channels[number - 1 : number + 1]
        conv = nn.Conv2d(before, after, size, padding=padding, bias=False)
        parts[f"conv{number}"] = nn.Sequential(conv, nn.BatchNorm2d(after), nn.ELU())
        if number in pooled:
            parts[f"pool{number}"] = nn.MaxPool2d(2)
    return nn.Sequential(parts), tuple(f"features.conv{number + 1}" for number in range(len(kernels)))


def _hidden(before: int, after: int) -> list[nn.Module]:
    return [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ELU()]


def _draw(module: nn.Module) -> None:
    """Draw convolutions and linear layers as published."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.constant_(module.bias, BIAS)
