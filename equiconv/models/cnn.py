"""The small network of the rotated and colored digits experiments, for any group."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial, reduce
from itertools import pairwise
from operator import mul

from torch import Tensor, nn

from equiconv.bases import Basis
from equiconv.errors import FieldTypeError, ShapeError
from equiconv.groups import FieldType, Group
from equiconv.groups.moves import is_signed_permutation
from equiconv.groups.values import is_number
from equiconv.layers import GroupConv2d, GroupPool, SpatialPool
from equiconv.models.blocks import activation, invariants, normalization

__all__ = ["CNN"]

POOLED = 2  # the layer after which the plane is pooled


class CNN(nn.Module):
    """Classify small images by a few group convolutions: conv, batch norm, ReLU, with 2x2 pooling after the second.

    With the default kernel sizes it is the seven-layer network of the published experiments, for 28x28 images: the
    spatial sizes are 26, 24 (pooled to 12), 10, 8, 6, 4, 1. On ``Trivial()`` it is the ordinary network Z2CNN, on
    ``P4()`` P4CNN, on ``HueShift(3)`` CECNN.

    Equivariance:
        The logits are invariant under every element of the group if ``pool`` is given: exact for groups that keep the
        pixel grid. Where layers change to a smaller group, ``in_type`` and ``out_type`` name what is left: that group,
        and the factors that were pooled over and do not move the plane. Pooling over turns keeps the maps turning.

    Args:
        group: the group of all layers, or one for each layer: ``[HueShift(3)] * 2 + [Trivial()] * 5`` is a hybrid.
            Where a later group is made of some of the factors of the one before, the fields are pooled over the others;
            any other subgroup of it, such as ``Cyclic(8)`` after ``SO2()``, goes on with the fields as they are.
        width: the number of fields in each layer.
        in_channels: 3 for RGB images, any other number for channels that no element moves.
        classes: the number of classes.
        kernel_sizes: the kernel size of each layer; at least two layers.
        factorization: of the hidden layers: None, ``"g"`` or ``"gc"`` as in ``GroupConv2d``, or ``"c"``: a 1x1 layer
            and a depthwise one, each with bias (c-Z2CNN). The layers of a hybrid on ``Trivial()`` stay free.
        dropout: the probability to drop a field, in all layers but the pooled one and the last two.
        pool: ``"max"`` or ``"mean"`` over the group before the head; None flattens the group into channels as some
            published networks do, and the logits are not invariant.
        padding: pixels added on each side by every layer.
        basis: what the kernels are made of, as in ``GroupConv2d``.

    On a continuous group the fields are band-limited functions on it: the nonlinearity acts on their samples, the plane
    is pooled by the mean, and in the end the norm of each function is taken for its maximum.

    Shapes:
        Input: ``(B, in_channels, H, W)``. Output: logits ``(B, classes)``; the plane is averaged at the end.

    Raises:
        GroupError: if a layer's group is not a subgroup of the group before.
        FieldTypeError: if the group moves colors and the images are not RGB, or an option is unknown.
        ShapeError: if there are not two kernel sizes at least, or not one group for each of them.

    Example:
        >>> import torch
        >>> from equiconv.groups import P4
        >>> net = CNN(P4(), 10, in_channels=1)
        >>> sum(p.numel() for p in net.parameters())
        24810

    Source:
        Cohen and Welling (ICML 2016), section 8.1; Lengyel and van Gemert (ICIP 2021), section 4.1; Lengyel et al.
        (NeurIPS 2023), section 4.1.
    """

    def __init__(
        self,
        group: Group | Sequence[Group],
        width: int,
        *,
        in_channels: int = 3,
        classes: int = 10,
        kernel_sizes: Sequence[int] = (3, 3, 3, 3, 3, 3, 4),
        factorization: str | None = None,
        dropout: float = 0.0,
        pool: str | None = "max",
        padding: int = 0,
        basis: Basis = "auto",
    ) -> None:
        super().__init__()
        groups = _per_layer(group, kernel_sizes)
        _check_options(groups[0], in_channels, factorization, dropout)
        image = 1 * groups[0].image if in_channels == 3 else in_channels * groups[0].trivial
        kept = _kept(groups)
        self.in_type, self.out_type = image.restrict(kept), classes * kept.trivial
        modules: list[nn.Module] = []
        make, current = partial(GroupConv2d, padding=padding, basis=basis), image
        for index, (layer_group, size) in enumerate(zip(groups, kernel_sizes, strict=True)):
            if layer_group != current.group:
                drop, current = _change_group(current, layer_group, pool)
                modules.extend(drop)
                width = current.channels if pool is None else width
            out_type = width * layer_group.regular
            free = index == 0 or (layer_group.order == 1 < groups[0].order)
            factors = None if free else factorization
            modules.extend(_convolutions(make, current, out_type, size, factors))
            modules.extend([normalization(out_type), activation(out_type)])
            if dropout and index + 1 != POOLED and index < len(kernel_sizes) - 2:
                modules.append(nn.Dropout3d(dropout))
            if index + 1 == POOLED:
                mode = "max" if out_type.representation.is_permutation else "mean"
                modules.append(SpatialPool(_on_the_grid(out_type), 2, mode=mode))
            current = out_type
        if pool is not None:
            modules.append(invariants(current, pool))
        self.features = nn.Sequential(*modules)
        self.head = nn.Linear(width if pool is not None else current.channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``(B, classes)`` of images ``(B, in_channels, H, W)``."""
        return self.head(self.features(x).mean((-2, -1)).flatten(1))  # (b, n, d, h, w) -> (b, n*d) -> (b, classes)


def _check_options(group: Group, in_channels: int, factorization: str | None, dropout: float) -> None:
    if factorization not in (None, "c", "g", "gc"):
        raise FieldTypeError(f'factorization is None, "c", "g" or "gc"; got {factorization!r}')
    if group.moves_color and in_channels != 3:
        raise FieldTypeError(f"{group!r} moves colors, so images have 3 channels; got in_channels={in_channels}")
    if not is_number(dropout, 0, 1):
        raise FieldTypeError(f"dropout is a probability, 0 <= dropout <= 1; got {dropout!r}")


def _per_layer(group: Group | Sequence[Group], kernel_sizes: Sequence[int]) -> list[Group]:
    if not isinstance(kernel_sizes, Sequence) or not isinstance(group, (Group, Sequence)):
        raise ShapeError(f"a CNN has a group and a list of kernel sizes; got {group!r} and {kernel_sizes!r}")
    layers = len(kernel_sizes)
    groups = [group] * layers if isinstance(group, Group) else list(group)
    if layers < POOLED or len(groups) != layers:
        raise ShapeError(
            f"a CNN has at least {POOLED} layers and one group for each; got {layers} and {len(groups)} groups"
        )
    return groups


def _kept(groups: Sequence[Group]) -> Group:
    """Return the group under which the whole network is equivariant: the last, and what was pooled over before."""
    pooled = [factor for pair in pairwise(groups) for factor in _dropped(*pair) if not factor.moves_plane]
    first = groups[0].factors
    places = {factor: place for place, factor in enumerate(first)}
    factors = sorted([*pooled, *groups[-1].factors], key=lambda factor: places.get(factor, len(first)))
    return reduce(mul, factors)


def _dropped(before: Group, after: Group) -> list[Group]:
    """Return the factors that are pooled over between layers on two groups; none if ``after`` is no product of some."""
    kept = after.factors if after.order > 1 else ()
    dropped = [factor for factor in before.factors if factor not in kept]
    complete = math.prod(factor.order for factor in dropped) * after.order == before.order
    return dropped if complete else []


def _on_the_grid(field_type: FieldType) -> FieldType:
    """Return the type of the same tensors for the elements that send pixels to pixels: pooling is exact for these."""
    group = field_type.group
    if group.keeps_grid:
        return field_type
    return field_type.restrict(group.subgroup([g for g in range(group.order) if is_signed_permutation(group.plane[g])]))


def _convolutions(
    make: Callable[..., GroupConv2d], in_type: FieldType, out_type: FieldType, size: int, factorization: str | None
) -> Iterator[nn.Module]:
    if factorization == "c":
        yield GroupConv2d(in_type, out_type, 1)
        yield make(out_type, out_type, size, channel_groups=out_type.n)
    else:
        yield make(in_type, out_type, size, factorization=factorization)


def _change_group(in_type: FieldType, group: Group, pool: str | None) -> tuple[list[nn.Module], FieldType]:
    """Return the layer that pools away what ``group`` lacks, if it lacks factors, and the type on ``group``."""
    dropped = _dropped(in_type.group, group)
    if pool is None or not dropped:
        return [], in_type.restrict(group)
    layer = GroupPool(in_type, over=reduce(mul, dropped) if group.order > 1 else None, mode=pool)
    return [layer], layer.out_type.restrict(group)
