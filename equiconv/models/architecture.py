"""The shapes of residual networks, and the rules for their widths."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from equiconv.errors import FieldTypeError, ShapeError
from equiconv.groups import Group
from equiconv.groups.values import integer
from equiconv.layers.layer import check_flags
from equiconv.models.blocks import is_free, one_group_each

__all__ = ["Architecture", "matched_widths"]

EXPANSION = 4  # of a bottleneck: the fields that leave it, for each one inside
STEMS = {"small": 3, "large": 7}  # rows and columns of their kernels


@dataclass(frozen=True)
class Architecture:
    """Say how a residual network is built, whatever its group and its widths.

    Args:
        blocks: the number of blocks in each stage; every stage but the first halves the maps.
        bottleneck: blocks of a 1x1, a 3x3 and a 1x1 convolution, from which four times as many fields come as are
            inside; else of two 3x3 convolutions.
        preactivation: batch norm and activation come before each convolution, and the sums stay as they are; else they
            come behind each convolution, and the sums are rectified.
        stem: ``"small"``, a 3x3 convolution, or ``"large"``, a 7x7 one that halves the maps and pooling that does so
            again.
        stem_padding: pixels added on each side before the stem; None keeps the size, 1 and 3 pixels. The published
            color equivariant networks with the large stem have 1.

    Raises:
        ShapeError: if a number is out of range, or the stem is unknown.
        FieldTypeError: if a flag is neither True nor False.

    Example:
        >>> Architecture((2, 2, 2, 2), stem="large").stages
        4

    Source:
        He et al., Deep Residual Learning for Image Recognition (CVPR 2016), and Identity Mappings in Deep Residual
        Networks (ECCV 2016).
    """

    blocks: tuple[int, ...]
    bottleneck: bool = False
    preactivation: bool = False
    stem: str = "small"
    stem_padding: int | None = None

    def __post_init__(self) -> None:
        counts = self.blocks if isinstance(self.blocks, tuple) else ()
        if not counts or any((integer(count) or 0) < 1 for count in counts):
            raise ShapeError(f"blocks is a tuple, at least one block for each stage; got {self.blocks!r}")
        check_flags("Architecture", bottleneck=self.bottleneck, preactivation=self.preactivation)
        if self.stem not in STEMS:
            raise ShapeError(f"stem is one of {', '.join(map(repr, STEMS))}; got {self.stem!r}")
        if self.stem_padding is not None and (integer(self.stem_padding) or 0) < 0:
            raise ShapeError(f"stem_padding is a number of pixels, or None; got {self.stem_padding!r}")

    @property
    def stages(self) -> int:
        """The number of stages."""
        return len(self.blocks)

    @property
    def expansion(self) -> int:
        """The number of fields that leave a block, for each one inside."""
        return EXPANSION if self.bottleneck else 1


def matched_widths(
    group: Group | Sequence[Group],
    architecture: Architecture,
    width: int,
    *,
    factorization: str | None = None,
    nearest: bool = False,
) -> tuple[int, ...]:
    """Return the numbers of fields with which a network has about as many parameters as an ordinary one.

    On one group every stage has width * 2^stage * sqrt(9 / c) fields, c being the parameters of a 3x3 kernel between
    two fields: 9 n for fields of dimension n, 9 + n with the factorization ``"g"``, n with ``"gc"``. Of several groups
    the first stage has the largest number with which all blocks together do not have more parameters than those of the
    ordinary network, and each further stage twice as many.

    Args:
        group: the group of all stages, or one for each stage.
        architecture: the shape of the network.
        width: the channels of the ordinary network in its first stage.
        factorization: of the hidden convolutions: None, ``"g"`` or ``"gc"``.
        nearest: round to the nearest number, as for the published p4m networks; else down, as for the published color
            equivariant ones.

    Returns:
        The number of fields in each stage, at least 1.

    Raises:
        GroupError: if the group is none.
        ShapeError: if the width is no integer >= 1, or there is not one group for each stage.
        FieldTypeError: if the factorization is unknown.

    Example:
        >>> from equiconv.groups import HueShift, Trivial
        >>> small = Architecture((7, 7, 7))
        >>> matched_widths(HueShift(3), small, 32, factorization="g")
        (27, 55, 110)
        >>> matched_widths([HueShift(3), Trivial(), Trivial()], small, 32, factorization="g")
        (31, 62, 124)

    Source:
        Lengyel et al., Color Equivariant Convolutional Networks (NeurIPS 2023): the rule for one group. Their code has
        a table of widths for hybrids, and the rule for several groups gives all of them.
    """
    groups = one_group_each(group, architecture.stages, "stage")
    if (count := integer(width)) is None or count < 1:
        raise ShapeError(f"width is the channels of the ordinary network's first stage, >= 1; got {width!r}")
    if factorization not in (None, "g", "gc"):
        raise FieldTypeError(f'factorization is None, "g" or "gc"; got {factorization!r}')
    dims = [each.regular.dim for each in groups]
    factors = [None if is_free(each, groups[0]) else factorization for each in groups]
    if all(each == groups[0] for each in groups):
        cost = _pair_cost(9, dims[0], factors[0])
        return tuple(max(1, _root(9 * (count * 2**stage) ** 2, cost, nearest)) for stage in range(len(groups)))
    ordinary = _cost(architecture, [1] * len(groups), [None] * len(groups))
    base = max(1, _root(count**2 * ordinary, _cost(architecture, dims, factors), nearest))
    return tuple(base * 2**stage for stage in range(len(groups)))


def _root(square: int, divisor: int, nearest: bool) -> int:
    """Return the square root of the quotient, rounded."""
    return (math.isqrt(4 * square // divisor) + 1) // 2 if nearest else math.isqrt(square // divisor)


def _pair_cost(taps: int, dim: int, factorization: str | None) -> int:
    """Return the parameters of a kernel of so many taps between two fields."""
    if factorization is None:
        return taps * dim
    return dim + taps if factorization == "g" else dim


def _cost(architecture: Architecture, dims: Sequence[int], factors: Sequence[str | None]) -> int:
    """Return the parameters of all blocks, for one field inside those of the first stage and doubling widths."""
    total, before = 0, 1
    for stage, (blocks, dim, factorization) in enumerate(zip(architecture.blocks, dims, factors, strict=True)):
        inner, after = 2**stage, architecture.expansion * 2**stage
        for block in range(blocks):
            if architecture.bottleneck:
                total += (before + after) * inner * _pair_cost(1, dim, factorization)
                total += inner**2 * _pair_cost(9, dim, factorization)
            else:
                total += (before + after) * after * _pair_cost(9, dim, factorization)
            total += before * after * dim if block == 0 and before != after else 0  # the shortcut
            before = after
    return total
