"""Dropout that keeps equivariance."""

import torch
from torch import Tensor

from equiconv.errors import FieldTypeError
from equiconv.groups.field_type import FieldType
from equiconv.groups.representation import Representation
from equiconv.groups.values import is_number
from equiconv.layers.layer import FieldLayer

__all__ = ["FieldDropout"]


class FieldDropout(FieldLayer):
    """Zero whole fields, in the entire plane, during training; scale the others by 1 / (1 - p).

    For 5-D fields ``nn.Dropout3d`` does the same; for flat ones with several entries, such as images, the stock
    ``nn.Dropout2d`` drops single entries and breaks equivariance.

    Equivariance:
        Exact on every group: ``dropout(in_type.transform(x, g)) == in_type.transform(dropout(x), g)`` for the same
        random draw.

    Args:
        in_type: any field type.
        p: the probability that a field is dropped, 0 <= p <= 1.

    Raises:
        FieldTypeError: if p is out of range.

    Example:
        >>> import torch
        >>> from equiconv.groups import HueShift
        >>> dropout = FieldDropout(2 * HueShift(3).image, 0.5)
        >>> dropout(torch.ones(1, 6, 4, 4)).shape
        torch.Size([1, 6, 4, 4])
    """

    def __init__(self, in_type: FieldType | Representation, p: float = 0.5) -> None:
        super().__init__(in_type, in_type)
        if not is_number(p, 0, 1):
            raise FieldTypeError(f"FieldDropout: p is a probability, 0 <= p <= 1; got {p!r}")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Drop fields of a tensor of ``in_type``; return a tensor of the same type."""
        fields = self.in_type.fields(x)  # (b, n, d, h, w)
        if not self.training or self.p == 0:
            return x
        keep = torch.rand(fields.shape[:2], device=x.device) >= self.p  # (b, n)
        scale = keep.to(x.dtype) / max(1 - self.p, torch.finfo(x.dtype).tiny)
        return self.out_type.like(fields * scale[..., None, None, None])

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.in_type!r}, p={self.p}"
