"""Constant tables of a module that keep their precision."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equiconv.recorded import Recorded


class Tables(Recorded):
    """Hold constant tables as non-persistent buffers that follow the dtype and device of the module.

    The master copy of each table is a NumPy array in double precision: ``module.double()`` brings the tables to full
    precision even if the module was made in float32, and a module made on the meta device has its tables once it is
    moved to a real one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._masters: dict[str, NDArray] = {}
        self._wide: set[str] = set()

    def add_table(self, name: str, values: NDArray, *, wide: bool = False) -> None:
        """Add a table; floating-point tables take the default dtype of torch, integer tables int64.

        Args:
            name: of the buffer.
            values: the table.
            wide: keep float32 at least, whatever the dtype of the module.
        """
        self._wide |= {name} if wide else set()
        dtype = torch.get_default_dtype() if np.issubdtype(values.dtype, np.floating) else torch.int64
        self._masters[name] = np.array(values)
        self.register_buffer(name, torch.tensor(self._masters[name], dtype=dtype), persistent=False)

    def settle(self, device: torch.device) -> None:
        """Bring tables that are still on the meta device to ``device``, where loaded parameters or inputs are."""
        for name in self._masters:
            if getattr(self, name).is_meta and device.type != "meta":
                self._refill(name, device)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        result: Any = super()._apply(fn, recurse)
        for name in self._masters:
            self._refill(name, self.get_buffer(name).device)
        return result

    def _refill(self, name: str, device: torch.device) -> None:
        dtype = self.get_buffer(name).dtype
        dtype = torch.promote_types(dtype, torch.float32) if name in self._wide else dtype
        self._buffers[name] = torch.tensor(self._masters[name], dtype=dtype, device=device)
