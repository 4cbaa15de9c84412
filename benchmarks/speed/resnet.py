"""A residual network of basic blocks, for any group that leaves the plane alone."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from equiconv.groups import FieldType, Group
from equiconv.layers import GroupConv2d, GroupPool

__all__ = ["ResNet18"]


class BasicBlock(nn.Module):
    """Add two 3x3 convolutions to the input, or to a 1x1 convolution of it where the shape changes."""

    def __init__(self, in_type: FieldType, out_type: FieldType, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(*_unit(in_type, out_type, 3, stride), nn.ReLU())
        self.second = nn.Sequential(*_unit(out_type, out_type, 3, 1))
        same = stride == 1 and in_type == out_type
        self.shortcut = nn.Identity() if same else nn.Sequential(*_unit(in_type, out_type, 1, stride))

    def forward(self, x: Tensor) -> Tensor:
        """Return fields ``(B, n, d, H, W)`` of fields."""
        return F.relu(self.second(self.first(x)) + self.shortcut(x))


class ResNet18(nn.Module):
    """Classify small images by four stages of two basic blocks; each stage but the first halves the maps.

    The shape is that of ResNet-18 for small images: a 3x3 convolution first, no pooling after it.

    Args:
        group: moves colors at most, as ``HueShift(3)`` does.
        widths: the number of fields in each stage.
        classes: the number of classes.
    """

    def __init__(self, group: Group, widths: Sequence[int], classes: int = 10) -> None:
        super().__init__()
        types = [width * group.regular for width in widths]
        modules = [*_unit(1 * group.image, types[0], 3, 1), nn.ReLU()]
        for stage, (in_type, out_type) in enumerate(pairwise([types[0], *types])):
            modules += [BasicBlock(in_type, out_type, 2 if stage else 1), BasicBlock(out_type, out_type, 1)]
        self.features = nn.Sequential(*modules, GroupPool(types[-1]))
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``(B, classes)`` of images ``(B, 3, H, W)``."""
        return self.head(self.features(x).mean((-2, -1)))


def _unit(in_type: FieldType, out_type: FieldType, kernel: int, stride: int) -> Iterator[nn.Module]:
    yield GroupConv2d(in_type, out_type, kernel, stride=stride, padding=kernel // 2, bias=False)
    yield nn.BatchNorm3d(out_type.n)
