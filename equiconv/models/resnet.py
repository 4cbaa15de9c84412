"""Residual networks, for any group."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from equiconv.bases import Basis
from equiconv.errors import FieldTypeError, ShapeError
from equiconv.groups import FieldType, Group, Trivial
from equiconv.groups.values import integer
from equiconv.layers.layer import check_flags
from equiconv.models.architecture import Architecture, matched_widths
from equiconv.models.blocks import (
    activation,
    change_group,
    dropped_factors,
    image_type,
    invariants,
    is_free,
    kept_group,
    normalization,
    one_group_each,
)
from equiconv.models.residual import Maker, ResidualBlock
from equiconv.recorded import Recorded

__all__ = ["RESNET18", "RESNET34", "RESNET44", "RESNET50", "RESNET101", "RESNET152", "ResNet"]

RESNET18 = Architecture((2, 2, 2, 2), stem="large")
RESNET34 = Architecture((3, 4, 6, 3), stem="large")
RESNET44 = Architecture((7, 7, 7))
RESNET50 = Architecture((3, 4, 6, 3), bottleneck=True, stem="large")
RESNET101 = Architecture((3, 4, 23, 3), bottleneck=True, stem="large")
RESNET152 = Architecture((3, 8, 36, 3), bottleneck=True, stem="large")


class ResNet(Recorded):
    """Classify images by a residual network, all on one group, or each stage on one.

    The fields are functions on the group of their stage. In the end they are pooled over it, averaged over the plane,
    and a linear layer makes the logits. On ``Trivial()`` it is the ordinary network. Convolutions have no bias; kernels
    of 3x3 pixels are 5x5 on groups that do not keep the pixel grid.

    Equivariance:
        Exact on the pixel grid: the logits are invariant under every element of the group if ``pool`` is given, on
        images of every size. Other angles are approximate. Where stages change to a smaller group, ``in_type`` and
        ``out_type`` name what is left: that group, and the factors that were pooled over and do not move the plane.

        A convolution with stride 2 sees other pixels of an image of even size once this is turned. On groups that move
        the plane the maps are therefore halved in front of the block that has the stride: by means over 2x2 pixels, of
        odd sizes over 3x3. In the large stem a mean comes behind the convolution, and then maxima over the same
        windows. Sizes, parameters and, but for the large stem and bottlenecks, multiplications are those of strides.
        With ``exact=False`` the strides are the published ones, and equivariance is lost.

    Args:
        group: the group of all stages, or one for each stage: ``[HueShift(3), Trivial(), Trivial()]`` is a hybrid.
            Where a later group is made of some of the factors of the one before, the fields are pooled over the others;
            any other subgroup of it goes on with the fields as they are.
        architecture: the shape: ``RESNET18``, ``RESNET34``, ``RESNET44``, ``RESNET50``, ``RESNET101``, ``RESNET152``,
            or another ``Architecture``.
        widths: the number of fields in each stage, inside of bottlenecks; or the first width of an ordinary network, to
            whose number of parameters ``matched_widths`` fits them.
        in_channels: 3 for RGB images, any other number for channels that no element moves.
        classes: the number of classes.
        factorization: of the convolutions in blocks: None, ``"g"`` or ``"gc"`` as in ``GroupConv2d``. The stem and the
            shortcuts stay free, and so do the stages of a hybrid on ``Trivial()``.
        pool: ``"max"`` or ``"mean"`` over the group before the head; None flattens the group into channels as some
            published networks do, and the logits are not invariant.
        basis: what the kernels are made of, as in ``GroupConv2d``.
        exact: keep equivariance on images of every size; False takes strides on groups that move the plane.

    On a continuous group the fields are band-limited functions on it: the nonlinearity acts on their samples, the stem
    pools by the mean, and in the end the norm of each function is taken for its maximum.

    Shapes:
        Input: ``(B, in_channels, H, W)``. Output: logits ``(B, classes)``.

    Raises:
        GroupError: if there is no group, or one is not a subgroup of the one before.
        FieldTypeError: if the group moves colors and the images are not RGB, or an option is unknown.
        ShapeError: if there is not one width, or one group, for each stage.

    Example:
        >>> from equiconv.groups import HueShift
        >>> net = ResNet(HueShift(3), RESNET44, 32, factorization="g")
        >>> sum(p.numel() for p in net.parameters())
        2602596

    Source:
        He et al., Deep Residual Learning for Image Recognition (CVPR 2016); Lengyel and van Gemert (ICIP 2021), section
        4.2, with preactivation; Lengyel et al. (NeurIPS 2023), section 4.2, without.
    """

    def __init__(
        self,
        group: Group | Sequence[Group],
        architecture: Architecture,
        widths: int | Sequence[int],
        *,
        in_channels: int = 3,
        classes: int = 10,
        factorization: str | None = None,
        pool: str | None = "max",
        basis: Basis = "auto",
        exact: bool = True,
    ) -> None:
        super().__init__()
        _check(architecture, pool, exact)
        groups, maker = one_group_each(group, architecture.stages, "stage"), Maker(basis, exact)
        numbers = _widths(widths, groups, architecture, factorization)
        image, kept = image_type(groups[0], in_channels), kept_group(groups, dropped_factors)
        kept = kept if pool is not None else Trivial()  # flattened fields are not invariant
        self.in_type, self.out_type = image.restrict(kept), classes * kept.trivial
        current = numbers[0] * groups[0].regular
        self.stem = nn.Sequential(*maker.stem(image, current, architecture))
        self.blocks = nn.Sequential()
        for stage, (each, width) in enumerate(zip(groups, numbers, strict=True)):
            pooling, current = _enter(current, each, pool)
            types = _types(width * each.regular, architecture)
            factors = None if is_free(each, groups[0]) else factorization
            make = partial(ResidualBlock, maker=maker, architecture=architecture, factorization=factors)
            self.blocks.append(make(current, types, halves=stage > 0, pooling=pooling))
            current = types[-1]
            self.blocks.extend(make(current, types) for _ in range(architecture.blocks[stage] - 1))
        ends = [normalization(current), activation(current)] if architecture.preactivation else []
        self.end = nn.Sequential(*ends, *([] if pool is None else [invariants(current, pool)]))
        self.head = nn.Linear(current.channels if pool is None else current.n, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``(B, classes)`` of images ``(B, in_channels, H, W)``."""
        y = self.end(self.blocks(self.stem(x)))  # (b, n, h, w), or (b, n, d, h, w)
        return self.head(y.mean((-2, -1)).flatten(1))


def _check(architecture: Architecture, pool: str | None, exact: bool) -> None:
    if not isinstance(architecture, Architecture):
        raise FieldTypeError(f"architecture is an Architecture, such as RESNET18; got {architecture!r}")
    if pool not in (None, "max", "mean"):
        raise FieldTypeError(f'pool is "max", "mean" or None; got {pool!r}')
    check_flags("ResNet", exact=exact)


def _widths(
    widths: int | Sequence[int], groups: Sequence[Group], architecture: Architecture, factorization: str | None
) -> Sequence[int]:
    """Return the number of fields in each stage."""
    if isinstance(widths, Sequence) and len(widths) == architecture.stages:
        return widths
    if (width := integer(widths)) is None:
        raise ShapeError(f"widths is a number, or a list of {architecture.stages}, one for each stage; got {widths!r}")
    nearest = architecture.preactivation
    return matched_widths(groups, architecture, width, factorization=factorization, nearest=nearest)


def _enter(in_type: FieldType, group: Group, pool: str | None) -> tuple[list[nn.Module], FieldType]:
    """Return the layers that change to the group of a stage, and the type of what comes out."""
    dropped = [] if pool is None else dropped_factors(in_type.group, group)
    return change_group(in_type, group, dropped, pool or "max")


def _types(inner: FieldType, architecture: Architecture) -> list[FieldType]:
    """Return the type behind each convolution of a block."""
    if not architecture.bottleneck:
        return [inner, inner]
    return [inner, inner, architecture.expansion * inner.n * inner.representation]
