"""Keep what is made of parameters for as long as they stay as they are."""

from collections.abc import Callable, Sequence
from typing import Any
from weakref import ref

import torch
from torch import Tensor, nn

COMPARED = ("cpu",)  # the kinds of device where reading all parameters keeps nobody waiting


def may_be_kept(parameters: Sequence[Tensor]) -> bool:
    """Tell whether what is made of tensors can serve again: they are real parameters, and nothing is traced.

    Where gradients of the parameters are wanted, each pass makes its own.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    if any(type(parameter) is not nn.Parameter or parameter.is_meta for parameter in parameters):
        return False  # replaced by ``torch.func.functional_call``, by a parametrization, or sharded
    return not (torch.is_grad_enabled() and any(parameter.requires_grad for parameter in parameters))


class Cache:
    """Keep values that are made of parameters; they are neither copied nor saved with the module that keeps them.

    On the CPU the parameters are compared with what they were, number by number, so that no change is missed. Elsewhere
    that would make the device wait; there the same parameters, without an operation in place, count as unchanged.
    Changes in place through ``.data``, which PyTorch does not record, call for ``clear`` there.
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[list[_Copy], Any]] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()

    def get(self, name: str, parameters: Sequence[Tensor], make: Callable[[], Any]) -> Any:
        """Return what ``make`` returned when the parameters were as they are.

        Args:
            name: which of the values that are made of these parameters.
            parameters: real parameters, not traced.
            make: makes the value.
        """
        if name in self._kept:
            copies, value = self._kept[name]
            if all(copy.is_still(parameter) for copy, parameter in zip(copies, parameters, strict=True)):
                return value
        with torch.inference_mode(False), torch.no_grad():
            value = make()
            self._kept[name] = [_Copy(parameter) for parameter in parameters], value
        return value

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), ()


class _Copy:
    """Know what a parameter was."""

    def __init__(self, parameter: Tensor) -> None:
        self.parameter = ref(parameter)
        self.state = _state(parameter)
        self.values = parameter.detach().clone() if parameter.device.type in COMPARED else None

    def is_still(self, parameter: Tensor) -> bool:
        """Tell whether the parameter is as it was."""
        if self.values is None:
            return self.parameter() is parameter and self.state is not None and self.state == _state(parameter)
        alike = (parameter.dtype, parameter.device) == (self.values.dtype, self.values.device)
        return alike and torch.equal(self.values, parameter.detach())


def _state(parameter: Tensor) -> tuple[object, ...] | None:
    """Return what changes when a parameter is written to; None if PyTorch does not record that."""
    if parameter.is_inference():
        return None
    return parameter.dtype, parameter.device, parameter.data_ptr(), parameter._version
