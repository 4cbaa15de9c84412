"""The convolutions of e2cnn as ours: which layer, and which basis."""

from collections.abc import Callable, Iterator
from functools import reduce
from operator import add
from typing import Any

from torch import nn

from equiconv.bases import Derivatives, Harmonics, Pixels, SpatialBasis
from equiconv.errors import EquiconvError, FieldTypeError
from equiconv.groups import FieldType
from equiconv.interop.e2cnn.fields import Fields
from equiconv.interop.e2cnn.fitting import FIT, fit, wanted
from equiconv.interop.e2cnn.names import e2cnn_name
from equiconv.interop.e2cnn.zeros import ZeroFields
from equiconv.layers import GroupConv2d, GroupConvTranspose2d
from equiconv.sums import SumPipeline

Layer = GroupConv2d | GroupConvTranspose2d
Make = Callable[[Any, SpatialBasis, FieldType, FieldType, bool], Layer]


def convolution(module: Any) -> nn.Module:
    """Convert an ``R2Conv``."""
    return _fitted(module, _bases(module), _plain)


def transposed(module: Any) -> nn.Module:
    """Convert an ``R2ConvTransposed``."""
    return _fitted(module, _bases(module), _transposed)


def differential(module: Any) -> nn.Module:
    """Convert an ``R2Diffop``."""
    return _fitted(module, _stencils(module), _plain)


def _plain(module: Any, basis: SpatialBasis, in_type: FieldType, out_type: FieldType, bias: bool) -> Layer:
    return GroupConv2d(
        in_type,
        out_type,
        module.kernel_size,
        stride=module.stride,
        padding=module.padding,
        dilation=module.dilation,
        padding_mode=module.padding_mode,
        bias=bias,
        channel_groups=module.groups,
        basis=basis,
        exact=False,
    )


def _transposed(module: Any, basis: SpatialBasis, in_type: FieldType, out_type: FieldType, bias: bool) -> Layer:
    return GroupConvTranspose2d(
        in_type,
        out_type,
        module.kernel_size,
        stride=module.stride,
        padding=module.padding,
        output_padding=module.output_padding,
        dilation=module.dilation,
        bias=bias,
        channel_groups=module.groups,
        basis=basis,
        exact=False,
    )


def _layer(module: Any, basis: SpatialBasis, make: Make) -> nn.Module:
    """Return the layer; one into the fields that a kernel reaches, if there are others, which stay zero."""
    in_type, out_type = Fields(module.in_type).type, Fields(module.out_type).type
    bias = module.bias is not None
    try:
        return make(module, basis, in_type, out_type, bias)
    except FieldTypeError:
        zero = SumPipeline(out_type.representation, in_type.representation, basis).unreached
        reached = [summand for summand in out_type.representation.summands if summand not in zero]
        if not reached or (bias and any(len(summand.fixed) for summand in zero)):
            raise
    part = FieldType(reduce(add, reached), out_type.n)
    return nn.Sequential(make(module, basis, in_type, part, bias), ZeroFields(part, out_type, zero))


def _bases(module: Any) -> Iterator[SpatialBasis]:
    """Yield bases that may span the kernels: e2cnn's default one, then one of the rings that occur."""
    size = (module.kernel_size, module.kernel_size)
    attributes = [a for block in module.basisexpansion.children() for a in block.get_basis_info()]
    if module.kernel_size != 2:
        yield Harmonics.e2cnn(size)
    widths = {float(a["radius"]): float(a["sigma"]) for a in attributes}
    rings = sorted(widths)
    highest = [max(abs(int(a["frequency"])) for a in attributes if float(a["radius"]) == r) for r in rings]
    scale = 1 / module.dilation  # e2cnn measures in pixels of the image, we in pixels of the kernel
    yield Harmonics(
        size,
        rings=[r * scale for r in rings],
        widths=[widths[r] * scale for r in rings],
        frequencies=highest,
        fading=False,
        decay=0,
    )


def _stencils(module: Any) -> Iterator[SpatialBasis]:
    """Yield bases that may span the stencils of differential operators."""
    size = (module.kernel_size, module.kernel_size)
    orders = [int(a["order"]) for block in module.basisexpansion.children() for a in block.get_basis_info()]
    yield Derivatives(size, max_order=min(max(orders), module.kernel_size - 1))
    yield Pixels(size)


def _fitted(module: Any, bases: Iterator[SpatialBasis], make: Make) -> nn.Module:
    """Return the layer with the first basis that spans the kernel, if there is one without more coefficients."""
    kernel, bias = wanted(module)
    spanning: list[nn.Module] = []
    missed = []
    for basis in bases:
        try:
            layer = _layer(module, basis, make)
        except EquiconvError as error:
            missed.append(str(error))
            continue
        residual = fit(layer, kernel, bias)
        if residual < FIT and _coefficients(layer) == module.weights.numel():
            return layer
        if residual < FIT:
            spanning.append(layer)
        else:
            missed.append(f"the kernels of {basis!r} miss {residual:.1e} of it")
    if not spanning:
        raise EquiconvError(_refused(module, missed))
    return spanning[0]


def _coefficients(layer: nn.Module) -> int:
    return sum(parameter.numel() for name, parameter in layer.named_parameters() if name.endswith("weight"))


def _refused(module: Any, missed: list[str]) -> str:
    why = (
        "e2cnn's finite differences are not equivariant under reflections, and for turns off the grid other stencils "
        "than those of equiconv.bases.Derivatives"
        if e2cnn_name(module) == "R2Diffop"
        else "e2cnn gives a second reflection axis in one process the kernels of the first: pass recompute=True there"
    )
    return f"the kernel of {type(module).__name__} has no equal in equiconv: {'; '.join(missed)}. {why}"
