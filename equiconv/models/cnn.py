"""The small network of the rotated and colored digits experiments, for any group."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from torch import Tensor, nn

from equiconv.bases import Basis
from equiconv.errors import FieldTypeError, ShapeError
from equiconv.groups import FieldType, Group, Trivial
from equiconv.groups.moves import is_signed_permutation
from equiconv.layers import GroupConv2d, SpatialPool
from equiconv.models.blocks import (
    activation,
    change_group,
    check_probability,
    dropped_factors,
    image_type,
    invariants,
    is_free,
    kept_group,
    normalization,
    one_group_each,
)
from equiconv.recorded import Recorded

__all__ = ["CNN"]

POOLED = 2  # the layer after which the plane is pooled


class CNN(Recorded):
    """Classify small images by a few group convolutions: conv, batch norm, ReLU, with 2x2 pooling after the second.

    With the default kernel sizes it is the seven-layer network of the published experiments, for 28x28 images: the
    spatial sizes are 26, 24 (pooled to 12), 10, 8, 6, 4, 1. On ``Trivial()`` it is the ordinary network Z2CNN, on
    ``P4()`` P4CNN, on ``HueShift(3)`` CECNN.

    Equivariance:
        Exact on the pixel grid: the logits are invariant under every element of the group if ``pool`` is given. Other
        angles are approximate. Where layers change to a smaller group, ``in_type`` and ``out_type`` name what is left:
        that group, and the factors that were pooled over and do not move the plane. Pooling over turns keeps the maps
        turning.

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
        basis: Basis = "auto",
    ) -> None:
        super().__init__()
        groups = _per_layer(group, kernel_sizes)
        _check_options(factorization, dropout)
        image, kept = image_type(groups[0], in_channels), kept_group(groups, dropped_factors)
        kept = kept if pool is not None else Trivial()  # flattened fields are not invariant
        self.in_type, self.out_type = image.restrict(kept), classes * kept.trivial
        modules: list[nn.Module] = []
        make, current = partial(GroupConv2d, basis=basis), image
        for index, (layer_group, size) in enumerate(zip(groups, kernel_sizes, strict=True)):
            dropped = [] if pool is None else dropped_factors(current.group, layer_group)
            if pool is None and layer_group != current.group:
                width = current.channels
            pooling, current = change_group(current, layer_group, dropped, pool or "max")
            modules.extend(pooling)
            out_type = width * layer_group.regular
            free = index == 0 or is_free(layer_group, groups[0])
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


def _check_options(factorization: str | None, dropout: float) -> None:
    if factorization not in (None, "c", "g", "gc"):
        raise FieldTypeError(f'factorization is None, "c", "g" or "gc"; got {factorization!r}')
    check_probability(dropout)


def _per_layer(group: Group | Sequence[Group], kernel_sizes: Sequence[int]) -> list[Group]:
    if not isinstance(kernel_sizes, Sequence) or len(kernel_sizes) < POOLED:
        raise ShapeError(f"a CNN has at least {POOLED} layers, and a list of kernel sizes; got {kernel_sizes!r}")
    return one_group_each(group, len(kernel_sizes), "layer")


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
