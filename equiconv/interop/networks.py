"""The networks of CEConv and SepGroupPy, read off the names and shapes of their weights."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor, nn

from equiconv.errors import EquiconvError
from equiconv.groups import Group
from equiconv.interop.weights import Parts, fill
from equiconv.layers import GroupConv2d
from equiconv.models import CNN, Architecture, ResNet
from equiconv.models.architecture import STEMS

State = Mapping[str, Tensor]
Net = TypeVar("Net", bound=nn.Module)


@dataclass(frozen=True)
class Names:
    """Say how the layers of a residual network are called.

    Args:
        stages: what stands before the number of a stage.
        first: the number of the first stage.
        shortcut: the shortcut of a block.
        head: the linear layer.
    """

    stages: str
    first: int
    shortcut: str
    head: str

    def blocks(self, counts: Sequence[int]) -> Iterator[str]:
        """Yield the names of all blocks."""
        for stage, count in enumerate(counts):
            yield from (f"{self.stages}{stage + self.first}.{block}" for block in range(count))


def numbered(state: State, prefix: str) -> int:
    """Return how many numbers stand behind a prefix in the names."""
    return len({found[1] for name in state if (found := re.match(re.escape(prefix) + r"(\d+)\.", name))})


def tensor(state: State, *names: str, dims: Sequence[int] = (4, 5)) -> Tensor:
    """Return the tensor of the first of the names that is there, or raise EquiconvError unless it has so many axes."""
    for name in names:
        if name in state:
            if state[name].dim() not in dims:
                raise EquiconvError(f"the state dict does not fit: {name} is {tuple(state[name].shape)}")
            return state[name]
    raise EquiconvError(f"the state dict does not fit: {names[-1]} is missing")


def fields(state: State, name: str) -> tuple[int, int]:
    """Return the number of fields that leave a hidden convolution, and the fiber of those that enter it."""
    weight = tensor(state, f"{name}.pointwise_weight", f"{name}.0.weight", f"{name}.weight")
    return weight.shape[0], weight.shape[2] if weight.dim() == 5 else 1


def side(state: State, name: str) -> int:
    """Return the columns of a kernel."""
    return tensor(state, f"{name}.depthwise_weight", f"{name}.1.weight", f"{name}.weight").shape[-1]


def factorization(state: State, name: str) -> str | None:
    """Return how a hidden convolution is factorized."""
    if f"{name}.pointwise_weight" in state:
        spatial = state.get(f"{name}.depthwise_weight")
        return "gc" if spatial is not None and spatial.dim() == 5 else "g"
    return "c" if f"{name}.1.weight" in state else None


def head_pool(head: Tensor, width: int, fiber: int) -> str | None:
    """Return how the group was pooled in front of a head: None if it was flattened into channels."""
    return None if head.shape[1] == width * fiber != width else "max"


def matched(net: Net, state: State, parts: Parts) -> Net:
    """Return the network in the precision and on the device of the weights, with the weights."""
    some = next((value for value in state.values() if value.is_floating_point()), None)
    if some is None:
        raise EquiconvError("the state dict does not fit: there are no weights of a floating-point type")
    net.to(some.device, some.dtype)
    fill(parts, state)
    return net


def digits(state: State, group_of: Callable[[int], Group], *, dropout: float) -> CNN:
    """Return the network with the layers conv1, bn1, conv2 ... fc."""
    count = numbered(state, "conv")
    names, head = [f"conv{number}" for number in range(1, count + 1)], tensor(state, "fc.weight", dims=(2,))
    (width, fiber), factors = fields(state, "conv2"), factorization(state, "conv2")
    net = CNN(
        group_of(fiber),
        width,
        in_channels=_channels(state, group_of(fiber)),
        classes=head.shape[0],
        kernel_sizes=[side(state, name) for name in names],
        factorization=factors,
        dropout=dropout,
        pool=head_pool(head, width, fiber),
    )
    pair = [f"{name}.{part}" for name in names[1:] for part in range(2)]
    convs = [names[0], *pair] if factors == "c" else names
    return matched(net, state, cnn_parts(net, convs, [f"bn{number}" for number in range(1, count + 1)]))


def _channels(state: State, group: Group) -> int:
    """Return the channels of the images; a group that moves colors needs three, and other weights will not fit."""
    return 3 if group.moves_color else tensor(state, "conv1.weight").shape[1]


def cnn_parts(net: CNN, convs: Iterable[str], norms: Iterable[str]) -> Parts:
    """Yield the names of all convolutions and batch norms, and the layers."""
    yield from zip(convs, _of_kind(net.features, GroupConv2d), strict=True)
    yield from zip(norms, _of_kind(net.features, nn.BatchNorm2d, nn.BatchNorm3d), strict=True)
    yield "fc", net.head


def _of_kind(modules: Iterable[nn.Module], *kinds: type[nn.Module]) -> list[nn.Module]:
    return [module for module in modules if isinstance(module, kinds)]


def residual(
    state: State, names: Names, group_of: Callable[[int], Group], *, preactivation: bool, stem_padding: int | None
) -> ResNet:
    """Return the residual network, with the strides that are published."""
    stages = [f"{names.stages}{names.first + stage}." for stage in range(numbered(state, names.stages))]
    numbers = [fields(state, f"{stage}0.conv1") for stage in stages]
    blocks, groups = tuple(numbered(state, stage) for stage in stages), [group_of(fiber) for _, fiber in numbers]
    factors, head = factorization(state, f"{stages[0]}0.conv1"), tensor(state, f"{names.head}.weight", dims=(2,))
    architecture = Architecture(
        blocks,
        bottleneck=any(name.startswith(f"{stages[0]}0.conv3.") for name in state),
        preactivation=preactivation,
        stem=_stem(state),
        stem_padding=stem_padding,
    )
    net = ResNet(
        groups,
        architecture,
        [width for width, _ in numbers],
        in_channels=_channels(state, groups[0]),
        classes=head.shape[0],
        factorization="gc" if factors == "c" else factors,
        pool=head_pool(head, numbers[-1][0] * architecture.expansion, numbers[-1][1]),
        exact=False,
    )
    return matched(net, state, _residual_parts(net, names, blocks))


def _stem(state: State) -> str:
    """Return the stem with kernels of that size."""
    size = side(state, "conv1")
    for stem, columns in STEMS.items():
        if size == columns:
            return stem
    raise EquiconvError(f"the state dict does not fit: conv1.weight has {size} columns and not 3 or 7")


def _residual_parts(net: ResNet, names: Names, counts: Sequence[int]) -> Parts:
    yield from _counted(net.stem, "")
    for name, block in zip(names.blocks(counts), net.blocks, strict=True):
        convs: Any = block.convs
        yield from _counted(convs, f"{name}.")
        if isinstance(block.shortcut, nn.Sequential):
            yield from ((f"{name}.{names.shortcut}.{place}", part) for place, part in enumerate(block.shortcut))
    yield from _counted(net.end, "")
    yield names.head, net.head


def _counted(modules: Iterable[nn.Module], prefix: str) -> Parts:
    """Yield conv1, conv2 ... and bn1, bn2 ... of some modules."""
    layers = list(modules)
    for number, conv in enumerate(_of_kind(layers, GroupConv2d), 1):
        yield f"{prefix}conv{number}", conv
    for number, norm in enumerate(_of_kind(layers, nn.BatchNorm2d, nn.BatchNorm3d), 1):
        yield f"{prefix}bn{number}", norm
