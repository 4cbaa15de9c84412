"""How layers are told to compute what they compute."""

from typing import Any

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
            _set(layer, execution)


def _set(layer: GroupConv2d, execution: str) -> None:  # provisional: until "auto" is an execution
    if execution == "auto":
        _set(layer, "fourier" if accepts(layer, "fourier") else "dense")
        return
    before = layer.execution
    layer.execution = execution
    try:
        layer.plan = layer._make_plan()
    except FieldTypeError:
        layer.execution = before
        raise


def accepts(layer: GroupConv2d, execution: str) -> bool:
    """Tell whether an execution fits a layer; it is left with that execution if so."""
    try:
        set_execution(layer, execution)
    except FieldTypeError:
        return False
    return True


def chosen(layer: GroupConv2d, x: Tensor) -> str:
    """Return the execution that ``"auto"`` takes for an input."""
    set_execution(layer, "auto")
    plan_for: Any = getattr(layer, "plan_for", None)  # provisional, likewise
    return plan_for(x) if plan_for else layer.execution
