"""What all layers share."""

from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

import torch
from torch import Tensor

from equiconv.errors import FieldTypeError
from equiconv.groups.field_type import FieldType, as_type
from equiconv.groups.representation import Representation
from equiconv.tables import Tables


class FieldLayer(Tables):
    """Know the field types that go in and come out.

    Attributes:
        takes_tones: whether fields may go in that are not moved linearly: images whose colors are shifted.
    """

    takes_tones: ClassVar[bool] = False

    def __init__(self, in_type: FieldType | Representation, out_type: FieldType | Representation) -> None:
        super().__init__()
        self.in_type, self.out_type = as_type(in_type), as_type(out_type)
        if not self.takes_tones and not self.in_type.representation.is_linear:
            raise FieldTypeError(
                f"{type(self).__name__} does not commute with shifts of colors as those of {self.in_type!r}: lift the "
                "images first, GroupConv2d(group.image, n * group.regular, ...)"
            )

    def laid_out(self, fields: Tensor, x: Tensor) -> Tensor:
        """Return the output ``fields`` (b, n, d, h, w) in the layout of ``out_type`` and the memory format of ``x``."""
        flat = in_format_of(fields.flatten(1, 2), self.in_type.flatten(x))  # (b, n*d, h, w)
        return self.out_type.unflatten(flat)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"


def full_precision(x: Tensor) -> AbstractContextManager[object]:
    """Return a context in which autocast is off, on the device of ``x``."""
    device = x.device.type
    return nullcontext() if device == "meta" else torch.autocast(device, enabled=False)


def in_format_of(y: Tensor, x: Tensor) -> Tensor:
    """Return ``y`` in channels_last if ``x`` is; both are (B, C, H, W)."""
    if x.shape[1] > 1 and x.stride(1) == 1 and not x.is_contiguous():  # vmap knows strides, but not this format
        return y.contiguous(memory_format=torch.channels_last)
    return y


def check_flags(layer: str, **flags: bool) -> None:
    """Raise FieldTypeError unless all are True or False."""
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise FieldTypeError(f"{layer}: {name} is True or False; got {value!r}")


def check_function(function: object, layer: str) -> None:
    """Raise FieldTypeError unless ``function`` can be called."""
    if not callable(function):
        raise FieldTypeError(f"{layer} needs a function of a tensor, such as torch.relu; got {function!r}")


def shown(function: object) -> object:
    """Return what a repr shows of a function: its name, if it has one."""
    return getattr(function, "__name__", function)
