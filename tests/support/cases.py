"""One small module for every public layer and network, and several for the layers that are made in several ways."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from equiconv.groups import P4, P4M, HueShift
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

__all__ = ["CASES", "Case"]

GROUP = HueShift(3) * P4()
SHIFTED = HueShift(2, "hsv") * P4()
REGULAR, IMAGE = 2 * GROUP.regular, 2 * GROUP.image
MIXED = 2 * (GROUP.trivial + GROUP.irreps[-1] + GROUP.regular)
TURNS = 2 * P4M().regular
STEERABLE = SteerableArchitecture((SteerableLayer(2, 3, pool=2), SteerableLayer(2, 3, 1)), masked=True)


@dataclass(frozen=True)
class Case:
    """Say how a module is made, and what it takes."""

    name: str
    make: Callable[[], nn.Module]
    size: tuple[int, int] = (8, 7)
    channels: tuple[int, ...] | None = None  # None: those of ``in_type``

    def module(self) -> nn.Module:
        """Return the module, the same each time, with every parameter drawn, in evaluation."""
        torch.manual_seed(0)
        module = self.make().eval()
        with torch.no_grad():
            for name, value in module.state_dict().items():
                if name.endswith(("bias", "running_mean")):
                    value.uniform_(-0.2, 0.2)
                elif name.endswith("running_var"):
                    value.uniform_(0.5, 2)
        return module

    def inputs(self, module: nn.Module, batch: int = 2, seed: int = 1) -> Tensor:
        """Return images or fields, ``(batch, ..., H, W)``, the same each time."""
        channels = module.in_type.shape if self.channels is None else self.channels
        return torch.randn(batch, *channels, *self.size, generator=torch.Generator().manual_seed(seed))

    def __reduce__(self) -> tuple[object, ...]:
        """Go to other processes by name, where it is one of ``CASES``."""
        fields = self.name, self.make, self.size, self.channels
        return (_named, (self.name,)) if CASES.get(self.name) is self else (Case, fields)


def _named(name: str) -> Case:
    return CASES[name]


CASES = {
    case.name: case
    for case in (
        Case("GroupConv2d (lifting)", lambda: GroupConv2d(GROUP.image, REGULAR, 3, padding=1)),
        Case(
            "GroupConv2d (lifting by the image)", lambda: GroupConv2d(SHIFTED.image, 2 * SHIFTED.regular, 3, padding=1)
        ),
        Case("GroupConv2d (group)", lambda: GroupConv2d(REGULAR, REGULAR, 3)),
        Case("GroupConv2d (steerable)", lambda: GroupConv2d(MIXED, MIXED, 3)),
        Case("GroupConv2d (gc)", lambda: GroupConv2d(REGULAR, REGULAR, 3, factorization="gc", execution="separable")),
        Case("GroupConv2d (fourier)", lambda: GroupConv2d(REGULAR, REGULAR, 3, execution="fourier")),
        Case("GroupConv2d (steered)", lambda: GroupConv2d(TURNS, TURNS, 3, execution="steered")),
        Case("GroupConvTranspose2d", lambda: GroupConvTranspose2d(REGULAR, REGULAR, 4, stride=2, padding=1)),
        Case("GroupPool", lambda: GroupPool(REGULAR)),
        Case("SubgroupPool", lambda: SubgroupPool(REGULAR, P4())),
        Case("Restrict", lambda: Restrict(REGULAR, P4())),
        Case("SpatialPool", lambda: SpatialPool(REGULAR, 2, exact=False)),
        Case("AdaptivePool", lambda: AdaptivePool(REGULAR, 3)),
        Case("BlurPool", lambda: BlurPool(MIXED, sigma=0.7, stride=2), (9, 7)),
        Case("Upsample", lambda: Upsample(MIXED, scale=2)),
        Case("FieldBatchNorm", lambda: FieldBatchNorm(MIXED)),
        Case("FieldGroupNorm", lambda: FieldGroupNorm(MIXED, channel_groups=2)),
        Case("FieldDropout", lambda: FieldDropout(MIXED, 0.5)),
        Case("Pointwise", lambda: Pointwise(REGULAR, torch.tanh)),
        Case("NormActivation", lambda: NormActivation(MIXED)),
        Case("GatedActivation", lambda: GatedActivation(MIXED)),
        Case("FourierActivation", lambda: FourierActivation(2 * GROUP.regular)),
        Case("VectorFieldActivation", lambda: VectorFieldActivation(TURNS)),
        Case("NormPool", lambda: NormPool(MIXED)),
        Case("Antialiased", lambda: Antialiased(Pointwise(REGULAR))),
        Case("Branches", lambda: Branches(Pointwise(REGULAR), GatedActivation(IMAGE))),
        Case("ColorSpace", lambda: ColorSpace(IMAGE)),
        Case("DiskMask", lambda: DiskMask(IMAGE, margin=0.1)),
        Case("ChannelMaxPool", lambda: ChannelMaxPool(4), channels=(8,)),
        Case("CNN", lambda: CNN(GROUP, 2, kernel_sizes=(3, 3, 3)), (14, 14)),
        Case("SteerableCNN", lambda: SteerableCNN(P4(), architecture=STEERABLE, fields="irreps"), (18, 18), (1,)),
        Case("ResNet", lambda: ResNet(GROUP, Architecture((1, 1)), 4), (12, 12)),
        Case("WideResNet", lambda: WideResNet([P4M(), P4(), P4()], 10, 0.25, dropout=0), (17, 17)),
        Case("ChannelPooledCNN", lambda: ChannelPooledCNN(4, 8), (28, 28), (1,)),
        Case("ChannelPooledVGG", lambda: ChannelPooledVGG(4, 4, classes=5), (12, 12), (3,)),
        Case("ChannelPooledResNet18", lambda: ChannelPooledResNet18(4, 4, classes=5), (17, 17), (3,)),
    )
}
