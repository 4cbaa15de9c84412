"""The layers and settings whose exactness is measured."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from equiconv.bases import Derivatives, Harmonics
from equiconv.groups import FieldType, Group
from equiconv.layers import (
    AdaptivePool,
    BlurPool,
    FieldBatchNorm,
    FourierActivation,
    GroupConv2d,
    GroupConvTranspose2d,
    GroupPool,
    NormActivation,
    Pointwise,
    SpatialPool,
    Upsample,
)

__all__ = ["EVEN", "ODD", "SETTINGS", "Setting"]

ODD, EVEN = 33, 32  # rows and columns of the images
Make = Callable[[Group, bool], nn.Module]


@dataclass(frozen=True)
class Setting:
    """Hold a layer with its settings.

    Args:
        part: the table that it is in.
        title: of its column.
        make: makes the layer on a group; the second argument is that of the same name, ``exact``.
        size: rows and columns of the images it is measured on.
    """

    part: str
    title: str
    make: Make
    size: int = ODD


def _lift(kernel: int | tuple[int, int], **settings: object) -> Make:
    """Return what makes a convolution of images."""

    def make(group: Group, exact: bool) -> nn.Module:
        make_layer: Callable[..., nn.Module] = partial(GroupConv2d, group.image, 2 * group.regular, kernel)
        return make_layer(exact=exact, **settings)

    return make


def _of_fields(layer: Callable[..., nn.Module], *sizes: object, **settings: object) -> Make:
    """Return what makes a layer of two regular fields that takes ``exact``."""
    return lambda group, exact: layer(2 * group.regular, *sizes, exact=exact, **settings)


def _always(layer: Callable[[FieldType], nn.Module]) -> Make:
    """Return what makes a layer of two regular fields that knows no ``exact``."""
    return lambda group, _: layer(2 * group.regular)


def _enlarging(kernel: int, **settings: object) -> Make:
    def make(group: Group, exact: bool) -> nn.Module:
        fields = 2 * group.regular
        make_layer: Callable[..., nn.Module] = partial(GroupConvTranspose2d, fields, fields, kernel)
        return make_layer(exact=exact, stride=2, padding=1, **settings)

    return make


def _irreps(group: Group, _: bool) -> nn.Module:
    return Pointwise(2 * group.irreps[-1])


def _thresholds(group: Group, _: bool) -> nn.Module:
    """Return norm activations whose thresholds are not zero, as in a trained network."""
    layer = NormActivation(2 * group.regular)
    for thresholds in layer.parameters():
        nn.init.uniform_(thresholds, -0.5, 0.0)
    return layer


KERNELS, SIZES, PADDING = "kernel", "stride and size", "padding of a 5x5 kernel"
BASES, POOLING, FIELDS = "basis of a 5x5 kernel", "pooling and enlarging", "nonlinearity, norm, group pooling"

SETTINGS = (
    Setting(KERNELS, "3x3", _lift(3)),
    Setting(KERNELS, "7x7", _lift(7)),
    Setting(KERNELS, "3x3, dilation 2", _lift(3, dilation=2)),
    Setting(KERNELS, "4x4", _lift(4)),
    Setting(KERNELS, '4x4, padding="same"', _lift(4, padding="same")),
    Setting(KERNELS, "3x5", _lift((3, 5))),
    Setting(SIZES, "3x3, stride 2, odd size", _lift(3, stride=2)),
    Setting(SIZES, "3x3, stride 2, even size", _lift(3, stride=2), EVEN),
    Setting(SIZES, "4x4, stride 2, even size", _lift(4, stride=2), EVEN),
    Setting(SIZES, "transposed 4x4, stride 2", _enlarging(4)),
    Setting(SIZES, "transposed 3x3, stride 2, output_padding 1", _enlarging(3, output_padding=1)),
    Setting(PADDING, "none", _lift(5)),
    *(Setting(PADDING, mode, _lift(5, padding=2, padding_mode=mode)) for mode in ("zeros", "reflect", "replicate")),
    Setting(PADDING, "circular", _lift(5, padding=2, padding_mode="circular")),
    Setting(BASES, "Pixels", _lift(5, basis="pixels")),
    Setting(BASES, "Harmonics", _lift(5, basis=Harmonics)),
    Setting(BASES, "Harmonics.e2cnn", _lift(5, basis=Harmonics.e2cnn)),
    Setting(BASES, "Harmonics.complete", _lift(5, basis=Harmonics.complete)),
    Setting(BASES, "Derivatives, to order 2", _lift(5, basis=partial(Derivatives, max_order=2))),
    Setting(POOLING, "max 2x2, even size", _of_fields(SpatialPool, 2), EVEN),
    Setting(POOLING, "max 2x2, odd size", _of_fields(SpatialPool, 2)),
    Setting(POOLING, "mean 2x2, even size", _of_fields(SpatialPool, 2, mode="mean"), EVEN),
    Setting(POOLING, "BlurPool, stride 2", _of_fields(BlurPool, sigma=1.0, stride=2)),
    Setting(POOLING, "AdaptivePool to 8x8", _of_fields(AdaptivePool, 8), EVEN),
    Setting(POOLING, "nearest, x 2", _of_fields(Upsample, scale=2, mode="nearest")),
    Setting(POOLING, "nearest, x 1.5", _of_fields(Upsample, scale=1.5, mode="nearest"), EVEN),
    Setting(POOLING, "bilinear, x 2", _of_fields(Upsample, scale=2)),
    Setting(FIELDS, "ReLU, regular", _always(Pointwise)),
    Setting(FIELDS, "ReLU, last irrep", _irreps),
    Setting(FIELDS, "NormActivation", _thresholds),
    Setting(FIELDS, "FourierActivation", _always(FourierActivation)),
    Setting(FIELDS, "FieldBatchNorm, training", _always(FieldBatchNorm)),
    Setting(FIELDS, "GroupPool", _always(GroupPool)),
)
