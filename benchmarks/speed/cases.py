"""The layers that are measured."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from torch import nn

from benchmarks.speed.executions import accepts, set_execution
from equiconv.groups import P4, P4M, SO2, Cyclic, Group, HueShift, Trivial
from equiconv.layers import GroupConv2d

__all__ = ["DEPTHWISE", "LAYERS", "PLANS", "REFERENCE", "Build", "Case", "tiny"]

Build = Callable[[], nn.Module]

REFERENCE = "nn.Conv2d"
DEPTHWISE = "1x1, depthwise"
COLORS, SPATIAL, FACTORIZED = ("dense", "fourier"), ("dense", "steered"), ("dense", "separable")


@dataclass(frozen=True)
class Case:
    """Describe a layer and its input.

    Args:
        group: the group.
        fields: the number of regular fields in and out.
        factorization: as for ``GroupConv2d``.
        lifting: whether the input is an RGB image instead.
        kernel: the kernel size.
        harmonics: whether kernels are made of harmonics even where pixels are exact.
        executions: the executions to try; those that do not fit the layer are left out.
        batch: images in a batch.
        size: rows and columns of the feature map.
    """

    group: Group
    fields: int
    factorization: str | None = None
    lifting: bool = False
    kernel: int = 3
    harmonics: bool = False
    executions: tuple[str, ...] = COLORS
    batch: int = 8
    size: int = 32

    def layer(self, execution: str | None = None) -> GroupConv2d:
        """Return the layer, by default with the execution that it has by default; its padding keeps the size."""
        layer = GroupConv2d(
            1 * self.group.image if self.lifting else self.fields * self.group.regular,
            self.fields * self.group.regular,
            self.kernel,
            padding=self.kernel // 2,
            factorization=self.factorization,
            basis="harmonics" if self.harmonics else "auto",
        )
        if execution is not None:
            set_execution(layer, execution)
        return layer

    @property
    def channels(self) -> tuple[int, int]:
        """The channels in and out of the expanded layer."""
        channels = self.fields * self.group.regular.dim
        return 3 if self.lifting else channels, channels

    def dense(self) -> nn.Conv2d:
        """Return the ordinary convolution with as many channels and as large a kernel as the expanded layer has."""
        return nn.Conv2d(*self.channels, self.kernel, padding=self.kernel // 2)

    def depthwise(self) -> nn.Sequential:
        """Return an ordinary 1x1 convolution and a depthwise one, with as many channels as the expanded layer has."""
        _, channels = self.channels
        spatial = nn.Conv2d(channels, channels, self.kernel, padding=self.kernel // 2, groups=channels)
        return nn.Sequential(nn.Conv2d(*self.channels, 1, bias=False), spatial)

    def contestants(self) -> Iterator[tuple[str, Build]]:
        """Yield what computes the layer, by name: the reference, and the layer with each execution that fits it."""
        yield REFERENCE, self.dense
        if self.factorization == "gc":
            yield DEPTHWISE, self.depthwise
        for execution in self.executions:
            if accepts(self.layer(), execution):
                yield execution, partial(self.layer, execution)

    def input_shape(self, module: nn.Module) -> tuple[int, ...]:
        """Return the shape of the batch for one of the contestants."""
        shape = module.in_type.shape if isinstance(module, GroupConv2d) else self.channels[:1]
        return (self.batch, *shape, self.size, self.size)

    @property
    def name(self) -> str:
        """What the tables call the layer."""
        source = "image" if self.lifting else str(self.fields)
        kind = f", {self.factorization}" if self.factorization else ""
        size = f", {self.kernel}x{self.kernel}" if self.kernel != 3 or self.harmonics else ""
        return f"{self.group!r}: {source} -> {self.fields}{kind}{size}{' harmonics' if self.harmonics else ''}"


def tiny(cases: Iterable[Case]) -> list[Case]:
    """Return the cases with few fields on small maps; those that are the same then, once."""
    return list(dict.fromkeys(replace(case, fields=4, batch=2, size=9) for case in cases))


LAYERS = (
    Case(Trivial(), 64),
    Case(HueShift(3), 64),
    Case(HueShift(3), 64, factorization="g"),
    Case(P4(), 64),
    Case(P4M(), 64),
    Case(P4M(), 64, factorization="gc"),
    Case(P4M(), 64, lifting=True),
    Case(HueShift(3) * P4(), 32),
    Case(HueShift(3) * P4M(), 16),
    Case(HueShift(3) * P4M(), 16, lifting=True),
    Case(Cyclic(8), 16, kernel=5, harmonics=True),
    Case(P4M(), 64, kernel=5, harmonics=True),
    Case(Cyclic(16), 32, kernel=7, harmonics=True),
    Case(HueShift(3) * Cyclic(8), 16, kernel=5, harmonics=True),
    Case(SO2(3), 16, kernel=5, harmonics=True),
)
_plan = partial(Case, batch=16, size=16)
_steered = partial(_plan, executions=SPATIAL)
_factorized = partial(_plan, executions=FACTORIZED)
PLANS = (
    *(_plan(HueShift(n), 64) for n in (3, 4, 6, 8)),
    *(_plan(HueShift(n), 16) for n in (3, 4)),
    *(_plan(HueShift(n), 128, size=8) for n in (3, 8)),
    _plan(HueShift(3) * P4M(), 16),
    *(_plan(P4M(), fields, kernel=1, size=size) for fields, size in ((16, 16), (64, 16), (128, 8))),
    *(_steered(group, 64) for group in (P4(), P4M())),
    *(_steered(group, 128, size=8) for group in (P4(), P4M())),
    _steered(Cyclic(8), 32, kernel=5),
    _steered(Cyclic(8), 64, kernel=5, size=8),
    _steered(SO2(2), 16, kernel=5),
    _steered(P4M(), 64, lifting=True, size=32),
    *(_factorized(HueShift(3), 64, kind) for kind in ("g", "gc")),
    _factorized(HueShift(3), 1, "g", size=32),
    _factorized(P4M(), 64, "gc"),
    _factorized(P4M(), 128, "gc", size=8),
)
