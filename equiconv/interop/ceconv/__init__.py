"""CEConv: its layers under their names, and its weights."""

from equiconv.interop.ceconv.layers import CEConv2d, GroupCosetAvgPool, GroupMaxPool2d
from equiconv.interop.ceconv.networks import from_ceconv
from equiconv.interop.pooling import GroupCosetMaxPool

__all__ = ["CEConv2d", "GroupCosetAvgPool", "GroupCosetMaxPool", "GroupMaxPool2d", "from_ceconv"]
