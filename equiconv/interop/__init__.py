"""Working with other libraries."""

from equiconv.interop.ceconv import CEConv2d, GroupCosetAvgPool, GroupCosetMaxPool, from_ceconv
from equiconv.interop.checkpoints import read_checkpoint
from equiconv.interop.e2cnn import from_e2cnn
from equiconv.interop.plain import to_torch
from equiconv.interop.sepgroupy import (
    P4ConvP4,
    P4ConvZ2,
    P4MConvP4M,
    P4MConvZ2,
    from_sepgroupy,
    gcP4ConvP4,
    gcP4ConvZ2,
    gcP4MConvP4M,
    gcP4MConvZ2,
    gP4ConvP4,
    gP4ConvZ2,
    gP4MConvP4M,
    gP4MConvZ2,
)

__all__ = [
    "CEConv2d",
    "GroupCosetAvgPool",
    "GroupCosetMaxPool",
    "P4ConvP4",
    "P4ConvZ2",
    "P4MConvP4M",
    "P4MConvZ2",
    "from_ceconv",
    "from_e2cnn",
    "from_sepgroupy",
    "gP4ConvP4",
    "gP4ConvZ2",
    "gP4MConvP4M",
    "gP4MConvZ2",
    "gcP4ConvP4",
    "gcP4ConvZ2",
    "gcP4MConvP4M",
    "gcP4MConvZ2",
    "read_checkpoint",
    "to_torch",
]
