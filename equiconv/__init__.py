"""Convolutions that are equivariant to rotations, reflections, hue shifts, and products of them."""

from equiconv.converting import convert
from equiconv.errors import EquiconvError
from equiconv.exporting import export
from equiconv.groups import (
    O2,
    P4,
    P4M,
    SO2,
    Cyclic,
    Dihedral,
    FieldType,
    Flip,
    Group,
    HueShift,
    Representation,
    Trivial,
)
from equiconv.layers import ColorSpace, FieldBatchNorm, FieldDropout, GroupConv2d, GroupPool, Pointwise, SpatialPool
from equiconv.saving import load, save
from equiconv.version import __version__ as __version__

__all__ = [
    "O2",
    "P4",
    "P4M",
    "SO2",
    "ColorSpace",
    "Cyclic",
    "Dihedral",
    "EquiconvError",
    "FieldBatchNorm",
    "FieldDropout",
    "FieldType",
    "Flip",
    "Group",
    "GroupConv2d",
    "GroupPool",
    "HueShift",
    "Pointwise",
    "Representation",
    "SpatialPool",
    "Trivial",
    "convert",
    "export",
    "load",
    "save",
]
