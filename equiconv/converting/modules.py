"""Modules: by which rule each class is converted."""

from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn

from equiconv.converting import layers, planes
from equiconv.converting.convolutions import convolution, linear, transposed
from equiconv.converting.draft import FIELDS, Value
from equiconv.converting.functions import windows_of
from equiconv.converting.ordinary import copied, left
from equiconv.converting.partial import Partial, reshaped
from equiconv.converting.shapes import reshape
from equiconv.converting.step import Step
from equiconv.converting.stock import drops_samples, overridden, stock_of
from equiconv.converting.tracing import DROPPED_PATHS, FUSED, is_inside
from equiconv.layers.layer import FieldLayer

Rule = Callable[[Step, Any, Value], Value]

POINTWISE = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Hardsigmoid,
    nn.Hardtanh, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Softsign, nn.Softshrink, nn.Hardshrink, nn.Tanhshrink,
    nn.LogSigmoid, nn.Threshold,
)  # fmt: skip


PADS = (nn.ZeroPad2d, nn.ConstantPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d, nn.CircularPad2d)


def _max_pool(step: Step, module: nn.MaxPool2d, value: Value) -> Value:
    if module.return_indices:
        step.refuse("return_indices is not known")
    return planes.pool(step, windows_of(vars(module)), "max", value)


def _average_pool(step: Step, module: nn.AvgPool2d, value: Value) -> Value:
    if module.divisor_override is not None:
        step.refuse("divisor_override is not known")
    return planes.pool(step, windows_of(vars(module)), "mean", value)


def _dropped_path(step: Step, module: nn.Module, value: Value) -> Value:
    if not drops_samples(step.draft.original.get_submodule(str(step.node.target))):
        step.refuse("its class is called as those that drop whole samples, and it does something else")
    if value.kind != FIELDS:
        return layers.like(value, _dropped(step, value))
    flat = layers.like(value, step.function(torch.flatten, value.node, 1, 2))  # (b, n*d, h, w), as the original takes
    return layers.like(value, step.draft.graph.call_method("view_as", (_dropped(step, flat), value.node)))


def _dropped(step: Step, value: Value) -> fx.Node:
    return layers.place(step, "drop_path", layers.clone(step), value, status="kept", why="drops whole samples")


RULES: dict[type[nn.Module], Rule] = {
    nn.Conv2d: convolution,
    nn.ConvTranspose2d: transposed,
    nn.Linear: linear,
    **dict.fromkeys(POINTWISE, layers.pointwise),
    nn.Identity: lambda step, module, value: layers.identity(step, value),
    nn.PReLU: layers.prelu,
    **dict.fromkeys((nn.BatchNorm2d, nn.BatchNorm1d, nn.SyncBatchNorm), layers.batch_norm),
    nn.GroupNorm: layers.group_norm,
    nn.InstanceNorm2d: layers.instance_norm,
    nn.LayerNorm: layers.layer_norm,
    nn.Dropout: lambda step, module, value: layers.dropout(step, module.p, value, entries=True),
    nn.Dropout2d: lambda step, module, value: layers.dropout(step, module.p, value, entries=False),
    nn.MaxPool2d: _max_pool,
    nn.AvgPool2d: _average_pool,
    nn.AdaptiveAvgPool2d: lambda step, module, value: planes.adaptive_pool(step, module.output_size, "mean", value),
    nn.AdaptiveMaxPool2d: lambda step, module, value: planes.adaptive_pool(step, module.output_size, "max", value),
    nn.Upsample: lambda step, module, value: planes.upsample(step, vars(module), value),
    nn.UpsamplingBilinear2d: lambda step, module, value: planes.upsample(step, vars(module), value),
    **dict.fromkeys(PADS, planes.zero_pad),
    nn.Flatten: lambda step, module, value: reshape(step, value),
    nn.Unflatten: lambda step, module, value: reshape(step, value),
}

REASONS: dict[type[nn.Module], str] = {
    nn.MultiheadAttention: "attention between pixels or tokens is not known to keep fields",
    nn.RNNBase: "it reads rows or tokens one after the other, which is not the same on a turned image",
    nn.modules.conv._ConvNd: "it is a convolution of other dimensions than two",
    nn.PixelShuffle: "it makes pixels of channels, and the group moves both; take nn.Upsample and a convolution",
    nn.PixelUnshuffle: "it makes channels of pixels, and the group moves both; take a convolution with a stride",
    nn.Unfold: "it makes channels of pixels, and the group moves both; take a convolution",
    nn.Softmax: "of maps it mixes channels or pixels; do it behind the head",
    FieldLayer: "it is a layer of equiconv already",
}


def module(step: Step) -> Any:
    """Convert a call of a module."""
    name = str(step.node.target)
    called = step.draft.twin.get_submodule(name)
    values = [step.given(node) for node in step.node.all_input_nodes]
    if any(isinstance(value, Partial) for value in values):
        if isinstance(called, nn.Flatten | nn.Unflatten):
            return reshaped(step, values[0])
        step.refuse("it takes maps whose pixels lie in one axis, or of which a part of the plane was averaged")
    if len(values) != 1 or not isinstance(values[0], Value):
        step.refuse("it takes something else than one tensor made of the image")
    value, alone = values[0], len(step.node.args) == 1 and not step.node.kwargs
    step.check_planes()
    if is_inside(name, step.options.left):
        if not alone:
            step.refuse("it shall be left as it is, and takes more than one tensor")
        return left(step, value)
    if type(called).__name__ in DROPPED_PATHS:
        return _dropped_path(step, called, value)
    _check_bare(step, called)
    rule = next((RULES[kind] for kind in type(called).__mro__ if kind in RULES), None)
    if rule is not None and alone:
        return rule(step, called, value)
    reason = next((REASONS[kind] for kind in type(called).__mro__ if kind in REASONS), None)
    if reason is not None and (value.is_map or isinstance(called, FieldLayer)):
        step.refuse(reason)
    return copied(step, value)


def _check_bare(step: Step, called: nn.Module) -> None:
    """Refuse modules to which something was added that would be lost."""
    if not isinstance(called, FieldLayer) and type(called).__name__ not in FUSED and (lost := overridden(called)):
        step.refuse(
            f"its {', '.join(lost)} is not that of {stock_of(called).__name__}, and would be lost; write what it "
            "does in the forward of a module around it"
        )
    if hasattr(called, "parametrizations") or called._forward_hooks or called._forward_pre_hooks:
        step.refuse("it has a parametrization or hooks, such as weight norm, which would be lost; remove them first")
