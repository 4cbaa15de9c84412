"""How layers are told to compute what they compute."""

from torch import Tensor, nn

from equiconv.errors import FieldTypeError
from equiconv.layers import GroupConv2d

__all__ = ["accepts", "chosen", "set_execution"]


def set_execution(module: nn.Module, execution: str) -> None:
    """Set the execution of every ``GroupConv2d`` in a module.

    Raises:
        FieldTypeError: if it does not fit one of them.
    """
    for layer in module.modules():
        if isinstance(layer, GroupConv2d):
            layer.execution = execution


def accepts(layer: GroupConv2d, execution: str) -> bool:
    """Tell whether an execution fits a layer; it is left with that execution if so."""
    try:
        layer.execution = execution
    except FieldTypeError:
        return False
    return True


def chosen(layer: GroupConv2d, x: Tensor) -> str:
    """Return the execution that ``"auto"`` takes for an input in training."""
    layer.execution = "auto"
    return layer.plan_for(x)
