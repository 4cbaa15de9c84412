"""Weights by the names and shapes of CEConv and SepGroupPy, put into layers of equiconv."""

from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor, nn

from equiconv.bases import Pixels
from equiconv.errors import EquiconvError
from equiconv.groups import HueShift
from equiconv.groups.laws import Floats
from equiconv.layers import ColorSpace, GroupConv2d

NESTED = ("state_dict", "model_state_dict")
WRAPPERS = ("module.", "model.", "_orig_mod.")
AVERAGED = "n_averaged"  # which stands beside the names of torch's averaged models
SHOWN = 8  # faults in a message
CLOSE = 4e-3  # of a stored color matrix, which may have been rounded to bfloat16

Parts = Iterable[tuple[str, nn.Module]]  # the predecessor's name of a layer, and the layer here


def unwrapped(state_dict: Mapping[str, object]) -> dict[str, Tensor]:
    """Return the tensors of a state dict, or of a checkpoint that holds one, without the prefixes of wrappers.

    Raises:
        EquiconvError: if it holds anything but tensors, or nothing.
    """
    if not isinstance(state_dict, Mapping):
        raise EquiconvError(f"expected a state dict, names and tensors; got {type(state_dict).__name__}")
    state = _nested(state_dict)
    others = [str(name) for name, value in state.items() if not isinstance(value, Tensor)]
    if others or not state:
        raise EquiconvError(f"expected a state dict, names and tensors; not tensors are: {_listed(others) or 'all'}")
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    if all(name == AVERAGED or name.startswith("module.") for name in tensors):
        tensors.pop(AVERAGED, None)
    prefix = _wrappers(list(tensors))
    return {name.removeprefix(prefix): value for name, value in tensors.items()}


def _nested(state: Mapping[str, object]) -> Mapping[str, object]:
    """Return the state dict in a checkpoint: by a usual name, or the only mapping in it that holds tensors alone."""
    for name in NESTED:
        if isinstance(inner := state.get(name), Mapping):
            return _nested(inner)
    found = {name: value for name, value in state.items() if isinstance(value, Mapping) and _is_state(value)}
    if len(found) > 1:
        raise EquiconvError(f"the checkpoint holds several state dicts: {_listed(sorted(found))}; pass one of them")
    return next(iter(found.values()), state)


def _is_state(mapping: Mapping[Any, object]) -> bool:
    return len(mapping) > 0 and all(isinstance(k, str) and isinstance(value, Tensor) for k, value in mapping.items())


def shared_prefix(names: Iterable[str]) -> str:
    """Return the modules that all names begin with, such as ``net.``."""
    columns = zip(*(name.split(".")[:-1] for name in names), strict=False)
    return "".join(f"{column[0]}." for column in takewhile(lambda column: len(set(column)) == 1, columns))


def without_prefix(state: Mapping[str, Tensor], own: str = "") -> dict[str, Tensor]:
    """Return a state dict without what all names begin with, but for what those of the module begin with, ``own``."""
    prefix = shared_prefix(state)
    wrapper = prefix.removesuffix(own) if f".{prefix}".endswith(f".{own}") else ""
    return {name.removeprefix(wrapper): value for name, value in state.items()}


def _wrappers(names: list[str]) -> str:
    """Return the prefixes of wrappers that all names have in common."""
    prefix = ""
    while longer := next((prefix + each for each in WRAPPERS if all(n.startswith(prefix + each) for n in names)), ""):
        prefix = longer
    return prefix


class Weights:
    """Plan where the tensors of a state dict go; then copy all of them, or none if anything does not fit.

    Args:
        state: tensors by name.
    """

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        self.state = state
        self.plans: list[tuple[Tensor, Tensor]] = []
        self.seen: set[str] = set()
        self.faults: list[str] = []

    def take(self, name: str, *shapes: tuple[int, ...]) -> Tensor | None:
        """Return the tensor of a name, or None and note the fault if it is missing or has none of the shapes."""
        self.seen.add(name)
        value = self.state.get(name)
        if value is None:
            self.faults.append(f"{name} is missing")
            return None
        if tuple(value.shape) not in shapes:
            self.faults.append(f"{name} is {tuple(value.shape)} and not {' or '.join(map(str, shapes))}")
            return None
        return value

    def plan(self, target: Tensor, name: str, *shapes: tuple[int, ...]) -> None:
        """Let the tensor of a name, which has one of the shapes, go to ``target``, which has as many entries."""
        if (value := self.take(name, *shapes)) is not None:
            self.plans.append((target, value))

    def expect(self, name: str, matrix: Floats) -> None:
        """Note the fault unless the tensor of a name is the matrix of a hue shift."""
        value = self.take(name, matrix.shape)
        if value is not None and not torch.allclose(
            value.double().cpu(), torch.tensor(matrix.tolist(), dtype=torch.float64), atol=CLOSE
        ):
            self.faults.append(
                f"{name} is not the hue shift of the group: either of another number of hues, or it was learned "
                "without a constraint and its powers are no group"
            )

    def finish(self) -> None:
        """Copy what was planned, or raise EquiconvError and name the keys that do not fit."""
        unused = [f"{name} has no place" for name in self.state if name not in self.seen]
        if any(target.is_meta for target, _ in self.plans):
            raise EquiconvError(
                "the network is on the meta device, where it has no weights to fill: give it memory by "
                'net.to_empty(device="cpu") and then the weights'
            )
        if faults := [*self.faults, *unused]:
            raise EquiconvError(f"the state dict does not fit: {_listed(faults)}")
        with torch.no_grad():
            for target, value in self.plans:
                target.copy_(value.reshape(target.shape))


def _listed(texts: list[str]) -> str:
    more = len(texts) - SHOWN
    return "; ".join(texts[:SHOWN]) + (f"; and {more} more" if more > 0 else "")


def fill(parts: Parts, state: Mapping[str, Tensor]) -> None:
    """Put all tensors of a state dict into layers.

    Args:
        parts: the names of the layers in the state dict, and the layers.
        state: tensors by name.

    Raises:
        EquiconvError: if a tensor is missing, has another shape, or has no place; nothing is copied then.
    """
    weights = Weights(state)
    for name, module in parts:
        prefix = f"{name}." if name else ""
        if isinstance(module, GroupConv2d):
            _plan_convolution(weights, prefix, module)
        elif isinstance(module, ColorSpace):
            weights.faults.append(
                f"{name} is a learned color space, and CEConv's learned matrices are not shifts in one"
            )
        else:
            _plan_ordinary(weights, prefix, module)
    weights.finish()


def fill_named(module: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """Put a state dict into a module whose layers have the names that they have there, and return the module."""
    prefix = _wrappers(list(module.state_dict()))
    state = without_prefix(state, shared_prefix(name.removeprefix(prefix) for name in module.state_dict()))
    modules = module.named_modules(remove_duplicate=False)
    fill(((f"{name}.".removeprefix(prefix).rstrip("."), each) for name, each in modules), state)
    return module


def _plan_ordinary(weights: Weights, prefix: str, module: nn.Module) -> None:
    """Plan the module's own parameters and buffers; early checkpoints do not count batches."""
    for name, target in module.state_dict(keep_vars=True).items():
        key = f"{prefix}{name}"
        counts = name == "num_batches_tracked" and key not in weights.state
        if "." not in name and not counts:
            weights.plan(target, key, tuple(target.shape))


def _plan_convolution(weights: Weights, prefix: str, conv: GroupConv2d) -> None:
    if not isinstance(conv.basis, Pixels):
        weights.faults.append(f"{prefix.rstrip('.') or 'the layer'} has kernels of {conv.basis!r}, not of pixels")
        return
    if conv.factorization is None:
        weights.plan(conv.weight, f"{prefix}weight", *_free_shapes(conv))
    else:
        _plan_factors(weights, prefix, conv)
    if conv.bias is not None:
        weights.plan(conv.bias, f"{prefix}bias", (conv.out_type.n,))
    group, matrix = conv.in_type.group, f"{prefix}transformation_matrix"
    lifts = isinstance(group, HueShift) and conv.in_type.flat
    if lifts or (group.order == 1 and matrix in weights.state):
        weights.expect(matrix, group.color[1 % group.order])


def _fibers(conv: GroupConv2d) -> tuple[int, int]:
    """Return how many channels a kernel sees, and the entries of each; in flat maps every entry is a channel."""
    source = conv.in_type
    channels, entries = (source.channels, 1) if source.flat else (source.n, source.fiber)
    return channels // conv.channel_groups, entries


def _free_shapes(conv: GroupConv2d) -> list[tuple[int, ...]]:
    """Return the shapes of a free kernel: five axes, or the four of an ordinary convolution where nothing moves."""
    (channels, entries), o, size = _fibers(conv), conv.out_type.n, conv.window.kernel
    ordinary = [(o, channels * entries, *size)] if conv.in_type.group.order == 1 else []
    return [*ordinary, (o, channels, entries, *size)]


def _plan_factors(weights: Weights, prefix: str, conv: GroupConv2d) -> None:
    """Plan the pointwise and the spatial part; of an ordinary convolution these are two, one behind the other."""
    (i, f), o, size = _fibers(conv), conv.out_type.n, conv.window.kernel
    if conv.in_type.group.order == 1 and f"{prefix}0.weight" in weights.state:
        weights.plan(conv.pointwise, f"{prefix}0.weight", (o, i, 1, 1))
        weights.plan(conv.spatial, f"{prefix}1.weight", (o, 1, *size))
        return
    weights.plan(conv.pointwise, f"{prefix}pointwise_weight", (o, i, f, 1, 1))
    if conv.factorization == "gc":
        weights.plan(conv.spatial, f"{prefix}depthwise_weight", (o, 1, 1, *size))
    elif f"{prefix}depthwise_weight" in weights.state:
        weights.plan(conv.spatial, f"{prefix}depthwise_weight", (o, i, *size))
    else:
        weights.plan(conv.spatial, f"{prefix}weight", (o, i, 1, *size))
