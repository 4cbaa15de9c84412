"""Convolutions that are equivariant to rotations, reflections, hue shifts, and products of them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from equiconv.errors import EquiconvError
from equiconv.groups import (
    O2,
    P4,
    P4M,
    SO2,
    Color,
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
from equiconv.version import __version__ as __version__

if TYPE_CHECKING:
    from equiconv.converting import convert
    from equiconv.exporting import export
    from equiconv.saving import load, save

__all__ = [
    "O2",
    "P4",
    "P4M",
    "SO2",
    "Color",
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

LATER = {"convert": "converting", "export": "exporting", "load": "saving", "save": "saving"}  # slow to import


def __getattr__(name: str) -> Any:
    if name not in LATER:
        raise AttributeError(f"module 'equiconv' has no attribute {name!r}")
    return getattr(import_module(f"equiconv.{LATER[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
