"""The pooling layers of e2cnn, over the plane and over fields, as ours."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, nn

from equiconv.errors import EquiconvError
from equiconv.groups import FieldType, Representation
from equiconv.interop.e2cnn.activations import check_blocks
from equiconv.interop.e2cnn.basis import ChangeOfBasis
from equiconv.interop.e2cnn.fields import Fields
from equiconv.interop.e2cnn.layers import FixedMask, OnPlane
from equiconv.interop.e2cnn.names import e2cnn_name
from equiconv.layers import AdaptivePool, BlurPool, Branches, GroupPool, NormPool, SpatialPool, Upsample


def maximum(module: Any) -> nn.Module:
    """Convert a ``PointwiseMaxPool``."""
    kind = Fields(module.in_type).type
    if module.ceil_mode or tuple(module.dilation) != (1, 1):
        window = {"stride": module.stride, "padding": module.padding, "dilation": module.dilation}
        return OnPlane(kind, nn.MaxPool2d(module.kernel_size, **window, ceil_mode=module.ceil_mode))
    return SpatialPool(kind, module.kernel_size, stride=module.stride, padding=module.padding, exact=False)


def blurred_maximum(module: Any) -> nn.Module:
    """Convert a ``PointwiseMaxPoolAntialiased``, which pads twice."""
    kind = Fields(module.in_type).type
    pool = SpatialPool(kind, module.kernel_size, stride=1, padding=module.padding, exact=False)
    return nn.Sequential(pool, _blur(kind, module.filter, module.stride, module._pad))


def mean(module: Any) -> nn.Module:
    """Convert a ``PointwiseAvgPool``."""
    kind = Fields(module.in_type).type
    if module.ceil_mode:
        pool = nn.AvgPool2d(module.kernel_size, stride=module.stride, padding=module.padding, ceil_mode=True)
        return OnPlane(kind, pool)
    window = {"stride": module.stride, "padding": module.padding}
    return SpatialPool(kind, module.kernel_size, **window, mode="mean", exact=False)


def blurred(module: Any) -> nn.Module:
    """Convert a ``PointwiseAvgPoolAntialiased``."""
    return _blur(Fields(module.in_type).type, module.filter, module.stride, module.padding)


def _blur(kind: FieldType, blur: Tensor, stride: Any, padding: Any) -> nn.Module:
    line = blur[0, 0].double().cpu().numpy()
    side = len(line)
    sigma = 1.0  # of a filter of one pixel
    if side > 1:
        reach = side // 2
        sigma = round(reach / math.sqrt(2 * math.log(line[reach, reach] / line[reach, 0])), 5)
    return BlurPool(
        kind, sigma=sigma, stride=stride, kernel_size=side, padding=padding, padding_mode="zeros", exact=False
    )


def adaptive(module: Any) -> nn.Module:
    """Convert a ``PointwiseAdaptiveAvgPool`` or ``PointwiseAdaptiveMaxPool``."""
    mode = "max" if e2cnn_name(module) == "PointwiseAdaptiveMaxPool" else "mean"
    return AdaptivePool(Fields(module.in_type).type, module.output_size, mode=mode, exact=False)


def longest(module: Any) -> nn.Module:
    """Convert a ``NormMaxPool``."""
    if module.ceil_mode or tuple(module.dilation) != (1, 1):
        raise EquiconvError("NormMaxPool has an equal only with dilation=1 and ceil_mode=False")
    window = {"stride": module.stride, "padding": module.padding}
    return SpatialPool(Fields(module.in_type).whole, module.kernel_size, **window, mode="norm", exact=False)


def over_group(module: Any) -> nn.Module:
    """Convert a ``GroupPooling``."""
    fields = Fields(module.in_type)
    return _invariant(module, fields, [kind.whole for kind in fields.unit], GroupPool)


def norms(module: Any) -> nn.Module:
    """Convert a ``NormPool``."""
    fields = Fields(module.in_type)
    return _invariant(module, fields, [kind.whole for kind in fields.unit], NormPool)


def induced_norms(module: Any) -> nn.Module:
    """Convert an ``InducedNormPool``."""
    fields = Fields(module.in_type)
    check_blocks(module.in_type, fields)
    return _invariant(module, fields, [kind.representation for kind in fields.unit], _longest_block)


def _longest_block(kind: FieldType) -> nn.Module:
    """Return the layer that takes the largest norm of the blocks of each field."""
    first = NormPool(kind, parts="blocks")
    return TypedSequential(first, GroupPool(first.out_type))


class TypedSequential(nn.Sequential):
    """Apply layers one after the other, and know the types of the first and the last."""

    @property
    def in_type(self) -> FieldType:
        """The type that goes in."""
        first: Any = self[0]
        return first.in_type

    @property
    def out_type(self) -> FieldType:
        """The type that comes out."""
        last: Any = self[-1]
        return last.out_type


def _invariant(
    module: Any, fields: Fields, unit: list[Representation], make: Callable[[FieldType], nn.Module]
) -> nn.Module:
    """Return a layer that makes one number of each field, in the order of e2cnn."""
    if len(unit) == 1:
        return make(FieldType(unit[0], fields.n))
    pool = Branches(*(make(FieldType(representation, fields.n)) for representation in unit))
    order = np.eye(fields.places.size)[np.argsort(fields.places.ravel())]
    out = Fields(module.out_type).type
    return nn.Sequential(pool, ChangeOfBasis(order, in_type=pool.out_type, out_type=out))


def mask(module: Any) -> nn.Module:
    """Convert a ``MaskModule``."""
    return FixedMask(Fields(module.in_type).type, module.mask[0, 0].detach().double().cpu().numpy())


def upsampling(module: Any) -> nn.Module:
    """Convert an ``R2Upsampling``."""
    kind, scale, size = Fields(module.in_type).type, module._scale_factor, module._size
    if module._mode == "bilinear" and not module._align_corners and isinstance(scale, int) and scale >= 1:
        return Upsample(kind, scale=scale, exact=False)
    corners = module._align_corners
    return OnPlane(kind, nn.Upsample(size=size, scale_factor=scale, mode=module._mode, align_corners=corners))
