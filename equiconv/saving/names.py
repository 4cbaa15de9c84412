"""What a file may name: a fixed list of classes and functions, and those of the caller."""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from equiconv import bases, groups, layers, models
from equiconv.errors import SavingError
from equiconv.groups.product import DirectProduct
from equiconv.groups.subgroup import Subgroup
from equiconv.models.blocks import StrongestPool
from equiconv.models.residual import Halving
from equiconv.saving.file import OWN

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)

STOCK = """
AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d
AlphaDropout AvgPool1d AvgPool2d AvgPool3d BatchNorm1d BatchNorm2d BatchNorm3d CELU Conv1d Conv2d Conv3d
ConvTranspose1d ConvTranspose2d ConvTranspose3d Dropout Dropout1d Dropout2d Dropout3d ELU Flatten GELU GLU GroupNorm
Hardshrink Hardsigmoid Hardswish Hardtanh Identity InstanceNorm1d InstanceNorm2d InstanceNorm3d LayerNorm LeakyReLU
Linear LogSigmoid LogSoftmax MaxPool1d MaxPool2d MaxPool3d Mish PReLU PixelShuffle PixelUnshuffle RMSNorm ReLU ReLU6
ReflectionPad2d ReplicationPad2d SELU SiLU Sigmoid Softmax Softmax2d Softmin Softplus Softshrink Softsign SyncBatchNorm
Tanh Tanhshrink Threshold Unflatten Upsample UpsamplingBilinear2d UpsamplingNearest2d ZeroPad2d
"""  # of torch.nn

FUNCTIONS = "abs cos exp relu sigmoid sin square tanh"  # of torch

NONLINEAR = """
celu elu gelu hardshrink hardsigmoid hardswish hardtanh leaky_relu logsigmoid mish relu relu6 selu sigmoid silu softplus
softshrink softsign tanh tanhshrink
"""  # of torch.nn.functional


@cache
def classes() -> dict[str, type]:
    """Return the classes whose objects a file may hold, by name."""
    from equiconv.interop.ceconv import GroupCosetAvgPool  # what few need is imported late
    from equiconv.interop.e2cnn.layers import Both, FixedMask, Gates, OnPlane, PixelDropout
    from equiconv.interop.pooling import GroupCosetMaxPool, WindowMaxPool

    found: dict[str, type] = {}
    for module in (groups, bases, layers, models):
        public = {name: getattr(module, name) for name in module.__all__}
        found |= {f"{module.__name__}.{name}": kind for name, kind in public.items() if isinstance(kind, type)}
    del found["equiconv.groups.Representation"]  # written in its own way
    found |= {"equiconv.groups.DirectProduct": DirectProduct, "equiconv.groups.Subgroup": Subgroup}
    found |= {"equiconv.models.StrongestPool": StrongestPool, "equiconv.models.Halving": Halving}
    dropped_in = (GroupCosetAvgPool, GroupCosetMaxPool, WindowMaxPool, Both, FixedMask, Gates, OnPlane, PixelDropout)
    found |= {f"equiconv.interop.{kind.__name__}": kind for kind in dropped_in}
    stock = [getattr(nn, name) for name in STOCK.split()]
    return found | {f"torch.nn.{kind.__name__}": kind for kind in (*CONTAINERS, *stock)}


@cache
def functions() -> dict[str, Callable[..., Any]]:
    """Return the functions that a file may name as arguments: nonlinearities, and what makes a basis."""
    from equiconv.interop.e2cnn.layers import squashed

    found: dict[str, Callable[..., Any]] = {"equiconv.interop.squashed": squashed}
    for module, names in ((F, NONLINEAR), (torch, FUNCTIONS)):
        found |= {f"{module.__name__}.{name}": getattr(module, name) for name in names.split()}
    found["equiconv.layers.squash"] = layers.squash
    for kind in (bases.Pixels, bases.Harmonics, bases.Derivatives):
        found[f"equiconv.bases.{kind.__name__}"] = kind
    for make in (bases.Harmonics.e2cnn, bases.Harmonics.complete):
        found[f"equiconv.bases.{make.__qualname__}"] = make
    return found


@cache
def callables() -> dict[str, Callable[..., Any]]:
    """Return the functions that a file may name as arguments, and the classes of modules, for ``norm=nn.BatchNorm2d``.

    Called on the meta device, those of torch take no memory, and those of equiconv are looked at when they are made.
    """
    return functions() | {name: kind for name, kind in classes().items() if issubclass(kind, nn.Module)}


class Names:
    """Know objects by their names, and names by their objects.

    Args:
        known: classes and functions of the caller, which a file names ``own.`` and their qualified name.

    Raises:
        SavingError: if one of them is neither a class nor a function, or two have one name.
    """

    def __init__(self, known: Iterable[Callable[..., Any]] = ()) -> None:
        self.own: dict[str, Callable[..., Any]] = {}
        if isinstance(known, (str, type)) or not isinstance(known, Iterable):
            raise SavingError(f"known lists your own classes and functions, such as [MyNet]; got {known!r}")
        for each in known:
            self.add(each)

    def add(self, each: Callable[..., Any]) -> str:
        """Take a class or function of the caller; return its name."""
        if not hasattr(each, "__qualname__"):
            raise SavingError(f"known lists your own classes and functions, such as [MyNet]; got {each!r}")
        name = OWN + each.__qualname__
        if self.own.setdefault(name, each) is not each:
            raise SavingError(f"two classes or functions have the name {each.__qualname__}; rename one")
        return name

    def of_class(self, kind: type) -> str | None:
        """Return the name of a class of the fixed list; None of another."""
        return next((name for name, each in classes().items() if each is kind), None)

    def of_function(self, function: Callable[..., Any]) -> str | None:
        """Return the name of a function or a class of modules of the fixed lists; None of another."""
        return next((name for name, each in callables().items() if each == function), None)

    def is_fixed(self, function: object) -> bool:
        """Tell whether a function or a class is one of the fixed lists."""
        return any(each == function for each in callables().values())

    def the_class(self, name: object) -> type:
        """Return the class of a name, or raise SavingError."""
        kind = self._named(name, classes())
        if not isinstance(kind, type):
            raise SavingError(f"the file uses {name!r} as a class, and it is none")
        return kind

    def the_function(self, name: object) -> Callable[..., Any]:
        """Return the function, or the class of modules, of a name, or raise SavingError."""
        return self._named(name, callables())

    def _named(self, name: object, fixed: Any) -> Any:
        if not isinstance(name, str) or (name not in fixed and name not in self.own):
            own = isinstance(name, str) and name.startswith(OWN)
            hint = f"; give it to load: known=[{name.removeprefix(OWN)}]" if isinstance(name, str) and own else ""
            raise SavingError(f"the file names {name!r}, which this version of equiconv does not know{hint}")
        return fixed[name] if name in fixed else self.own[name]
