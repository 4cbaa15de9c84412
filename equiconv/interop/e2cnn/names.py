"""Which modules are those of e2cnn."""

from torch import nn


def e2cnn_name(module: nn.Module) -> str | None:
    """Return the class of e2cnn whose forward a module runs; None if it is not one of e2cnn's.

    A class derived from one of e2cnn's without a forward of its own computes what that does.
    """
    owner = next(base for base in type(module).__mro__ if "forward" in vars(base))
    return owner.__name__ if is_of_e2cnn(owner) else None


def is_of_e2cnn(kind: type) -> bool:
    """Tell whether a class is defined in e2cnn."""
    return kind.__module__.split(".")[0] == "e2cnn"


def is_derived(module: nn.Module) -> bool:
    """Tell whether a module is of a class of e2cnn, or one derived from it."""
    return any(is_of_e2cnn(base) for base in type(module).__mro__)


def holds_e2cnn(module: nn.Module) -> bool:
    """Tell whether a module, or one within it, is of e2cnn or derived from it, or has one of its types."""
    return any(
        is_derived(part) or any(is_of_e2cnn(type(value)) for value in vars(part).values()) for part in module.modules()
    )
