"""Ordinary networks made equivariant."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, fx, nn

from equiconv.converting import functions, modules
from equiconv.converting.carrying import carry
from equiconv.converting.counting import count_multiplications, count_parameters
from equiconv.converting.draft import IMAGE, INVARIANTS, VECTOR, Constant, Draft, Options, Plan, Value
from equiconv.converting.network import Converted
from equiconv.converting.partial import Partial
from equiconv.converting.report import Report, Row, described
from equiconv.converting.step import Step
from equiconv.converting.tracing import in_channels, is_inside, trace
from equiconv.converting.widths import Piece, Widths, best_widths, fix, size_of
from equiconv.errors import ConversionError, GroupError
from equiconv.groups import FieldType, Group
from equiconv.layers.layer import check_flags
from equiconv.layers.window import Size, pair
from equiconv.models.blocks import image_type

__all__ = ["convert"]

MATCHES = ("parameters", "compute", None)


def convert(
    model: nn.Module,
    group: Group,
    *,
    match: str | None = "parameters",
    image_size: Size = 224,
    pool: str = "max",
    exact: bool = True,
    leave: Iterable[str] = (),
) -> tuple[nn.Module, Report]:
    """Make an ordinary convolutional network equivariant: the same modules and names, on fields of a group.

    The first convolution lifts the image to the group, the others are group convolutions, and before the head the
    fields are pooled to invariants. What has no equivariant counterpart is refused.

    Equivariance:
        The output of the new network is invariant under every element of the group, or moves with the plane if it is
        maps: exact for groups that keep the pixel grid and images of every size; other angles are approximate.

    Args:
        model: the network; it stays as it is. Its ``forward`` takes images, other arguments having their defaults, and
            what it does does not depend on values of tensors or on their height and width by ``if`` or ``for``.
        group: any group. On a continuous one activations act on samples, and maxima become means.
        match: what stays equal while channels become fields: ``"parameters"``; ``"compute"``, the multiplications of
            the dense convolutions; or None, which makes one field of each channel.
        image_size: height and width of the images with which the original is followed, and multiplications counted.
        pool: ``"max"`` or ``"mean"`` over the group.
        exact: replace strides by means over windows that lie symmetrically, and move the windows of pooling, where the
            original's lose equivariance; False keeps all of these as they are, and loses it on such sizes.
        leave: names of modules that stay ordinary, or hold such, behind pooling to invariants: in the head, or
            anywhere if the group does not move the plane.

    Returns:
        The new network, with ``in_type`` and ``out_type``, and a report. Its weights are drawn anew; on ``Trivial()``
        they are those of the original.

    Raises:
        ConversionError: if something cannot be converted; the message names the module or the operation.
        GroupError: if ``group`` is no group.
        FieldTypeError: if the group moves colors, and the first convolution does not take RGB.

    Example:
        >>> from equiconv.groups import P4
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
        >>> converted, report = convert(net, P4(), image_size=32)
        >>> converted(torch.rand(1, 3, 32, 32)).shape
        torch.Size([1, 2])
    """
    left = _checked(model, group, match, pool, exact, leave)
    size = pair(image_size, "image_size", 1)
    twin, graph = trace(model, size, left)
    _check_left(model, graph, left)
    image = image_type(group, in_channels(twin, graph))
    shape = (image.channels, *size)
    counts = count_multiplications(twin, *shape)
    draft = Draft(model, twin, Options(group, image, pool, exact, left), counts)
    out_type = _drafted(draft, graph)
    _check_tied(draft)
    _check_by_hand(draft)
    unused = _unused(model, graph)
    before = (count_parameters(model) - sum(map(count_parameters, unused.values())), sum(counts.values()))
    widths = _widths(draft, match, before)
    net = _built(draft, widths, out_type)
    after = (count_parameters(net), sum(count_multiplications(net, *shape).values()))
    rows = [_row(name, plan, net) for name, plan in draft.plans.items()]
    rows += [Row(name, described(module), "", "unused", "never called") for name, module in unused.items()]
    scale = widths.reached(piece for _, out in draft.shared.values() for piece in out)
    return net, Report(group, match, scale, size, (before[0], after[0]), (before[1], after[1]), tuple(rows))


def _unused(model: nn.Module, graph: fx.Graph) -> dict[str, nn.Module]:
    """Return the modules with parameters that the forward never calls, but for those in one of these."""
    called = {str(node.target) for node in graph.nodes if node.op in ("call_module", "get_attr")}
    modules = {id(model.get_submodule(name)) for name in called if name in dict(model.named_modules())}
    found: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        touched = is_inside(name, called) or any(is_inside(each, (name,)) for each in called) or id(module) in modules
        if name and not touched and not is_inside(name, found) and count_parameters(module):
            found[name] = module
    return found


def _checked(
    model: nn.Module, group: Group, match: str | None, pool: str, exact: bool, leave: Iterable[str]
) -> frozenset[str]:
    """Return the names of the modules that are left, or raise if an argument cannot be used."""
    if not isinstance(model, nn.Module):
        raise ConversionError(f"convert takes a network, an nn.Module; got {model!r}")
    _check_plain(model)
    if not isinstance(group, Group):
        raise GroupError(f"convert takes a group, such as P4(); got {group!r}")
    if match not in MATCHES:
        raise ConversionError(f'match is "parameters", "compute" or None; got {match!r}')
    if pool not in ("max", "mean"):
        raise ConversionError(f'pool is "max" or "mean"; got {pool!r}')
    check_flags("convert", exact=exact)
    names = frozenset([leave] if isinstance(leave, str) else leave)
    known = {name for name, _ in model.named_modules(remove_duplicate=False) if name}
    if unknown := sorted(names - known):
        raise ConversionError(f"leave: {type(model).__name__} has no module {', '.join(map(repr, unknown))}")
    return names


def _check_plain(model: nn.Module) -> None:
    """Refuse networks that are wrapped, or not made yet, and say what to pass."""
    name = type(model).__name__
    if isinstance(model, torch.jit.ScriptModule):
        raise ConversionError(f"{name} is a script, whose forward cannot be followed: pass the network it was made of")
    if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        raise ConversionError(f"{name} holds the network that is to be converted: pass model.module")
    if hasattr(model, "_orig_mod"):
        raise ConversionError(f"{name} is a compiled network: pass model._orig_mod, and compile the new one")
    if any(nn.parameter.is_lazy(each) for each in model.parameters()):
        raise ConversionError(f"{name} has lazy modules: run it on images once, so that they know their channels")


def _check_left(model: nn.Module, graph: fx.Graph, left: frozenset[str]) -> None:
    called = [str(node.target) for node in graph.nodes if node.op == "call_module"]
    for name in sorted(left):
        if not any(is_inside(each, (name,)) for each in called):
            raise ConversionError(
                f"leave: the forward of {type(model).__name__} never calls {name!r}, nor a module in it, as a module"
            )


def _drafted(draft: Draft, graph: fx.Graph) -> FieldType:
    """Convert all nodes; return the type of the output."""
    for node in graph.nodes:
        step = Step(draft, node)
        if node.meta["in_place"] and any(_is_made(draft.values[each]) for each in node.all_input_nodes):
            step.keep_input()
        if node.op == "placeholder":
            draft.values[node] = _input(step)
        elif node.op == "output":
            return _output(step)
        elif not any(_is_made(draft.values[each]) for each in node.all_input_nodes):
            draft.values[node] = Constant(node.meta["value"])
        elif not _holds_tensors(node.meta["value"]):
            draft.values[node] = Constant(node.meta["value"])  # a size
        else:
            draft.values[node] = modules.module(step) if node.op == "call_module" else functions.function(step)
    raise ConversionError("the network returns nothing")


def _is_made(value: object) -> bool:
    return isinstance(value, Value | Partial | list)


def _holds_tensors(value: Any) -> bool:
    return isinstance(value, Tensor) or (isinstance(value, list | tuple) and any(map(_holds_tensors, value)))


def _input(step: Step) -> Value:
    node = step.draft.graph.placeholder(str(step.node.target))
    plane = (step.shape[2], step.shape[3])
    if step.group.moves_color:
        return Value(node, IMAGE, (), plane)
    colors = Piece(step.shape[1], scaled=False)
    return Value(node, INVARIANTS, (colors,), plane)


def _output(step: Step) -> FieldType:
    """Return invariants of everything; the type is that of the first."""
    ends: list[Value] = []

    def end(node: fx.Node) -> fx.Node:
        step.check_plane(node)
        value = step.draft.values[node]
        if not isinstance(value, Value):
            raise ConversionError("the network returns something that is not made of the image")
        if step.is_still(value, node):
            step.refuse("the network returns maps made of a vector of invariants, which do not move with the image")
        value = step.pooled(value) if value.is_map else step.vector(value)
        fix(value.pieces)
        ends.append(value)
        return value.node

    step.draft.graph.output(fx.node.map_arg(step.node.args[0], end))
    if not ends:
        raise ConversionError("the network returns no tensor")
    first = ends[0]
    if first.kind == IMAGE:
        return step.options.image
    known = first.kind in (INVARIANTS, VECTOR)
    return (size_of(first.pieces) if known else 1) * step.group.trivial


def _check_tied(draft: Draft) -> None:
    """Refuse parameters that two modules share, or that are used by hand as well, which would come apart."""
    holders: dict[int, tuple[str, str]] = {}
    for source in dict.fromkeys(plan.source for plan in draft.plans.values() if plan.source is not None):
        for name, parameter in draft.original.get_submodule(source).named_parameters():
            other, _ = holders.setdefault(id(parameter), (source, name))
            if other != source:
                raise ConversionError(
                    f"{name} is shared by {other} and {source}, and would not be shared in the new network: give each "
                    "its own, or call one module twice"
                )


def _check_by_hand(draft: Draft) -> None:
    """Refuse parameters and buffers that are used by hand, and in a module that is called."""
    sources = [plan.source for plan in draft.plans.values() if plan.source is not None]
    for name in draft.tensors:
        if is_inside(name, sources):
            raise ConversionError(f"{name} is used by hand, and by a module that is called: let one of them use it")


def _widths(draft: Draft, match: str | None, before: tuple[int, int]) -> Widths:
    """Return the widths that keep what is to be kept."""
    pieces = [piece for _, out in draft.shared.values() for piece in out]
    if match is None or (draft.options.group.order == 1 and draft.permutes):
        return Widths(1.0)
    if match == "parameters":
        return best_widths(pieces, lambda widths: sum(cost.parameters(widths) for cost in draft.costs), before[0])
    return best_widths(pieces, lambda widths: sum(cost.multiplications(widths) for cost in draft.costs), before[1])


def _built(draft: Draft, widths: Widths, out_type: FieldType) -> nn.Module:
    """Return the new network, like the original in precision, device and mode."""
    original = draft.original
    first = next((p for p in original.parameters() if p.is_floating_point()), torch.empty(0))
    with torch.device(first.device):
        made = {name: _of_precision(plan.make(widths), plan) for name, plan in draft.plans.items()}
    for change in draft.later:
        change(widths)
    net = Converted({**made, **draft.tensors}, draft.graph, type(original).__name__).to(first.device)
    if draft.options.group.order == 1 and draft.permutes:
        for name, plan in draft.plans.items():
            if plan.source is not None:
                carry(net.get_submodule(name), original.get_submodule(plan.source))
    _keep_order(net, original)
    net.set_types(draft.options.image, out_type)
    return net.train(original.training)


def _of_precision(module: nn.Module, plan: Plan) -> nn.Module:
    return module if plan.status in ("kept", "left") else module.to(plan.dtype)


def _keep_order(net: nn.Module, original: nn.Module) -> None:
    """Let modules stand in the order of the original, and what is new behind them."""
    known = dict(original.named_modules())
    for name, module in net.named_modules():
        if name in known:
            children = module._modules
            old = [child for child in known[name]._modules if child in children]
            module._modules = {child: children[child] for child in dict.fromkeys([*old, *children])}


def _row(name: str, plan: Plan, net: nn.Module) -> Row:
    return Row(name, plan.was, described(net.get_submodule(name)), plan.status, plan.why)
