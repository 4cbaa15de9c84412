"""Whether a module computes what its class in PyTorch does."""

import copy

import torch
from torch import nn

HARMLESS = {"__init__", "__module__", "__doc__", "__dict__", "__weakref__", "__repr__", "__annotations__",
            "__setstate__", "__getstate__", "__static_attributes__", "__firstlineno__", "__parameters__",
            "__orig_bases__", "__constants__", "extra_repr", "reset_parameters", "_get_name", "train"}  # fmt: skip


def stock_of(module: nn.Module) -> type[nn.Module]:
    """Return the class of PyTorch that a module is of."""
    return next(kind for kind in type(module).__mro__ if kind.__module__.startswith("torch.nn"))


def overridden(module: nn.Module) -> list[str]:
    """Return the names of what a subclass or an instance has put in the place of the class of PyTorch's."""
    stock = stock_of(module)
    known = {*dir(stock), *module._parameters, *module._buffers} - HARMLESS
    classes = type(module).__mro__[: type(module).__mro__.index(stock)]
    of_classes = [name for kind in classes for name in vars(kind) if name in known]
    of_instance = [name for name in vars(module) if callable(getattr(type(module), name, None))]
    return sorted({*of_classes, *of_instance})


def drops_samples(module: nn.Module) -> bool:
    """Tell whether a module gives each of many maps one factor, and in evaluation gives them as they are."""
    twin, x = copy.deepcopy(module), torch.ones(16, 64, 16, 16)  # so many that single entries would be seen
    with torch.random.fork_rng([]), torch.no_grad():
        try:
            drawn, still = twin.train()(x.clone()), twin.eval()(x.clone())
        except Exception:
            return False
    same = drawn.shape == still.shape == x.shape
    return same and torch.equal(still, x) and torch.equal(drawn, drawn[:, :1, :1, :1].expand_as(x))
