"""Fold what scales and shifts the channels of a convolution into its kernel and bias."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from equiconv.exporting.traced import (
    PATH,
    VALUE,
    Traced,
    all_alike,
    arguments,
    call,
    operator_name,
    replace,
    shape,
)
from equiconv.exporting.views import channels_are_split, is_view

CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")
TRANSPOSED = ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
ARITHMETIC = {"add": 2, "sub": 2, "mul": 2, "div": 1, "neg": 1, "addcmul": 3}  # arguments that may be what is scaled
STATISTICS = ("weight", "bias", "running_mean", "running_var")
aten = torch.ops.aten


@dataclass
class Chain:
    """Hold what follows a convolution, each node being the only user of the one before.

    Args:
        start: the convolution.
        links: views, and calls that scale and shift channels.
        channels: the number of channels.
        plane: the number of axes after the channels.
    """

    start: fx.Node
    links: list[fx.Node]
    channels: int
    plane: int


def fold_affine(traced: Traced) -> None:
    """Fold batch norms, and whatever else scales and shifts channels, into the convolution before them."""
    for node in list(traced.graph.nodes):
        chain = _chain(traced, node)
        if chain is not None and any(not is_view(link) for link in chain.links):
            _fold(traced, chain)
    traced.sweep()


def flatten_norms(traced: Traced) -> bool:
    """Normalize flat channels where fields of them are normalized; tell whether there were such."""
    norms = [node for node in traced.graph.nodes if is_folded_norm(node)]
    done = [_flatten_norm(traced, node) for node in norms]
    return any(done)


def is_folded_norm(node: fx.Node) -> bool:
    """Tell whether a node is a batch norm with statistics of its own."""
    return operator_name(node) == "batch_norm" and not arguments(node)["training"]


def _chain(traced: Traced, start: fx.Node) -> Chain | None:
    name = operator_name(start)
    if name not in (*CONVOLUTIONS, *TRANSPOSED, "linear"):
        return None
    weight = traced.constant(start.args[1])
    bias = arguments(start)["bias"]
    if weight is None or (bias is not None and traced.constant(bias) is None):
        return None
    plane = weight.dim() - 2
    sizes = shape(start) or ()
    if len(sizes) != plane + 2 or not weight.is_floating_point():
        return None  # a linear layer along the last axis of more than that, or a convolution without batch
    chain = Chain(start, [], int(sizes[1]), plane)
    last = start
    while len(last.users) == 1 and _follows(traced, next(iter(last.users)), last, chain):
        last = next(iter(last.users))
        chain.links.append(last)
    return chain


def _follows(traced: Traced, node: fx.Node, source: fx.Node, chain: Chain) -> bool:
    """Tell whether a node views, scales or shifts the channels of ``source``."""
    before, after = shape(chain.start) or (), shape(node)
    if after is None or len(after) < chain.plane + 2 or not all_alike(after[:1], before[:1]):
        return False
    if chain.plane and not all_alike(after[-chain.plane :], before[-chain.plane :]):
        return False
    if is_view(node):
        return node.args[0] is source and _are_channels(_channels(node, chain), chain)
    if not all_alike(after, shape(source) or ()):
        return False
    if is_folded_norm(node):
        return node.args[0] is source and all(_is_constant(traced, arguments(node)[name]) for name in STATISTICS)
    return _is_arithmetic(traced, node, source, chain.plane)


def _channels(node: fx.Node, chain: Chain) -> tuple[Any, ...]:
    """Return the sizes between the batch and the plane."""
    sizes = shape(node) or ()
    return sizes[1 : len(sizes) - chain.plane]


def _are_channels(sizes: tuple[Any, ...], chain: Chain) -> bool:
    return all(isinstance(size, int) for size in sizes) and math.prod(sizes) == chain.channels


def _is_arithmetic(traced: Traced, node: fx.Node, source: fx.Node, plane: int) -> bool:
    places = ARITHMETIC.get(operator_name(node), 0)
    if [argument is source for argument in node.args].count(True) != 1 or source not in node.args[:places]:
        return False
    if operator_name(node) == "div" and arguments(node).get("rounding_mode") is not None:
        return False
    rank = len(shape(node) or ())
    others = [argument for argument in node.args if argument is not source]
    return all(_spreads_over(traced, other, rank, plane) for other in others)


def _is_constant(traced: Traced, value: object) -> bool:
    return value is None or traced.constant(value) is not None


def _spreads_over(traced: Traced, value: object, rank: int, plane: int) -> bool:
    """Tell whether a factor or summand is a number, or a constant that is the same for the batch and the plane."""
    if isinstance(value, int | float):
        return True
    tensor = traced.constant(value)
    if tensor is None or not tensor.is_floating_point() or tensor.dim() > rank:
        return False
    sizes = (1,) * (rank - tensor.dim()) + tuple(tensor.shape)
    return sizes[0] == 1 and all(size == 1 for size in sizes[rank - plane :])


def _fold(traced: Traced, chain: Chain) -> None:
    start, learned = chain.start, _constants_of(chain)
    shift = _through(traced, chain, 0.0)
    scale = _through(traced, chain, 1.0) - shift
    weight, bias = traced.constant(start.args[1]), traced.constant(arguments(start)["bias"])
    assert weight is not None
    old = torch.zeros(chain.channels, dtype=torch.float64) if bias is None else _exact(bias)
    new_weight = _exact(weight) * _spread(scale, weight, operator_name(start), int(arguments(start).get("groups", 1)))
    new_bias = old * scale + shift
    with traced.graph.inserting_before(start):
        weights = traced.add_constant(f"{start.name}_weight", new_weight.to(weight), start)
        biases = traced.add_constant(f"{start.name}_bias", new_bias.to(weight), start)
    traced.learn(str(weights.target), learned)
    traced.learn(str(biases.target), learned)
    start.args = (start.args[0], weights, biases, *start.args[3:])
    start.kwargs = {name: value for name, value in start.kwargs.items() if name != "bias"}
    before = start
    for link in chain.links:
        if is_view(link):
            before = link
        else:
            replace(link, before)


def _constants_of(chain: Chain) -> set[str]:
    nodes = [source for link in (chain.start, *chain.links) for source in link.all_input_nodes]
    return {str(node.target) for node in nodes if node.op == "get_attr"}


def _exact(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.float64)


def _through(traced: Traced, chain: Chain, value: float) -> Tensor:
    """Return what the chain makes of channels that are all ``value``, ``(channels,)``."""
    results = {chain.start: torch.full((1, chain.channels, *[1] * chain.plane), value, dtype=torch.float64)}

    def known(node: fx.Node) -> Tensor:
        return results[node] if node in results else _exact(traced.constants[str(node.target)])

    for link in chain.links:
        if is_view(link):
            sizes = _channels(link, chain)
            results[link] = results[link.args[0]].reshape(1, *sizes, *[1] * chain.plane)  # type: ignore[index]
        else:
            results[link] = call(link, known)
    return results[chain.links[-1]].flatten()


def _spread(scale: Tensor, weight: Tensor, name: str, groups: int) -> Tensor:
    """Return the scale of each output channel in a shape that fits the kernel."""
    ones = [1] * (weight.dim() - 2)
    if name not in TRANSPOSED:
        return scale.view(-1, 1, *ones)
    blocks = scale.view(groups, 1, -1).expand(-1, weight.shape[0] // groups, -1)  # (groups, i / groups, o / groups)
    return blocks.reshape(weight.shape[0], -1, *ones)


def _flatten_norm(traced: Traced, node: fx.Node) -> bool:
    source: Any = node.args[0]
    given = [arguments(node)[name] for name in STATISTICS]
    if not channels_are_split(source) or not all(_is_constant(traced, value) for value in given):
        return False
    entries = (shape(source) or ())[2]
    with traced.graph.inserting_before(node):
        repeated = [_repeated(traced, value, entries, node) for value in given]
        early = traced.graph.call_function(aten.batch_norm.default, (source.args[0], *repeated, *node.args[5:]))
        flat = node.meta[VALUE].new_empty(shape(source.args[0]) or ())
        early.meta = {PATH: node.meta[PATH], VALUE: flat}
        late = traced.graph.call_function(source.target, (early, *source.args[1:]))
        late.meta = dict(node.meta)
    replace(node, late)
    return True


def _repeated(traced: Traced, value: Any, entries: int, node: fx.Node) -> fx.Node | None:
    tensor = traced.constant(value)
    if tensor is None:
        return None
    name = f"{node.name}_{str(value.target).rpartition('.')[2]}"
    new = traced.add_constant(name, tensor.repeat_interleave(entries), node)
    traced.learn(str(new.target), [str(value.target)])
    return new
