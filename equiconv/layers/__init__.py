"""Layers: modules with a field type in and a field type out; and one for the channels of ordinary networks."""

from equiconv.layers.activation import Pointwise, VectorFieldActivation
from equiconv.layers.branches import Branches
from equiconv.layers.channel_pool import ChannelMaxPool
from equiconv.layers.color import ColorSpace
from equiconv.layers.conv import GroupConv2d
from equiconv.layers.dropout import FieldDropout
from equiconv.layers.fourier import FourierActivation
from equiconv.layers.nonlinear import GatedActivation, NormActivation, NormPool, squash
from equiconv.layers.norm import FieldBatchNorm, FieldGroupNorm, synchronize_batch_norms
from equiconv.layers.pool import GroupPool, Restrict, SubgroupPool
from equiconv.layers.smoothing import Antialiased, BlurPool, DiskMask
from equiconv.layers.spatial import AdaptivePool, SpatialPool
from equiconv.layers.transposed import GroupConvTranspose2d
from equiconv.layers.upsample import Upsample

__all__ = [
    "AdaptivePool",
    "Antialiased",
    "BlurPool",
    "Branches",
    "ChannelMaxPool",
    "ColorSpace",
    "DiskMask",
    "FieldBatchNorm",
    "FieldDropout",
    "FieldGroupNorm",
    "FourierActivation",
    "GatedActivation",
    "GroupConv2d",
    "GroupConvTranspose2d",
    "GroupPool",
    "NormActivation",
    "NormPool",
    "Pointwise",
    "Restrict",
    "SpatialPool",
    "SubgroupPool",
    "Upsample",
    "VectorFieldActivation",
    "squash",
    "synchronize_batch_norms",
]
