"""The networks by name."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from inspect import Parameter, signature
from typing import Any

from torch import nn

from equiconv.errors import EquiconvError
from equiconv.groups import Group
from equiconv.models.architecture import Architecture
from equiconv.models.channel_pooled import ChannelPooled, ChannelPooledCNN, ChannelPooledVGG
from equiconv.models.channel_pooled_resnet import ChannelPooledResNet18
from equiconv.models.cnn import CNN
from equiconv.models.resnet import RESNET18, RESNET34, RESNET44, RESNET50, RESNET101, RESNET152, ResNet
from equiconv.models.steerable import SteerableCNN
from equiconv.models.steerable_architecture import (
    STEERABLE,
    STEERABLE_LARGE,
    STEERABLE_SMALL,
    SteerableArchitecture,
)
from equiconv.models.wide_resnet import WideResNet

__all__ = ["create", "list_models"]


SHAPES = (Architecture, SteerableArchitecture)


@dataclass(frozen=True)
class _Entry:
    """Say in a line what a network is, and which options make it of its class."""

    line: str
    model: type[nn.Module]
    options: dict[str, object] = field(default_factory=dict)

    @property
    def ordinary(self) -> bool:
        """Whether there is no group."""
        return issubclass(self.model, ChannelPooled)

    @property
    def parameters(self) -> list[Parameter]:
        """The arguments of the class, but the group."""
        return list(signature(self.model).parameters.values())[0 if self.ordinary else 1 :]

    @property
    def shapes(self) -> tuple[str, ...]:
        """The options that change the architecture."""
        shape = self.options.get("architecture")
        return tuple(each.name for each in fields(shape)) if isinstance(shape, SHAPES) else ()


def _residual(line: str, architecture: Architecture, width: int) -> _Entry:
    return _Entry(line, ResNet, {"architecture": architecture, "widths": width})


RESIDUAL = {
    "resnet18": ("basic blocks, 7x7 stem, for 224x224 images", RESNET18, 64),
    "resnet34": ("basic blocks, 7x7 stem, for 224x224 images", RESNET34, 64),
    "resnet44": ("basic blocks, 3x3 stem, for 32x32 images", RESNET44, 32),
    "resnet50": ("bottlenecks, 7x7 stem, for 224x224 images", RESNET50, 64),
    "resnet101": ("bottlenecks, 7x7 stem, for 224x224 images", RESNET101, 64),
    "resnet152": ("bottlenecks, 7x7 stem, for 224x224 images", RESNET152, 64),
}
STEERABLE_NETWORKS = {
    "steerable-cnn": ("six steerable convolutions with blurring, for 29x29 images", STEERABLE),
    "steerable-cnn-small": ("six steerable convolutions, for 28x28 images", STEERABLE_SMALL),
    "steerable-cnn-large": ("six larger steerable convolutions, for 28x28 images", STEERABLE_LARGE),
}
MODELS = {
    "cnn": _Entry("seven convolutions, for 28x28 images; needs width", CNN),
    **{
        name: _Entry(line, SteerableCNN, {"architecture": architecture})
        for name, (line, architecture) in STEERABLE_NETWORKS.items()
    },
    **{name: _residual(*entry) for name, entry in RESIDUAL.items()},
    **{
        f"{name}-preact": _residual(f"{line}; preactivation", replace(architecture, preactivation=True), width)
        for name, (line, architecture, width) in RESIDUAL.items()
    },
    "wide-resnet16-8": _Entry("three wide stages of 2 blocks, each on a group", WideResNet, {"depth": 16, "widen": 8}),
    "wide-resnet28-10": _Entry(
        "three wide stages of 4 blocks, each on a group", WideResNet, {"depth": 28, "widen": 10}
    ),
    "cnn-basic": _Entry("no group: six convolutions, for 28x28 images; needs orders", ChannelPooledCNN),
    "vgg": _Entry("no group: eight convolutions, for 64x64 images; needs orders", ChannelPooledVGG),
    "resnet18-ien": _Entry(
        "no group: basic blocks, 3x3 stem, for 65x65 images; preactivation; needs orders", ChannelPooledResNet18
    ),
}


def list_models() -> dict[str, str]:
    """Return the names that ``create`` knows, and what each is in a line.

    Example:
        >>> list_models()["resnet44"]
        'basic blocks, 3x3 stem, for 32x32 images'
    """
    return {name: entry.line for name, entry in MODELS.items()}


def create(name: str, group: Group | Sequence[Group] | None = None, **options: object) -> nn.Module:
    """Return a network by its name.

    Equivariance:
        That of the class: ``CNN``, ``SteerableCNN``, ``ResNet`` or ``WideResNet``. Networks without a group have none
        until they are taught: ``ChannelPooledCNN``, ``ChannelPooledVGG`` and ``ChannelPooledResNet18``.

    Args:
        name: one of ``list_models()``.
        group: the group of the network, or a list of the groups of its layers, blocks or stages; None for networks that
            have none.
        options: arguments of the class; for residual networks also those of ``Architecture``, such as ``stem="small"``,
            and for steerable ones those of ``SteerableArchitecture``, such as ``pool="mean"``.

    Returns:
        The network.

    Raises:
        EquiconvError: if the name or an option is unknown, or an option or the group is missing, or there is a group
            where the network has none; and whatever the class raises.

    Example:
        >>> from equiconv.groups import HueShift, Trivial
        >>> plain = create("resnet18", Trivial(), classes=1000)
        >>> sum(p.numel() for p in plain.parameters())
        11689512
        >>> small = create("resnet18", HueShift(3), widths=(8, 16, 32, 64), stem="small")
    """
    check_group(name, group)
    entry = MODELS[name]
    _check_options(name, entry, options)
    arguments: dict[str, Any] = {**entry.options, **options}
    shape = {each: arguments.pop(each) for each in entry.shapes if each in options}
    if isinstance(architecture := arguments.get("architecture"), SHAPES):
        arguments["architecture"] = replace(architecture, **shape)
    return entry.model(*(() if entry.ordinary else (group,)), **arguments)


def check_group(name: str, group: object) -> None:
    """Raise EquiconvError unless there is a network of a name, and a group if it is on one; None is no group."""
    if name not in MODELS:
        raise EquiconvError(f"the networks are {', '.join(MODELS)}; got {name!r}")
    if not MODELS[name].ordinary and group is None:
        raise EquiconvError(f"{name!r} needs a group, such as P4(); on Trivial() it is an ordinary network")
    if MODELS[name].ordinary and group is not None:
        raise EquiconvError(f"{name!r} is an ordinary network, without a group: leave it out; got {group!r}")


def _check_options(name: str, entry: _Entry, options: dict[str, object]) -> None:
    """Raise unless the options are known, and none is missing."""
    known = [each.name for each in entry.parameters] + list(entry.shapes)
    unknown = [option for option in options if option not in known]
    if unknown:
        raise EquiconvError(f"the options of {name!r} are {', '.join(known)}; got {', '.join(unknown)}")
    needed = [each.name for each in entry.parameters if each.default is Parameter.empty]
    missing = [option for option in needed if option not in entry.options and option not in options]
    if missing:
        raise EquiconvError(f"{name!r} needs {', '.join(missing)}; pass them by name")
