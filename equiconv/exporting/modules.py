"""Make the modules that hold the weights, and give them the names of the layers that they come from."""

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from equiconv.exporting.affine import TRANSPOSED
from equiconv.exporting.constants import DROPOUTS
from equiconv.exporting.traced import PATH, VALUE, Traced, arguments, operator_name

CLASSES = {
    "conv1d": nn.Conv1d,
    "conv2d": nn.Conv2d,
    "conv3d": nn.Conv3d,
    "conv_transpose1d": nn.ConvTranspose1d,
    "conv_transpose2d": nn.ConvTranspose2d,
    "conv_transpose3d": nn.ConvTranspose3d,
}
KINDS = dict.fromkeys(CLASSES, "conv") | {"linear": "linear", "batch_norm": "norm"}
KINDS |= dict.fromkeys(DROPOUTS, "dropout")
DROPPED = {
    "dropout": nn.Dropout,
    "alpha_dropout": nn.AlphaDropout,
    "feature_alpha_dropout": nn.FeatureAlphaDropout,
}
BY_RANK = {2: nn.Dropout1d, 3: nn.Dropout1d, 4: nn.Dropout2d, 5: nn.Dropout3d}
NORMS = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}


@dataclass
class _Part:
    """Hold a module or tensor of the result, the layer that it comes from, and the nodes that use it."""

    path: str
    name: str
    value: nn.Module | Tensor
    nodes: list[fx.Node] = field(default_factory=list)


def build(traced: Traced) -> nn.Module:
    """Return the module that holds all that the graph reads; the nodes of the graph name its parts."""
    made: dict[str, nn.Parameter] = {}
    parts = [*_modules(traced, made), *_tensors(traced, made)]
    root = nn.Module()
    for part, target in zip(parts, _targets(parts), strict=True):
        _put(root, target, part.value)
        for node in part.nodes:
            node.target = target
    return root


def _modules(traced: Traced, made: dict[str, nn.Parameter]) -> Sequence[_Part]:
    """Turn calls into calls of modules; calls with the same weights share one."""
    parts: dict[str, _Part] = {}
    for node in list(traced.graph.nodes):
        kind = KINDS.get(operator_name(node))
        if kind is None or (kind == "dropout" and arguments(node)["train"]):  # one that drops in evaluation too
            continue
        key = f"{node.target} {fx.map_arg((node.args[1:], node.kwargs), lambda source: str(source.target))}"
        key = node.name if kind == "dropout" else key
        if key not in parts:
            module = _module(traced, node, kind, made)
            if module is None:
                continue
            parts[key] = _Part(node.meta[PATH], kind, module)
        parts[key].nodes.append(node)
        node.op, node.args, node.kwargs = "call_module", (node.args[0],), {}
    traced.sweep()
    return list(parts.values())


def _module(traced: Traced, node: fx.Node, kind: str, made: dict[str, nn.Parameter]) -> nn.Module | None:
    """Return the module of a call; None if its weights are computed from the input."""
    args = arguments(node)
    rank = len(node.args[0].meta[VALUE].shape)  # type: ignore[union-attr]
    if kind == "dropout":
        feature = operator_name(node) == "feature_dropout"
        return (BY_RANK[rank] if feature else DROPPED[operator_name(node)])(args["p"])
    tensors = [args[name] for name in ("weight", "bias", "running_mean", "running_var") if args.get(name) is not None]
    if any(traced.constant(tensor) is None for tensor in tensors):
        return None
    module = {"conv": _convolution, "linear": _linear, "norm": _norm}[kind](traced, node, args)
    for name in ("weight", "bias"):
        if args[name] is not None:
            setattr(module, name, _parameter(traced, str(args[name].target), made))
    return module


def _parameter(traced: Traced, name: str, made: dict[str, nn.Parameter]) -> nn.Parameter:
    """Return the parameter of a constant: one, however many modules share it."""
    if name not in made:
        made[name] = nn.Parameter(_own(traced.constants[name]), requires_grad=traced.learned.get(name, False))
    return made[name]


def _own(tensor: Tensor) -> Tensor:
    return tensor.detach().clone(memory_format=torch.contiguous_format)


def _convolution(traced: Traced, node: fx.Node, args: dict[str, Any]) -> nn.Module:
    o, i, *sizes = traced.constants[args["weight"].target].shape
    options = {name: args[name] for name in ("stride", "padding", "dilation", "groups")}
    channels = (i * args["groups"], o)
    if operator_name(node) in TRANSPOSED:
        options["output_padding"] = args["output_padding"]
        channels = (o, i * args["groups"])
    options = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    return CLASSES[operator_name(node)](
        *channels, tuple(sizes), **options, bias=args["bias"] is not None, device="meta"
    )


def _linear(traced: Traced, node: fx.Node, args: dict[str, Any]) -> nn.Module:
    o, i = traced.constants[args["weight"].target].shape
    return nn.Linear(i, o, bias=args["bias"] is not None, device="meta")


def _norm(traced: Traced, node: fx.Node, args: dict[str, Any]) -> nn.Module:
    value = node.args[0].meta[VALUE]  # type: ignore[union-attr]
    own = dict(traced.module.named_modules(remove_duplicate=False)).get(node.meta[PATH])
    stock = isinstance(own, nn.modules.batchnorm._BatchNorm)
    tracked = args["running_mean"] is not None
    norm = NORMS[value.dim()](
        int(value.shape[1]),
        eps=args["eps"],
        momentum=own.momentum if stock else args["momentum"],  # type: ignore[union-attr]
        affine=args["weight"] is not None,
        track_running_stats=tracked,
        device="meta",
    )
    if tracked:
        for name in ("running_mean", "running_var"):
            setattr(norm, name, _own(traced.constants[args[name].target]))
        seen = own.num_batches_tracked if stock else None  # type: ignore[union-attr]
        norm.num_batches_tracked = torch.tensor(0) if seen is None else copy.deepcopy(seen)
    return norm


def _tensors(traced: Traced, made: dict[str, nn.Parameter]) -> Sequence[_Part]:
    """Return what the graph reads itself."""
    parts: dict[str, _Part] = {}
    for node in traced.graph.nodes:
        if node.op == "get_attr":
            name = str(node.target)
            if name not in parts:
                learned = name in traced.learned
                value = _parameter(traced, name, made) if learned else _own(traced.constants[name])
                parts[name] = _Part(node.meta[PATH], _name(traced, name), value)
            parts[name].nodes.append(node)
    return list(parts.values())


def _name(traced: Traced, name: str) -> str:
    """Return the name of a tensor in its layer: its own, if it has one, else whether it was learned."""
    if name in traced.own:
        return name.rpartition(".")[2]
    return "weight" if name in traced.learned else "table"


def _targets(parts: Sequence[_Part]) -> Sequence[str]:
    """Return names: that of the layer, if it has become one module; else that of the layer and of the part."""
    count = Counter(part.path for part in parts)
    around = {".".join(part.path.split(".")[:end]) for part in parts for end in range(len(part.path.split(".")))}
    reserved = set(dir(fx.GraphModule(nn.Module(), fx.Graph())))  # the result has attributes of these names
    taken: set[str] = set()
    targets = []
    for part in parts:
        alone = part.path and count[part.path] == 1 and part.path not in around and isinstance(part.value, nn.Module)
        target = part.path if alone else ".".join(filter(None, (part.path, part.name)))
        target = ".".join(name + "_" * (name in reserved) for name in target.split("."))
        numbered, place = target, 1
        while numbered in taken:
            numbered, place = f"{target}_{place}", place + 1
        taken.add(numbered)
        targets.append(numbered)
    return targets


def _put(root: nn.Module, target: str, value: nn.Module | Tensor) -> None:
    *path, name = target.split(".")
    for part in path:
        if not hasattr(root, part):
            root.add_module(part, nn.Module())
        root = getattr(root, part)
    if isinstance(value, nn.Parameter | nn.Module):
        setattr(root, name, value)
    else:
        root.register_buffer(name, value)
