"""Fields that are zero: those of a convolution of e2cnn that no equivariant kernel reaches."""

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from equiconv.groups import FieldType, Representation
from equiconv.layers.layer import FieldLayer


class ZeroFields(FieldLayer):
    """Place the entries of fields among others that are zero.

    Args:
        in_type: n copies of some of the summands of ``out_type``, in their order.
        out_type: n copies of a sum.
        zero: the summands that are zero; the others are those of ``in_type``.
    """

    source: Tensor

    def __init__(self, in_type: FieldType, out_type: FieldType, zero: tuple[Representation, ...]) -> None:
        super().__init__(in_type, out_type)
        kept = [np.full(summand.dim, summand not in zero) for summand in out_type.representation.summands]
        filled = np.concatenate(kept)  # (d,)
        self.add_table("source", np.where(filled, filled.cumsum() - 1, in_type.fiber))  # (d,): the last is zero
        self.channels = np.flatnonzero(np.tile(filled, out_type.n))

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of ``out_type`` for one of ``in_type``."""
        self.settle(x.device)
        fields = F.pad(self.in_type.fields(x), (0, 0, 0, 0, 0, 1))  # (b, n, d + 1, h, w)
        return self.laid_out(fields[:, :, self.source], x)  # (b, n, d', h, w)
