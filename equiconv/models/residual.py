"""What residual networks are made of: their blocks, and the layer that halves the maps from all sides."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from equiconv.bases import Basis
from equiconv.groups import FieldType, Group
from equiconv.layers import GroupConv2d, SpatialPool
from equiconv.layers.layer import FieldLayer
from equiconv.models.architecture import STEMS, Architecture
from equiconv.models.blocks import activation, normalization


class Halving(FieldLayer):
    """Halve the maps by windows that lie symmetrically on every size: of 2 pixels if it is even, of 3 if it is odd.

    Equivariance:
        ``halve(in_type.transform(x, g)) == in_type.transform(halve(x), g)``: exact for groups that keep the pixel grid
        and every image size.

    Args:
        in_type: any field type for ``"mean"``; fields of permutation representations for ``"max"``.
        mode: ``"mean"`` or ``"max"``.

    Shapes:
        Output: H' = (H + 1) // 2, as of a 3x3 convolution with stride 2 and padding 1.
    """

    def __init__(self, in_type: FieldType, mode: str = "mean") -> None:
        super().__init__(in_type, in_type)
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        """Pool a tensor of ``in_type``; return a tensor of the same type."""
        flat = self.in_type.flatten(x)  # (b, n*d, h, w)
        odd = (flat.shape[-2] % 2, flat.shape[-1] % 2)
        pool = F.max_pool2d if self.mode == "max" else partial(F.avg_pool2d, count_include_pad=False)
        return self.out_type.unflatten(pool(flat, (2 + odd[0], 2 + odd[1]), 2, odd))

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.in_type!r}, mode={self.mode!r}"


class Maker:
    """Make the convolutions of a network, and what halves its maps.

    Args:
        basis: what kernels are made of.
        exact: halve the maps of groups that move the plane by ``Halving``; else every convolution keeps its stride.
    """

    def __init__(self, basis: Basis, exact: bool) -> None:
        self.basis, self.exact = basis, exact

    def strides(self, group: Group) -> bool:
        """Tell whether convolutions on the group have the strides, and nothing else halves the maps."""
        return not (self.exact and group.moves_plane)

    def conv(
        self,
        in_type: FieldType,
        out_type: FieldType,
        side: int,
        *,
        stride: int = 1,
        padding: int | None = None,
        factorization: str | None = None,
    ) -> GroupConv2d:
        """Return a convolution; one of 3x3 pixels is 5x5 on a group that does not keep the pixel grid."""
        side = 5 if side == 3 and not in_type.group.keeps_grid else side
        return GroupConv2d(
            in_type,
            out_type,
            side,
            stride=stride,
            padding=side // 2 if padding is None else padding,
            bias=False,
            factorization=factorization,
            basis=self.basis,
            exact=self.exact,
        )

    def stem(self, in_type: FieldType, out_type: FieldType, architecture: Architecture) -> Iterator[nn.Module]:
        """Yield the layers in front of the first stage."""
        side, padding = STEMS[architecture.stem], architecture.stem_padding
        large, strides = architecture.stem == "large", self.strides(in_type.group)
        yield self.conv(in_type, out_type, side, stride=2 if large and strides else 1, padding=padding)
        if large:
            yield nn.Identity() if strides else Halving(out_type)  # either way parameters have the same names
        if not architecture.preactivation:
            yield from (normalization(out_type), activation(out_type))
        if large:
            mode = "max" if out_type.representation.is_permutation else "mean"
            published = partial(SpatialPool, kernel_size=3, stride=2, padding=1, exact=self.exact)
            yield published(out_type, mode=mode) if strides else Halving(out_type, mode)


class ResidualBlock(nn.Module):
    """Add convolutions to a shortcut, which is a 1x1 convolution and batch norm where they change the type or the size.

    Args:
        in_type: of what comes in.
        types: behind each convolution.
        maker: what makes the convolutions.
        architecture: says which convolutions, and where the activations are.
        factorization: of the convolutions, but not of the shortcut.
        halves: halve the maps.
        pooling: layers in front of the block, such as pooling over a part of the group.
    """

    def __init__(
        self,
        in_type: FieldType,
        types: Sequence[FieldType],
        *,
        maker: Maker,
        architecture: Architecture,
        factorization: str | None,
        halves: bool = False,
        pooling: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__()
        out_type = types[-1]
        strided = halves and maker.strides(out_type.group)
        self.enter = nn.Sequential(*pooling, *([Halving(in_type)] if halves and not strided else []))
        sides = (1, 3, 1) if architecture.bottleneck else (3, 3)
        steps = [2 if strided and place == sides.index(3) else 1 for place in range(len(sides))]
        make = partial(maker.conv, factorization=factorization)
        units = zip(pairwise([in_type, *types]), sides, steps, strict=True)
        convs = [make(before, after, side, stride=step) for (before, after), side, step in units]
        self.convs = nn.Sequential(*_in_order(convs, architecture.preactivation))
        same = in_type == out_type and not halves
        shortcut = None if same else maker.conv(in_type, out_type, 1, stride=2 if strided else 1)
        self.shortcut = nn.Identity() if shortcut is None else nn.Sequential(shortcut, normalization(out_type))
        self.last = nn.Identity() if architecture.preactivation else activation(out_type)

    def forward(self, x: Tensor) -> Tensor:
        """Return fields of the last type of fields of ``in_type``, or of those that ``pooling`` makes it of."""
        x = self.enter(x)
        return self.last(self.convs(x) + self.shortcut(x))


def _in_order(convs: Sequence[GroupConv2d], preactivation: bool) -> Iterator[nn.Module]:
    """Yield the convolutions with batch norm and activation before each, or behind each but the last activation."""
    for place, conv in enumerate(convs):
        if preactivation:
            yield from (normalization(conv.in_type), activation(conv.in_type), conv)
        else:
            yield from (conv, normalization(conv.out_type))
            if place + 1 < len(convs):
                yield activation(conv.out_type)
