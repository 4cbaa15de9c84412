"""Channels in another order and basis."""

from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from equiconv.errors import ShapeError
from equiconv.groups import FieldType
from equiconv.groups.laws import snapped
from equiconv.tables import Tables


class ChangeOfBasis(Tables):
    """Multiply the channels by a matrix, from or to the layout of e2cnn, in which all fields are flat.

    Args:
        matrix: ``(C', C)``, sparse or not.
        in_type: our type of the input; None for the layout of e2cnn, ``(B, C, H, W)``.
        out_type: our type of the output; None for the layout of e2cnn.
    """

    source: Tensor
    factors: Tensor
    matrix: Tensor

    def __init__(self, matrix: Any, *, in_type: FieldType | None = None, out_type: FieldType | None = None) -> None:
        super().__init__()
        self.in_type, self.out_type = in_type, out_type
        rows = scipy.sparse.csr_array(matrix)
        rows.data = snapped(rows.data)
        rows.eliminate_zeros()
        self.channels = rows.shape[1]
        self.selects = bool((np.diff(rows.indptr) == 1).all())
        self.scales = self.selects and bool((rows.data != 1).any())
        if self.selects:
            self.add_table("source", rows.indices.astype(np.int64))
        else:
            self.add_table("matrix", rows.toarray())
        if self.scales:
            self.add_table("factors", rows.data[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """Return the tensor in the other layout."""
        self.settle(x.device)
        if self.in_type is not None:
            x = self.in_type.flatten(x)  # (b, c, h, w)
        elif x.dim() != 4 or x.shape[1] != self.channels:
            raise ShapeError(f"tensors of this type of e2cnn are (B, {self.channels}, H, W); got {tuple(x.shape)}")
        if self.selects:
            y = x[:, self.source]  # (b, c', h, w)
            y = y * self.factors.to(x.dtype) if self.scales else y
        else:
            y = torch.einsum("oc,bchw->bohw", self.matrix.to(x.dtype), x)
        return y if self.out_type is None else self.out_type.unflatten(y)

    @property
    def is_identity(self) -> bool:
        """Whether tensors stay as they are."""
        flat = all(kind is None or kind.flat for kind in (self.in_type, self.out_type))
        same = self.selects and not self.scales and len(self._masters["source"]) == self.channels
        return flat and same and np.array_equal(self._masters["source"], np.arange(self.channels))

    def extra_repr(self) -> str:
        """Return the types."""
        return f"in_type={self.in_type!r}, out_type={self.out_type!r}"
