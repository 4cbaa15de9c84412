"""The ordinary residual network that is taught a symmetry, and pools groups of channels for it."""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from equiconv.layers import ChannelMaxPool
from equiconv.models.channel_pooled import ChannelPooled, Orders, check_counts, pooled_channels

__all__ = ["ChannelPooledResNet18"]

WIDTHS = {(4,): 136, (8,): 192, (4, 2, 1): 88, (8, 4, 2): 88, (8, 4, 2, 1): 129}
FACTORS = (1, 2, 4, 8)
STRIDES = (1, 2, 2, 2)
LAST_MOMENTUM = 0.9  # as published: the last statistics follow the latest batch


class ChannelPooledResNet18(ChannelPooled):
    """Classify images by eight ordinary residual blocks with preactivation, whose channels are pooled in the end.

    The network "ResNet18" of the experiments on turned TinyImageNet. A 3x3 stem with bias, without batch norm; four
    stages of two blocks, which have 1, 2, 4 and 8 times ``width`` channels and the strides 1, 2, 2 and 2; batch norm
    with the momentum 0.9, and ReLU. A block is batch norm, ReLU, conv, batch norm, ReLU, conv; its convolutions have a
    bias, the second one carries the stride, and where the shape changes the shortcut is a 1x1 convolution of what the
    first one sees. Maps of 65x65 images have the sides 65, 33, 17 and 9, so that strides are symmetric under quarter
    turns. The last map is pooled over groups of channels, then over the plane; the head is linear.

    Equivariance:
        None by construction, as of ``ChannelPooledCNN``.

    Args:
        orders: those of ``ChannelMaxPool``; 1 is the ordinary network, without pooling.
        width: the channels of the first stage, a multiple of ``pool.multiple``. None takes the published width of the
            orders: 136 for 4, 192 for 8, 88 for ``(4, 2, 1)`` and ``(8, 4, 2)``, and 129 for ``(8, 4, 2, 1)``.
        ratio: that of ``ChannelMaxPool``.
        in_channels: those of the images.
        classes: the number of classes.

    Attributes:
        taps: the names of the first three stages, whose outputs are sums of residuals as they are, and of the batch
            norm and ReLU that follow the last one.
        pool: the pooling of channels.

    No map is changed in place, so that any module can be listened to.

    Shapes:
        Input: ``(B, in_channels, H, W)``. Output: logits ``(B, classes)``.

    Raises:
        FieldTypeError: if the orders or the ratio are not integers >= 1, or the width is needed.
        ShapeError: if the width cannot be divided into the groups, or a number of channels or classes is not an integer
            >= 1.

    Example:
        >>> net = ChannelPooledResNet18(4, 16, classes=10)
        >>> net.taps
        ('features.stage1', 'features.stage2', 'features.stage3', 'features.last')

    Source:
        Khetan, Arora, Rehman and Gupta, Implicit Equivariance in Convolutional Networks (2021); after He et al.,
        Identity Mappings in Deep Residual Networks (ECCV 2016).
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
        channels = pooled_channels(pool, width, FACTORS, WIDTHS)
        check_counts(in_channels=in_channels, classes=classes)
        parts: OrderedDict[str, nn.Module] = OrderedDict(stem=nn.Conv2d(in_channels, channels[0], 3, padding=1))
        sides = pairwise([channels[0], *channels])
        for number, ((before, after), stride) in enumerate(zip(sides, STRIDES, strict=True), start=1):
            parts[f"stage{number}"] = nn.Sequential(_Block(before, after, stride), _Block(after, after, 1))
        parts["last"] = nn.Sequential(nn.BatchNorm2d(channels[-1], momentum=LAST_MOMENTUM), nn.ReLU())
        taps = tuple(f"features.{name}" for name in ("stage1", "stage2", "stage3", "last"))
        super().__init__(nn.Sequential(parts), pool, nn.Linear(pool.out_channels(channels[-1]), classes), taps)


class _Block(nn.Module):
    """Add to a map, or to a 1x1 convolution of it where the shape changes, what two convolutions make of it."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.BatchNorm2d(before), nn.ReLU())
        self.convs = nn.Sequential(
            nn.Conv2d(before, after, 3, padding=1),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, stride=stride, padding=1),
        )
        self.shortcut = None if stride == 1 and before == after else nn.Conv2d(before, after, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        activated = self.first(x)
        return self.convs(activated) + (x if self.shortcut is None else self.shortcut(activated))
