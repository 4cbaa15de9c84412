"""SepGroupPy and GrouPy: their layers under their names, and the weights of SepGroupPy."""

from equiconv.interop.pooling import GroupCosetMaxPool
from equiconv.interop.sepgroupy.layers import (
    GroupMaxPool2d,
    P4ConvP4,
    P4ConvZ2,
    P4MConvP4M,
    P4MConvZ2,
)
from equiconv.interop.sepgroupy.networks import from_sepgroupy
from equiconv.interop.sepgroupy.separable import (
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
    "GroupCosetMaxPool",
    "GroupMaxPool2d",
    "P4ConvP4",
    "P4ConvZ2",
    "P4MConvP4M",
    "P4MConvZ2",
    "from_sepgroupy",
    "gP4ConvP4",
    "gP4ConvZ2",
    "gP4MConvP4M",
    "gP4MConvZ2",
    "gcP4ConvP4",
    "gcP4ConvZ2",
    "gcP4MConvP4M",
    "gcP4MConvZ2",
]
