"""What the networks share: the layers that fit a type of fields, and the change from one group to a smaller one."""

import math
from collections.abc import Callable, Sequence
from functools import partial, reduce
from itertools import pairwise
from operator import add, mul

from torch import Tensor, nn
from torch.nn import functional as F

from equiconv.errors import FieldTypeError, GroupError, ShapeError
from equiconv.groups import FieldType, Group
from equiconv.groups.values import is_number
from equiconv.layers import (
    Branches,
    FieldBatchNorm,
    FourierActivation,
    GroupConv2d,
    GroupPool,
    NormPool,
    Pointwise,
    SpatialPool,
)
from equiconv.layers.layer import FieldLayer, check_flags
from equiconv.layers.window import Window


def normalization(field_type: FieldType, *, momentum: float = 0.1) -> nn.Module:
    """Return batch normalization: the stock one for invariants and for fields whose entries are permuted."""
    representation = field_type.representation
    if representation == representation.group.trivial:
        return nn.BatchNorm2d(field_type.n, momentum=momentum)
    if representation.is_permutation and len(representation.summands) == 1 and not field_type.flat:
        return nn.BatchNorm3d(field_type.n, momentum=momentum)
    return FieldBatchNorm(field_type, momentum=momentum)


def activation(field_type: FieldType, function: Callable[[Tensor], Tensor] = F.relu) -> FieldLayer:
    """Return the nonlinearity: on every entry if these are permuted, else on samples of the function on the group."""
    if field_type.representation.is_permutation:
        return Pointwise(field_type, function)
    return FourierActivation(field_type, function)


def invariants(field_type: FieldType, mode: str) -> GroupPool | NormPool:
    """Return pooling over the group, ``"max"`` or ``"mean"``, to one invariant for each field.

    Of a function on a continuous group, which has its maximum between the samples, the norm stands for it.
    """
    if mode == "max" and not field_type.representation.is_permutation:
        return NormPool(field_type)
    return GroupPool(field_type, mode=mode)


class StrongestPool(FieldLayer):
    """Pool the fields over windows of the plane: the largest of entries that are permuted, else the longest vector.

    Equivariance:
        As ``SpatialPool``; invariant summands in front of others are pooled by themselves. Windows are refused if they
        do not lie symmetrically on the image, also for groups that do not keep the pixel grid: their elements that do
        are then exact, the others approximate.

    Args:
        in_type: any field type.
        size: rows and columns of the windows, and their steps.
        exact: refuse image sizes that lose equivariance; False lets them pass.
    """

    def __init__(self, in_type: FieldType, size: int, *, exact: bool = True) -> None:
        super().__init__(in_type, in_type)
        check_flags("StrongestPool", exact=exact)
        self.window = Window(in_type.group, size, stride=size, padding=0, dilation=1, exact=exact)
        self.pool = _strongest(in_type, size)

    def forward(self, x: Tensor) -> Tensor:
        """Pool a tensor of ``in_type``; return a tensor of the same type."""
        self.window.check_size(x.shape[-2], x.shape[-1])
        return self.pool(x)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.in_type!r}, {self.window.kernel[0]}, exact={self.window.exact}"


def _strongest(field_type: FieldType, size: int) -> FieldLayer:
    representation = field_type.representation
    first, *others = representation.summands
    pool = partial(SpatialPool, kernel_size=size, exact=False)
    if representation.is_permutation:
        return pool(field_type)
    if others and first.is_permutation:
        return Branches(pool(field_type.n * first), pool(field_type.n * reduce(add, others), mode="norm"))
    return pool(field_type, mode="norm")


def draw_convolutions(net: nn.Module, function: Callable[[GroupConv2d], object]) -> None:
    """Draw all convolutions of a network anew, by a function that changes one in place."""
    for module in net.modules():
        if isinstance(module, GroupConv2d):
            function(module)


def check_probability(dropout: float) -> None:
    """Raise FieldTypeError unless dropout is a probability."""
    if not is_number(dropout, 0, 1):
        raise FieldTypeError(f"dropout is a probability, 0 <= dropout <= 1; got {dropout!r}")


def image_type(group: Group, in_channels: int) -> FieldType:
    """Return the type of images: RGB if there are three channels, else channels that no element moves."""
    if group.moves_color and in_channels != 3:
        raise FieldTypeError(f"{group!r} moves colors, so images have 3 channels; got in_channels={in_channels}")
    return 1 * group.image if in_channels == 3 else in_channels * group.trivial


def one_group_each(group: Group | Sequence[Group], count: int, what: str) -> list[Group]:
    """Return the group of each of ``count`` parts of a network, ``what`` they are called; one group serves all."""
    groups = [group] * count if isinstance(group, Group) else list(group) if isinstance(group, Sequence) else []
    if not groups or not all(isinstance(each, Group) for each in groups):
        raise GroupError(f"the network is on a group, or a list of {count}, one group for each {what}; got {group!r}")
    if len(groups) != count:
        raise ShapeError(f"the network has {count} {what}s and one group for each; got {len(groups)} groups")
    return groups


def is_free(group: Group, first: Group) -> bool:
    """Tell whether the convolutions of a hybrid network are not factorized on this group: where nothing is left."""
    return group.order == 1 < first.order


def dropped_factors(before: Group, after: Group) -> list[Group]:
    """Return the factors that ``after`` lacks, if it is the product of the others; else none."""
    kept = after.factors if after.order > 1 else ()
    dropped = [factor for factor in before.factors if factor not in kept and factor.order > 1]
    complete = math.prod(factor.order for factor in dropped) * after.order == before.order
    return dropped if complete else []


def dropped_colors(before: Group, after: Group) -> list[Group]:
    """Return the factors that move colors only, if no element of ``after`` moves colors."""
    return [] if after.moves_color else [factor for factor in before.factors if _moves_color_only(factor)]


def _moves_color_only(group: Group) -> bool:
    return group.moves_color and not group.moves_plane


def change_group(
    in_type: FieldType, group: Group, dropped: Sequence[Group], mode: str
) -> tuple[list[nn.Module], FieldType]:
    """Return the layer that pools over factors, if some are dropped, and the type on ``group`` of what comes out.

    Args:
        in_type: regular fields.
        group: a subgroup of their group.
        dropped: factors of their group that are not in ``group``.
        mode: ``"max"`` or ``"mean"``.
    """
    if group == in_type.group:
        return [], in_type
    if not dropped:
        return [], in_type.restrict(group)
    whole = math.prod(factor.order for factor in dropped) == in_type.group.order
    layer = invariants(in_type, mode) if whole else GroupPool(in_type, over=reduce(mul, dropped), mode=mode)
    return [layer], layer.out_type.restrict(group)


def kept_group(groups: Sequence[Group], dropped: Callable[[Group, Group], Sequence[Group]]) -> Group:
    """Return the group under which a whole network is equivariant: the last, and what was pooled over before.

    Args:
        groups: the groups of its layers.
        dropped: tells of two groups the factors that are pooled over between them.
    """
    pooled = [factor for pair in pairwise(groups) for factor in dropped(*pair) if not factor.moves_plane]
    if not pooled:
        return groups[-1]
    first = groups[0].factors
    places = {factor: place for place, factor in enumerate(first)}
    factors = sorted([*pooled, *groups[-1].factors], key=lambda factor: places.get(factor, len(first)))
    return reduce(mul, factors)
