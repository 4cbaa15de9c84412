"""What the docstring of every layer and network says of its equivariance, and what shows it."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from samples import Typed, first_factor, mixed
from torch import nn

from equiconv.groups import P4M, SO2, Cyclic, Group, HueShift
from equiconv.layers import (
    AdaptivePool,
    Antialiased,
    BlurPool,
    Branches,
    ChannelMaxPool,
    ColorSpace,
    DiskMask,
    FieldBatchNorm,
    FieldDropout,
    FieldGroupNorm,
    FourierActivation,
    GatedActivation,
    GroupConv2d,
    GroupConvTranspose2d,
    GroupPool,
    NormActivation,
    NormPool,
    Pointwise,
    Restrict,
    SpatialPool,
    SubgroupPool,
    Upsample,
    VectorFieldActivation,
    squash,
    synchronize_batch_norms,
)
from equiconv.models import (
    CNN,
    Architecture,
    ChannelPooledCNN,
    ChannelPooledResNet18,
    ChannelPooledVGG,
    ResNet,
    SteerableArchitecture,
    SteerableCNN,
    SteerableLayer,
    WideResNet,
)

EVERY, FINITE, GRID, PART, FIRST, INNER, NONE = VERDICTS = (
    "Exact on every group",
    "Exact on finite groups",
    "Exact on the pixel grid",
    "Exact on the subgroup",
    "Exact at initialization",
    "As its layers",
    "None by construction",
)
COLORED, TURNS, SAMPLED = HueShift(3) * P4M(), Cyclic(8), HueShift(3) * SO2(2)
Make = Callable[[Group], nn.Module]


class Line(NamedTuple):
    """What a docstring says of a layer.

    Args:
        verdict: one of ``VERDICTS``.
        make: the layer on a group.
        figures: what has the errors that the docstring names, in their order.
        size: of the images that the layer takes.
    """

    verdict: str
    make: Make
    figures: tuple[Callable[[], nn.Module], ...] = ()
    size: int = 9


def turning(make: Make):
    return lambda: make(TURNS)


def conv(g):
    return GroupConv2d(2 * g.regular, 2 * g.regular, 5, padding=2)


def enlarging(kernel: int):
    return lambda g: GroupConvTranspose2d(2 * g.regular, 2 * g.regular, kernel, stride=2, padding=kernel // 2)


def enlarged_first(g):
    return Typed(2 * g.regular, Upsample(2 * g.regular, scale=2), conv(g))


def blur(g):
    return BlurPool(2 * g.regular, sigma=1, stride=2)


def relu(g):
    return Pointwise(2 * g.regular)


def antialiased(g):
    return Antialiased(relu(g))


def upsample(g):
    return Upsample(2 * g.regular, scale=2)


def fourier(g):
    return FourierActivation(2 * g.regular)


def color_pool(g):
    return GroupPool(2 * g.regular, over=first_factor(g))


def ordinary(module: nn.Module, *, channels: int = 3, classes: int = 2) -> Make:
    """Return what is said to take images, and to return invariants."""
    return lambda g: Typed(channels * g.trivial, module, out_type=classes * g.trivial)


def steerable(g):
    small = SteerableArchitecture((SteerableLayer(4, 5, 2), SteerableLayer(4, 5, 2)), hidden=0)
    return SteerableCNN(g, architecture=small, in_channels=3, classes=3).eval()


LAYERS = {
    "AdaptivePool": Line(GRID, lambda g: AdaptivePool(2 * mixed(g), 3)),
    "Antialiased": Line(INNER, antialiased, (turning(relu), turning(antialiased))),
    "BlurPool": Line(GRID, blur, (turning(blur),)),
    "Branches": Line(INNER, lambda g: Branches(relu(g), GatedActivation(2 * g.image))),
    "ChannelMaxPool": Line(NONE, ordinary(nn.Sequential(nn.Conv2d(3, 8, 3), ChannelMaxPool(4)))),
    "ColorSpace": Line(FIRST, lambda g: ColorSpace(2 * g.image)),
    "DiskMask": Line(GRID, lambda g: DiskMask(2 * g.image), (lambda: DiskMask(2 * TURNS.image),)),
    "FieldBatchNorm": Line(
        GRID, lambda g: FieldBatchNorm(2 * mixed(g)), (lambda: FieldBatchNorm(2 * TURNS.regular).train(),)
    ),
    "FieldDropout": Line(EVERY, lambda g: FieldDropout(4 * mixed(g), 0.5)),
    "FieldGroupNorm": Line(GRID, lambda g: FieldGroupNorm(2 * mixed(g)), (lambda: FieldGroupNorm(2 * TURNS.regular),)),
    "FourierActivation": Line(FINITE, fourier, (lambda: fourier(SO2(2)),)),
    "GatedActivation": Line(EVERY, lambda g: GatedActivation(2 * mixed(g))),
    "GroupConv2d": Line(GRID, conv, (turning(conv),)),
    "GroupConvTranspose2d": Line(
        GRID, enlarging(3), tuple(map(turning, (enlarging(3), enlarging(5), enlarging(7), enlarged_first)))
    ),
    "GroupPool": Line(FINITE, color_pool, (lambda: color_pool(SAMPLED),)),
    "NormActivation": Line(EVERY, lambda g: NormActivation(2 * mixed(g), torch.tanh)),
    "NormPool": Line(EVERY, lambda g: NormPool(2 * mixed(g))),
    "Pointwise": Line(EVERY, relu),
    "Restrict": Line(PART, lambda g: Restrict(2 * mixed(g), list(g.generators[-1:]))),
    "SpatialPool": Line(GRID, lambda g: SpatialPool(2 * mixed(g), 3, stride=2, mode="norm")),
    "SubgroupPool": Line(PART, lambda g: SubgroupPool(2 * g.regular, list(g.generators[-1:]))),
    "Upsample": Line(GRID, upsample, (turning(upsample),)),
    "VectorFieldActivation": Line(EVERY, lambda g: VectorFieldActivation(2 * g.regular)),
    "squash": Line(EVERY, lambda g: NormActivation(2 * mixed(g), squash)),
    "synchronize_batch_norms": Line(INNER, lambda g: synchronize_batch_norms(FieldBatchNorm(2 * mixed(g)))),
}
MODELS = {
    "CNN": Line(GRID, lambda g: CNN(g, 6, classes=3, kernel_sizes=(3, 3, 3)).eval(), size=14),
    "ChannelPooledCNN": Line(NONE, ordinary(ChannelPooledCNN(4, 8).eval(), channels=1, classes=10), size=28),
    "ChannelPooledResNet18": Line(NONE, ordinary(ChannelPooledResNet18(4, 4).eval(), classes=10), size=17),
    "ChannelPooledVGG": Line(NONE, ordinary(ChannelPooledVGG(4, 4).eval(), classes=10), size=12),
    "ResNet": Line(GRID, lambda g: ResNet(g, Architecture((1, 1)), 8).eval(), size=13),
    "SteerableCNN": Line(GRID, steerable, size=15),
    "WideResNet": Line(GRID, lambda g: WideResNet(g, 10, 0.1).eval(), size=17),
}
LINES = LAYERS | MODELS
