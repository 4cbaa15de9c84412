"""Functions and methods of tensors."""

import operator
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import fx
from torch.nn import functional as F

from equiconv.converting.combining import BINARY, combined
from equiconv.converting.draft import FIELDS, Value
from equiconv.converting.layers import check_pointwise, dropout, like, sampled
from equiconv.converting.ordinary import copied
from equiconv.converting.partial import REDUCTIONS, Partial, complete, reduced, reshaped
from equiconv.converting.planes import adaptive_pool, averaged, pool, upsample
from equiconv.converting.pooling import Windows
from equiconv.converting.shapes import expand, joined, over_channels, picked, reshape, separated
from equiconv.converting.sizes import replayed
from equiconv.converting.step import Step

POINTWISE = (
    "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "hardswish", "hardsigmoid",
    "hardtanh", "sigmoid", "tanh", "softplus", "softsign", "logsigmoid", "tanhshrink", "clamp", "abs", "neg", "square",
    "pow", "exp", "sqrt",
)  # fmt: skip
SHAPES = ("flatten", "view", "reshape", "squeeze", "unsqueeze", "contiguous", "clone")
POOLS = {"max_pool2d": "max", "avg_pool2d": "mean"}
ADAPTIVE = {"adaptive_avg_pool2d": "mean", "adaptive_max_pool2d": "max"}
DROPOUTS = ("dropout", "dropout2d")


def function_name(node: fx.Node) -> str:
    """Return the name of a function of torch or of a method of tensors, without the mark of what is done in place."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    stock = any(getattr(module, name, None) is node.target for module in (torch, F, operator, torch._C._nn))
    if node.op == "call_method" or stock:
        return name
    return ""


def function(step: Step) -> Any:
    """Convert a call of a function or a method."""
    name = function_name(step.node)
    plain = name.rstrip("_")
    binary = plain if plain in BINARY else plain[1:] if plain[:1] == "i" and plain[1:] in BINARY else ""
    if isinstance(step.node.kwargs.get("out"), fx.Node):
        step.refuse("it writes to out=, which convert does not follow")
    if binary:
        return combined(step, binary)
    step.check_planes()
    parts = [each for each in map(step.given, step.node.all_input_nodes) if isinstance(each, Partial)]
    if parts and plain in SHAPES:
        return reshaped(step, parts[0])
    if parts and plain not in REDUCTIONS:
        step.refuse("it takes maps of which a part of the plane was averaged; average the rest first")
    if plain in POINTWISE:
        return _pointwise(step)
    rule = RULES.get(plain)
    if rule is not None:
        return rule(step)
    values = [value for value in map(step.given, step.node.all_input_nodes) if isinstance(value, Value)]
    if any(value.is_map for value in values):
        step.refuse(REASONS.get(plain, "convert does not know whether it keeps fields"))
    return copied(step, *values)


def _pointwise(step: Step) -> Value:
    """Keep a function of every entry."""
    values = [each for each in map(step.given, step.node.all_input_nodes) if isinstance(each, Value)]
    value = values[0]
    if len(values) != 1 or len(step.node.all_input_nodes) != 1:
        step.refuse("it takes more than one tensor")
    check_pointwise(step, value)
    if value.kind == FIELDS and not step.draft.permutes:
        return like(value, sampled(step, value, partial(_applied, step.node)))
    args = fx.node.map_arg(step.node.args, lambda _: value.node)
    kwargs = fx.node.map_arg(step.node.kwargs, lambda _: value.node)
    return like(value, step.draft.graph.create_node(step.node.op, step.node.target, args, kwargs))


def _applied(node: fx.Node) -> Callable[..., Any]:
    """Return the function of one tensor that a call is."""
    target = getattr(torch.Tensor, node.target) if isinstance(node.target, str) else node.target
    options = {name: value for name, value in node.kwargs.items() if not isinstance(value, fx.Node)}
    place = next((place for place, each in enumerate(node.args) if isinstance(each, fx.Node)), 0)
    before, after = node.args[:place], tuple(each for each in node.args[place:] if not isinstance(each, fx.Node))
    return partial(_called, target, before, after, options) if before or after or options else target


def _called(target: Any, before: tuple[Any, ...], after: tuple[Any, ...], options: dict[str, Any], x: Any) -> Any:
    return target(*before, x, *after, **options)


def _first(step: Step) -> Value:
    value = step.given(step.node.args[0] if step.node.args else step.node.kwargs["input"])
    if not isinstance(value, Value):
        step.refuse("it takes something else than what is made of the image")
    return value


def _window(step: Step) -> Value:
    mode = POOLS[function_name(step.node)]
    names = {
        "max": ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices"),
        "mean": ("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"),
    }[mode]
    given = step.arguments(*names, read="kernel_size")
    value = given["input"]
    if given.get("return_indices") or given.get("divisor_override") is not None:
        step.refuse("return_indices and divisor_override are not known")
    windows = windows_of(given)
    if step.is_read((step.node.args[1:], step.node.kwargs)):
        if windows.kernel != value.plane or windows.padding != (0, 0):
            step.refuse("the size of its windows is read from a tensor, and is not that of the maps; say a number")
        return adaptive_pool(step, 1, mode, value)
    return pool(step, windows, mode, value)


def windows_of(options: Mapping[str, Any]) -> Windows:
    """Return windows for the arguments of a pooling in PyTorch."""
    kernel, stride = options["kernel_size"], options.get("stride")
    pairs = (kernel, kernel if stride in (None, ()) else stride, options.get("padding", 0), options.get("dilation", 1))
    kernel, stride, padding, dilation = (
        each if isinstance(each, tuple) else (each, each) for each in map(_tuple, pairs)
    )
    return Windows(
        kernel, stride, padding, dilation, bool(options.get("ceil_mode")), bool(options.get("count_include_pad", True))
    )


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else value


def _adaptive(step: Step) -> Value:
    given = step.arguments("input", "output_size", "return_indices")
    if given.get("return_indices"):
        step.refuse("return_indices is not known")
    return adaptive_pool(step, given["output_size"], ADAPTIVE[function_name(step.node)], given["input"])


def _dropout(step: Step) -> Any:
    given = step.arguments("input", "p", "training", "inplace", p=0.5)
    flags = step.node.meta["training"]
    if flags == (False, False):
        return given["input"]
    if flags != (True, False):
        step.refuse("it drops in evaluation too; say training=self.training")
    return dropout(step, given["p"], given["input"], entries=function_name(step.node) == "dropout")


def _reduced(step: Step) -> Any:
    name = function_name(step.node)
    given = step.arguments("input", "dim", "keepdim", "dtype", dim=None, keepdim=False)
    value, dim = given["input"], given["dim"]
    if isinstance(value, Partial):
        return complete(step, value, name, given)
    if not value.is_map:
        return copied(step, value)
    if (name == "max" and not isinstance(dim, int)) or given.get("dtype") is not None:
        step.refuse("of maxima convert knows those over one axis; of two maps torch.maximum; and no dtype=")
    dims = {each % 4 for each in (dim if isinstance(dim, list | tuple) else [dim]) if each is not None}
    pair = isinstance(step.node.meta["value"], tuple)  # maxima and where they are
    if dims == {2, 3}:
        return averaged(step, value, function=REDUCTIONS[name], keepdim=given["keepdim"])
    if len(dims) == 1 and dims <= {2, 3}:
        part = reduced(value, dims.pop(), name, keepdim=given["keepdim"])
        return [part, None] if pair else part
    if dims == {1} and given["keepdim"] and name != "sum":
        most = over_channels(step, value, REDUCTIONS[name])
        return [most, None] if pair else most
    return step.refuse(f"it reduces the dimensions {dim}; convert knows (2, 3), and 1 with keepdim=True")


def _interpolated(step: Step) -> Value:
    names = ("input", "size", "scale_factor", "mode", "align_corners", "recompute_scale_factor", "antialias")
    given = step.arguments(*names, read="size", size=None, scale_factor=None, mode="nearest")
    size = step.node.kwargs.get("size", step.node.args[1] if len(step.node.args) > 1 else None)
    if step.is_read(size):
        return upsample(step, given, given["input"], replayed(step.draft, size))
    if given.get("antialias"):
        step.refuse("antialias is not known")
    return upsample(step, given, given["input"])


def _joined(step: Step) -> Value:
    given = step.arguments("tensors", "dim", dim=0)
    return joined(step, given["tensors"], given["dim"])


def _separated(step: Step) -> list[Value]:
    given = step.arguments("input", "sizes", "dim", "chunks", "split_size_or_sections", "split_size", dim=0)
    return separated(step, given["input"], given["dim"])


def _picked(step: Step) -> Any:
    source, index = map(step.given, step.node.args)
    return picked(step, source, index)


RULES: dict[str, Callable[[Step], Any]] = {
    **dict.fromkeys(POOLS, _window),
    **dict.fromkeys(ADAPTIVE, _adaptive),
    **dict.fromkeys(DROPOUTS, _dropout),
    **dict.fromkeys(SHAPES, lambda step: reshape(step, _first(step))),
    **dict.fromkeys(("expand", "expand_as"), lambda step: expand(step, _first(step))),
    **dict.fromkeys(("mean", "amax", "max", "sum"), _reduced),
    **dict.fromkeys(("cat", "concat", "concatenate"), _joined),
    **dict.fromkeys(("chunk", "split"), _separated),
    "interpolate": _interpolated,
    "getitem": _picked,
}

REASONS = {
    **dict.fromkeys(
        ("permute", "transpose", "movedim", "swapaxes", "t"), "it mixes up channels and pixels, which move differently"
    ),
    **dict.fromkeys(
        ("matmul", "bmm", "einsum", "scaled_dot_product_attention"),
        "products of maps as matrices, as in attention, are not known to keep fields",
    ),
    **dict.fromkeys(("softmax", "log_softmax"), "of maps it mixes channels or pixels; do it behind the head"),
    "pad": "it adds channels or pixels by hand; use the padding of a convolution, or nn.ZeroPad2d",
    "conv2d": "it uses a parameter by hand; convert knows nn.Conv2d",
    "batch_norm": "it uses parameters by hand; convert knows nn.BatchNorm2d",
}
