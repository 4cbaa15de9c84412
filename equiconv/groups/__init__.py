"""Groups, their representations, and the field types made of them."""

from equiconv.groups.color import Color, HueShift, Luminance, Saturation, Value
from equiconv.groups.color_models import HSL, HSV, ColorModel, Hexagon, Lab
from equiconv.groups.continuous import O2, SO2
from equiconv.groups.field_type import FieldType
from equiconv.groups.group import Group
from equiconv.groups.plane import P4, P4M, Cyclic, Dihedral, Flip, Trivial
from equiconv.groups.product import DirectProduct
from equiconv.groups.representation import Representation
from equiconv.groups.subgroup import Subgroup
from equiconv.groups.tone import Tone

__all__ = [
    "HSL",
    "HSV",
    "O2",
    "P4",
    "P4M",
    "SO2",
    "Color",
    "ColorModel",
    "Cyclic",
    "Dihedral",
    "DirectProduct",
    "FieldType",
    "Flip",
    "Group",
    "Hexagon",
    "HueShift",
    "Lab",
    "Luminance",
    "Representation",
    "Saturation",
    "Subgroup",
    "Tone",
    "Trivial",
    "Value",
]
