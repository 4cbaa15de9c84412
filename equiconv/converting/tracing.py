"""The graph of an ordinary network, and what flows through it."""

import copy
from collections.abc import Collection
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from equiconv.errors import ConversionError
from equiconv.layers.layer import FieldLayer

DROPOUTS = {F.dropout, F.dropout2d}
MANY = 1009  # images: a number that is no other size, so that shapes tell what becomes of the images
DROPPED_PATHS = ("DropPath", "StochasticDepth")  # of timm and torchvision: they drop whole samples
FUSED = {"BatchNormAct2d": ("drop", "act")}  # of timm: a stock class, and then the modules of these names


def is_single(module: nn.Module) -> bool:
    """Tell whether a module is taken as a whole: a stock one, or one that computes as a stock one does."""
    origin = type(module).forward.__module__ or ""  # code that is executed as a string has none
    stock = origin.startswith("torch.nn.") and not isinstance(module, nn.Sequential)
    return stock or isinstance(module, FieldLayer) or type(module).__name__ in (*DROPPED_PATHS, *FUSED)


class _Tracer(fx.Tracer):
    def __init__(self, left: Collection[str]) -> None:
        super().__init__()
        self.left = left

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Tell whether the tracer stays outside."""
        return module_qualified_name in self.left or is_single(m)


class _Flow(fx.Interpreter):
    """Run the graph, and keep what each node returns in its ``meta["value"]``."""

    def run_node(self, n: fx.Node) -> Any:
        """Run a node."""
        n.meta["value"] = super().run_node(n)
        return n.meta["value"]


def trace(model: nn.Module, image_size: tuple[int, int], left: Collection[str]) -> tuple[nn.Module, fx.Graph]:
    """Return a twin of the network on the meta device, and its graph with the value of each node for many images.

    Args:
        model: the network; it is not changed.
        image_size: height and width of the images.
        left: names of modules that are taken as a whole.

    Raises:
        ConversionError: if it cannot be traced, does different things in training and evaluation, or does not take the
            images.
    """
    twin = copy.deepcopy(model).to("meta")
    graphs = [_traced(twin.train(mode), left) for mode in (True, False)]
    if _shown(graphs[0]) != _shown(graphs[1]):
        raise ConversionError(
            f"the forward of {type(model).__name__} does different things in training and in evaluation (but for "
            "dropout): convert a network that does not ask for self.training, such as one without auxiliary heads"
        )
    for node, other in zip(*(graph.nodes for graph in graphs), strict=True):
        if node.target in DROPOUTS:
            other.meta["training"] = (_flag(node), _flag(other))
    _run(twin, graphs[1], image_size)
    return twin, graphs[1]


def _flag(node: fx.Node) -> object:
    """Return whether a call of dropout is told to drop."""
    return node.kwargs.get("training", node.args[2] if len(node.args) > 2 else True)


def _traced(twin: nn.Module, left: Collection[str]) -> fx.Graph:
    try:
        return _parted(twin, _Tracer(left).trace(twin), left)
    except Exception as error:
        raise ConversionError(
            f"the forward of {type(twin).__name__} cannot be followed: {str(error).strip().splitlines()[0]}. What it "
            "does may depend on sizes that are set beforehand, but not on the values or sizes of tensors, by if, for, "
            "len or int"
        ) from error


def _parted(twin: nn.Module, graph: fx.Graph, left: Collection[str]) -> fx.Graph:
    """Let the modules inside of fused ones be called behind them; what these compute beyond the stock class."""
    for node in list(graph.nodes):
        if node.op != "call_module" or node.target in left:
            continue
        last = node
        for part in FUSED.get(type(twin.get_submodule(node.target)).__name__, ()):
            with graph.inserting_after(last):
                call = graph.call_module(f"{node.target}.{part}", (last,))
            last.replace_all_uses_with(call, delete_user_cb=lambda user, call=call: user is not call)
            last = call
    return graph


def _shown(graph: fx.Graph) -> list[tuple[object, ...]]:
    """Return what nodes do, but for the flags of dropout that tell training from evaluation."""
    nodes: list[tuple[object, ...]] = []
    for node in graph.nodes:
        dropout = node.target in DROPOUTS
        args = node.args[:2] if dropout else node.args
        kwargs = {name: value for name, value in node.kwargs.items() if not (dropout and name == "training")}
        nodes.append((node.name, node.op, str(node.target), str(args), str(kwargs)))
    return nodes


def in_channels(twin: nn.Module, graph: fx.Graph) -> int:
    """Return the channels of the images: what the first convolution takes."""
    modules = [twin.get_submodule(node.target) for node in graph.nodes if node.op == "call_module"]
    for module in modules:
        if isinstance(module, nn.Conv2d):
            return module.in_channels
    raise ConversionError(f"{type(twin).__name__} calls no nn.Conv2d, so there is nothing to convert")


def _run(twin: nn.Module, graph: fx.Graph, image_size: tuple[int, int]) -> None:
    dtype = next((p.dtype for p in twin.parameters() if p.is_floating_point()), torch.float32)
    shape = (in_channels(twin, graph), *image_size)
    try:
        with torch.no_grad():
            _Flow(twin, graph=graph).run(torch.empty(MANY, *shape, device="meta", dtype=dtype))
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ConversionError(
            f"{type(twin).__name__} does not take images of {shape}: {reason}. Say in image_size= what it takes"
        ) from error
