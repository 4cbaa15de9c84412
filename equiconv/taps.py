"""Listening to the feature maps inside a network while it runs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.hooks import RemovableHandle

from equiconv.errors import FieldTypeError
from equiconv.groups import FieldType, Representation
from equiconv.groups.field_type import as_type
from equiconv.layers.layer import FieldLayer

__all__ = ["Tap", "Taps", "by_layer", "carried_by", "find_layers", "is_meant", "listed"]

Which = str | type[nn.Module]
Layers = Which | Sequence[Which]
Said = FieldType | Callable[[Tensor], Tensor]
Carried = Said | Representation

MIXING = (nn.modules.conv._ConvNd, nn.Linear)  # stock modules after which nothing is known of channels


class Tap(NamedTuple):
    """Hold what a module has returned.

    Args:
        name: that of the module; a second call of it ends on ``#2``.
        value: the tensor.
        field_type: what it is made of, if the module or one before it says so; else None.
        module: the module.
        version: how often the tensor had been changed in place; None where that is not counted.
    """

    name: str
    value: Tensor
    field_type: FieldType | None
    module: nn.Module
    version: int | None = None

    def check(self) -> None:
        """Raise FieldTypeError if the tensor was changed in place after the module had returned it."""
        if self.version is not None and self.value._version != self.version:
            raise FieldTypeError(
                f"the output of {self.name} was changed in place after it had run: write inplace=False, or out = out + "
                "x for out += x, behind it, or name the layer that changes it"
            )


class Taps:
    """Collect the outputs of some modules of a network in the order of their calls, while this context is entered.

    A module of equiconv knows the type of its output. A stock module behind it, such as ``nn.BatchNorm3d``, is taken to
    keep that type if its output has the same axes of channels, and it is no convolution or linear layer.

    Args:
        model: the network; it is not changed.
        layers: the modules: names as of ``model.named_modules()``, classes, or several of these; None takes all layers:
            those of equiconv, and stock modules that have no modules in them. The network itself goes by the name of
            its class.

    Raises:
        FieldTypeError: if a name or a class is not in the network; it lists what is.
    """

    def __init__(self, model: nn.Module, layers: Layers | None = None) -> None:
        self.wanted = find_layers(model, layers)
        self.heard = {**find_layers(model, None), **self.wanted}
        self.taps: list[Tap] = []
        self._handles: list[RemovableHandle] = []
        self._last: FieldType | None = None

    def __enter__(self) -> Self:
        self.taps = []
        self._last = None
        self._handles = [
            module.register_forward_hook(partial(self._listen, name)) for name, module in self.heard.items()
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()

    @property
    def silent(self) -> tuple[str, ...]:
        """The modules that were to be listened to and did not run, or returned no tensor."""
        return tuple(name for name in self.wanted if all(tap.name != name for tap in self.taps))

    def _listen(self, name: str, module: nn.Module, _: Any, output: Any) -> None:
        if not isinstance(output, Tensor):
            return
        known = getattr(module, "out_type", None)
        self._last = known if isinstance(known, FieldType) else _kept(self._last, module, output)
        if name in self.wanted:
            calls = 1 + sum(tap.name.partition("#")[0] == name for tap in self.taps)
            self.taps.append(
                Tap(name if calls == 1 else f"{name}#{calls}", output, self._last, module, _version(output))
            )


def _kept(last: FieldType | None, module: nn.Module, output: Tensor) -> FieldType | None:
    """Return the type of what came before, if an output may be of it."""
    if last is None or isinstance(module, MIXING):
        return None
    return last if output.dim() > 3 and output.shape[1:-2] == last.shape else None


def _version(x: Tensor) -> int | None:
    return None if torch.compiler.is_compiling() or x.is_inference() else x._version


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the network inside of what runs it on several devices, or compiled."""
    if isinstance(model, (nn.DataParallel, DistributedDataParallel)):
        return unwrapped(model.module)
    for inside in ("_orig_mod", "_forward_module"):  # of torch.compile, and of Lightning Fabric
        if isinstance(inner := getattr(model, inside, None), nn.Module):
            return unwrapped(inner)
    return model


def named_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules of a network with their names there; the network itself goes by that of its class.

    What is wrapped around it, to run it on several devices or compiled, has no part in the names.
    """
    for name, module in unwrapped(model).named_modules():
        yield name or type(module).__name__, module


def _single_layers(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers in a network, and nothing that is inside of them."""
    if isinstance(module, FieldLayer) or not any(module.children()):
        yield module
        return
    for part in module.children():
        yield from _single_layers(part)


def find_layers(model: nn.Module, layers: Layers | None) -> dict[str, nn.Module]:
    """Return the modules of a network that are meant, by their names, in its order.

    Args:
        model: the network.
        layers: as of ``Taps``.

    Raises:
        FieldTypeError: if a name or a class is not in the network.
    """
    modules = dict(named_modules(model))
    if layers is None:
        single = set(_single_layers(model))
        return {name: module for name, module in modules.items() if module in single}
    found: set[str] = set()
    for which in listed(layers):
        same = [name for name, module in modules.items() if is_meant(which, name, module)]
        if not same:
            known = ", ".join(modules) if isinstance(which, str) else _classes(modules)
            raise FieldTypeError(f"layers: {type(unwrapped(model)).__name__} has no {which!r}; it has {known}")
        found.update(same)
    return {name: module for name, module in modules.items() if name in found}


def listed(layers: Layers) -> tuple[Which, ...]:
    """Return names and classes as a tuple, or raise FieldTypeError if there is anything else."""
    wanted = (layers,) if isinstance(layers, str | type) else tuple(layers)
    if not wanted or any(not isinstance(which, str | type) for which in wanted):
        raise FieldTypeError(f"layers are names or classes of modules, at least one; got {layers!r}")
    return wanted


def is_meant(which: Which, name: str, module: nn.Module) -> bool:
    """Tell whether a name or a class means a module."""
    return name == which if isinstance(which, str) else isinstance(module, which)


def _classes(modules: Mapping[str, nn.Module]) -> str:
    return ", ".join(sorted({type(module).__name__ for module in modules.values()}))


def by_layer(carried: Carried | Mapping[Which, Carried] | None) -> dict[Which, Said]:
    """Return what the maps of layers carry by names and classes of these, names first.

    Args:
        carried: a field type, or a function that makes invariant channels of a map; or these by name or class; a
            representation stands for one field of it.

    Raises:
        FieldTypeError: if it is none of these.
    """
    if carried is None:
        return {}
    found: dict[Which, Carried] = dict(carried) if isinstance(carried, Mapping) else {nn.Module: carried}
    listed(tuple(found))
    said: dict[Which, Said] = {}
    for which in sorted(found, key=lambda which: not isinstance(which, str)):
        what = found[which]
        said[which] = as_type(what) if isinstance(what, Representation) else what
        if not isinstance(said[which], FieldType) and (isinstance(what, type) or not callable(what)):
            raise FieldTypeError(
                "carried is a field type, such as 16 * group.regular, or a function that makes invariant channels of a "
                f"map, such as ChannelMaxPool(4); or these by names and classes of layers; got {what!r}"
            )
    return said


def carried_by(said: Mapping[Which, Said], taps: Taps) -> list[Said | None]:
    """Return what is said of each map that was collected; None where nothing is.

    Raises:
        FieldTypeError: if something is said of a name or class that is none of the layers listened to.
    """
    for which in said:
        if not any(is_meant(which, name, module) for name, module in taps.wanted.items()):
            raise FieldTypeError(f"carried: {which!r} is none of the layers: {', '.join(taps.wanted)}")
    return [
        next((what for which, what in said.items() if is_meant(which, tap.name.partition("#")[0], tap.module)), None)
        for tap in taps.taps
    ]
