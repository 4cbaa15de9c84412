"""Layers: modules with a field type in and a field type out."""

from equiconv.layers.activation import Pointwise
from equiconv.layers.color import ColorSpace
from equiconv.layers.conv import GroupConv2d
from equiconv.layers.dropout import FieldDropout
from equiconv.layers.nonlinear import FourierActivation, GatedActivation, NormActivation, NormPool
from equiconv.layers.norm import FieldBatchNorm
from equiconv.layers.pool import GroupPool, SpatialPool
from equiconv.layers.transposed import GroupConvTranspose2d

__all__ = [
    "ColorSpace",
    "FieldBatchNorm",
    "FieldDropout",
    "FourierActivation",
    "GatedActivation",
    "GroupConv2d",
    "GroupConvTranspose2d",
    "GroupPool",
    "NormActivation",
    "NormPool",
    "Pointwise",
    "SpatialPool",
]
