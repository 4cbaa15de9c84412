"""The wide residual network whose three stages are on three groups."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Self

from torch import Tensor, nn

from equiconv.bases import Basis
from equiconv.errors import FieldTypeError, ShapeError
from equiconv.groups import FieldType, Group
from equiconv.groups.values import integer, is_number
from equiconv.layers import FieldDropout, GroupConv2d
from equiconv.models.blocks import (
    activation,
    change_group,
    check_probability,
    draw_convolutions,
    dropped_colors,
    image_type,
    kept_group,
    normalization,
    one_group_each,
)
from equiconv.recorded import Recorded

__all__ = ["WideResNet"]

STAGES = 3
STEM = 16  # the width before the first stage; the stages have 1, 2 and 4 times this, times the widening
WIDEST = 1e3
KEPT = ("parameters", "channels")
LAST_MOMENTUM = 0.9  # as published: the last statistics follow the latest batch


class WideResNet(Recorded):
    """Classify images by a wide residual network: three stages, each on a group, the second and third at half size.

    The E(2)-steerable networks of the CIFAR and STL experiments for any groups: a 5x5 stem, then (depth - 4) / 6 blocks
    a stage of batch norm, ReLU, conv, batch norm, ReLU, dropout, conv. The last conv of the first block carries the
    stride; where the block changes the type its shortcut is a 1x1 conv of the normalized and rectified input. Kernels
    are 3x3, and 5x5 on groups that do not keep the pixel grid. The fields are functions on the group of their stage,
    until the last block maps to invariants; then batch norm, ReLU, the mean over the plane and a linear head.

    Equivariance:
        Exact on the pixel grid: the logits are invariant under every element of the last group, and of the factors that
        move colors and were pooled over: ``in_type`` and ``out_type`` name them. In training with dropout the law holds
        for the distribution. Other angles are approximate. Steps of two pixels are symmetric on images of 4 m + 1
        pixels, such as 33x33, or 8 m + 1 with ``stride=2``, such as 65x65 or 97x97; ExactnessError is raised for others
        unless ``exact=False``, and the published 32x32 and 96x96 are others.

    Args:
        groups: the group of each stage, ``[Dihedral(8), Dihedral(4), Flip()]``, every one a subgroup of the one before;
            or one group for all. Where a stage drops the colors of the one before, the fields are pooled over the
            factors that move them; else they go on as they are.
        depth: the number of layers, 6 m + 4 for m blocks a stage.
        widen: the factor on the widths 16, 32 and 64 of the stages.
        in_channels: 3 for RGB images, any other number for channels that no element moves.
        classes: the number of classes.
        stride: the steps of the first stage in pixels; 1 for CIFAR, 2 for STL.
        keep: the rule for the number of fields, n being the dimension of one: ``"parameters"``, width / sqrt(n), makes
            the parameters about as many as without symmetry; ``"channels"``, width / n, the channels. The stem always
            follows the first rule.
        dropout: the probability to drop an entry between the convolutions of a block; of fields whose entries are
            mixed, the whole field.
        basis: what the kernels are made of, as in ``GroupConv2d``. The published networks have ``Harmonics`` of the
            frequencies up to pi r on the ring of radius r, ``fading=False`` and ``decay=0``, with the widths of
            ``Harmonics.e2cnn``, on CIFAR 0.45.
        exact: refuse image sizes that lose equivariance; False lets them pass.

    Shapes:
        Input: ``(B, in_channels, H, W)``. Output: logits ``(B, classes)``.

    Initialization:
        That of ``GroupConv2d``. The published networks are delta-orthogonal, with a head without bias at first:
        ``net.initialize(delta_orthogonal_)``.

    Raises:
        GroupError: if there is no group, or one is not a subgroup of the one before.
        FieldTypeError: if the group moves colors and the images are not RGB, or if the widths, the rule or the
            probability are out of range.
        ShapeError: if the depth is not 6 m + 4, there are not three groups, or the stride is not an integer >= 1.
        ExactnessError: in ``forward``, if the image size would lose equivariance.

    Example:
        >>> from equiconv.groups import Dihedral, Flip
        >>> from equiconv.init import delta_orthogonal_
        >>> groups = [Dihedral(8), Dihedral(4), Flip()]
        >>> net = WideResNet(groups, 10, 1, stride=2).initialize(delta_orthogonal_)
        >>> sum(p.numel() for p in net.parameters())
        99070

    Source:
        Weiler and Cesa, General E(2)-Equivariant Steerable CNNs (NeurIPS 2019), section 3 and appendix H; after
        Zagoruyko and Komodakis, Wide Residual Networks (BMVC 2016).
    """

    def __init__(
        self,
        groups: Group | Sequence[Group],
        depth: int = 28,
        widen: float = 10,
        *,
        in_channels: int = 3,
        classes: int = 10,
        stride: int = 1,
        keep: str = "parameters",
        dropout: float = 0.3,
        basis: Basis = "auto",
        exact: bool = True,
    ) -> None:
        super().__init__()
        stages = one_group_each(groups, STAGES, "stage")
        blocks = _blocks(depth)
        _check_widths(widen, keep)
        check_probability(dropout)
        kept, image = kept_group(stages, dropped_colors), image_type(stages[0], in_channels)
        self.in_type, self.out_type = image.restrict(kept), classes * kept.trivial
        make = partial(GroupConv2d, bias=False, basis=basis, exact=exact)
        current = _fields(STEM, stages[0], "parameters") * stages[0].regular
        self.stem = make(image, current, 5, padding=2)
        parts: list[nn.Module] = []
        for number, group in enumerate(stages):
            width = STEM * 2**number * widen
            inner = _fields(width, group, keep) * group.regular
            for block in range(blocks):
                last = number + 1 == STAGES and block + 1 == blocks
                out_type = _invariants(width, group, keep) * group.trivial if last else inner
                step = (stride if number == 0 else 2) if block == 0 else 1
                parts.append(_Block(current, inner, out_type, stride=step, dropout=dropout, make=make))
                current = out_type
        self.stages = nn.Sequential(*parts)
        self.norm, self.activation = normalization(current, momentum=LAST_MOMENTUM), activation(current)
        self.head = nn.Linear(current.n, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``(B, classes)`` of images ``(B, in_channels, H, W)``."""
        y = self.activation(self.norm(self.stages(self.stem(x))))  # (b, n, h, w)
        return self.head(y.mean((-2, -1)))

    def initialize(self, function: Callable[[GroupConv2d], object]) -> Self:
        """Draw all convolutions anew, and set the bias of the head to zero.

        Args:
            function: what changes a convolution in place, such as ``equiconv.init.delta_orthogonal_``.

        Returns:
            The network.
        """
        draw_convolutions(self, function)
        nn.init.zeros_(self.head.bias)
        return self


class _Block(nn.Module):
    """Add two convolutions to a shortcut; each comes after its batch norm and nonlinearity."""

    def __init__(
        self,
        in_type: FieldType,
        inner: FieldType,
        out_type: FieldType,
        *,
        stride: int,
        dropout: float,
        make: Callable[..., GroupConv2d],
    ) -> None:
        super().__init__()
        group = out_type.group
        pooling, current = change_group(in_type, group, dropped_colors(in_type.group, group), "max")
        self.active = nn.Sequential(normalization(in_type), activation(in_type), *pooling)
        side = 3 if group.keeps_grid else 5
        drop = nn.Dropout(dropout) if inner.representation.is_permutation else FieldDropout(inner, dropout)
        self.convs = nn.Sequential(
            make(current, inner, side, padding=side // 2),
            normalization(inner),
            activation(inner),
            drop,
            make(inner, out_type, side, padding=side // 2, stride=stride),
        )
        same = stride == 1 and in_type == out_type
        self.shortcut = None if same else make(current, out_type, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of ``out_type`` of one of ``in_type``."""
        active = self.active(x)
        return self.convs(active) + (x if self.shortcut is None else self.shortcut(active))


def _blocks(depth: int) -> int:
    """Return the number of blocks in a stage."""
    layers = integer(depth)
    if layers is None or layers < 10 or layers % 6 != 4:
        raise ShapeError(f"depth is 6 m + 4 for m >= 1 blocks a stage, such as 16 or 28; got {depth!r}")
    return layers // 6


def _check_widths(widen: float, keep: str) -> None:
    if not is_number(widen, 0, WIDEST) or widen == 0:
        raise FieldTypeError(f"widen is a factor on the widths, above 0; got {widen!r}")
    if keep not in KEPT:
        raise FieldTypeError(f"keep is one of {', '.join(map(repr, KEPT))}; got {keep!r}")


def _fields(width: float, group: Group, keep: str) -> int:
    """Return the number of regular fields."""
    n = group.regular.dim
    return max(1, int(width / (math.sqrt(n) if keep == "parameters" else n)))


def _invariants(width: float, group: Group, keep: str) -> int:
    """Return the number of invariant fields that stand for the channels of the regular ones."""
    return max(1, int(width * math.sqrt(group.regular.dim) if keep == "parameters" else width))
