"""The graph of an ordinary network, and what flows through it."""

import copy
import inspect
import operator
from collections.abc import Callable, Collection, Iterable
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from equiconv.converting.aliases import tensors
from equiconv.errors import ConversionError
from equiconv.layers.layer import FieldLayer

DROPOUTS = {F.dropout, F.dropout2d}
MANY = 1009  # images: a number that is no other size, so that shapes tell what becomes of the images
DROPPED_PATHS = ("DropPath", "StochasticDepth")  # of timm and torchvision: they drop whole samples
FUSED = {"BatchNormAct2d": ("drop", "act")}  # of timm: a stock class, and then the modules of these names


def is_inside(name: str, names: Collection[str]) -> bool:
    """Tell whether a module is one of those named, or inside of one."""
    return any(name == each or name.startswith(f"{each}.") for each in names)


def is_single(module: nn.Module) -> bool:
    """Tell whether a module is taken as a whole: a stock one, or one that computes as a stock one does."""
    origin = type(module).forward.__module__ or ""  # code that is executed as a string has none
    stock = origin.startswith("torch.nn.") and not isinstance(module, nn.Sequential)
    return stock or isinstance(module, FieldLayer) or type(module).__name__ in (*DROPPED_PATHS, *FUSED)


class _Proxy(fx.Proxy):
    """Record that ``x += y`` changes x, which fx writes as ``x + y``."""


def _in_place(target: Callable[..., Any]) -> Callable[[fx.Proxy, Any], fx.Proxy]:
    return lambda proxy, other: proxy.tracer.create_proxy("call_function", target, (proxy, other), {})


for _name in ("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow"):
    setattr(_Proxy, f"__{_name}__", _in_place(getattr(operator, _name)))


class _Tracer(fx.Tracer):
    def __init__(self, left: Collection[str], image_size: tuple[int, int]) -> None:
        super().__init__()
        self.left = left
        self.image_size = image_size

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Tell whether the tracer stays outside."""
        return is_inside(module_qualified_name, self.left) or is_single(m)

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None) -> tuple[Any, list[Any]]:
        """Call the network as it is called, with its hooks, on images alone: other arguments have their defaults."""
        root, call = self.root, nn.Module.__call__
        first = next(iter(inspect.signature(root.forward).parameters.values()), None)
        named = first is not None and first.kind in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD)
        images = self.create_proxy("placeholder", first.name if first is not None and named else "x", (), {})

        def called(x: fx.Proxy) -> Any:
            return call(root, x)

        return called, [images]

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """Return what stands for a value."""
        return _Proxy(node, self)

    def to_bool(self, obj: fx.Proxy) -> bool:
        """Decide what is asked of the number of axes or channels; these are the same for all images."""
        if not asks_of_channels(obj.node):
            return bool(super().to_bool(obj))
        flow(self.root, self.graph, self.image_size)
        obj.node.meta["asked"] = True
        if not all(each.meta["value"].ndim == 4 for each in _asked_of(obj.node)):
            return bool(super().to_bool(obj))
        return bool(obj.node.meta["value"])


AXES = ("dim", "ndim", "ndimension")


def asks_of_channels(node: fx.Node) -> bool:
    """Tell whether a node depends on the image by numbers of axes and of channels only."""
    name = node.args[1] if node.target is getattr and len(node.args) > 1 else node.target
    if name in AXES:
        return True
    if name == "size" and node.args[1:] == (1,):
        return True
    source = node.args[0] if node.target is operator.getitem else None
    if isinstance(source, fx.Node) and _is_shape(source):
        return bool(node.args[1] == 1)
    plain = node.op == "call_function" and getattr(operator, getattr(node.target, "__name__", ""), None) is node.target
    return plain and bool(node.all_input_nodes) and all(map(asks_of_channels, node.all_input_nodes))


def _asked_of(node: fx.Node) -> list[fx.Node]:
    """Return the tensors whose shapes a node depends on."""
    if isinstance(node.meta["value"], torch.Tensor):
        return [node]
    return [each for source in node.all_input_nodes for each in _asked_of(source)]


def _is_shape(node: fx.Node) -> bool:
    return node.args[1:] == ("shape",) if node.target is getattr else node.target == "size" and len(node.args) == 1


class _Flow(fx.Interpreter):
    """Run the graph; keep what each node returns in ``meta["value"]``, and whether it changes what it takes."""

    def run_node(self, n: fx.Node) -> Any:
        """Run a node."""
        taken = [tensor for node in n.all_input_nodes for tensor in tensors(node.meta["value"])]
        before = [tensor._version for tensor in taken]
        n.meta["value"] = super().run_node(n)
        n.meta["in_place"] = before != [tensor._version for tensor in taken] or self._asked(n)
        return n.meta["value"]

    def _asked(self, n: fx.Node) -> bool:
        """Tell whether a node is told to work in place, also where it does so in training only."""
        module = self.fetch_attr(str(n.target)) if n.op == "call_module" else None
        return bool(n.kwargs.get("inplace") or getattr(module, "inplace", False))


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
    graphs = [_traced(twin.train(mode), left, image_size) for mode in (True, False)]
    if _shown(graphs[0]) != _shown(graphs[1]):
        raise ConversionError(
            f"the forward of {type(model).__name__} does different things in training and in evaluation (but for "
            "dropout): convert a network that does not ask for self.training, such as one without auxiliary heads"
        )
    for node, other in zip(*(graph.nodes for graph in graphs), strict=True):
        if node.target in DROPOUTS:
            other.meta["training"] = (_flag(node), _flag(other))
    if in_channels(twin, graphs[1]) != first_channels(twin) and any("asked" in each.meta for each in graphs[1].nodes):
        raise ConversionError(
            "the forward asks for channels before the first convolution, which is not the first module"
        )
    flow(twin, graphs[1], image_size)
    return twin, graphs[1]


def _flag(node: fx.Node) -> object:
    """Return whether a call of dropout is told to drop."""
    return node.kwargs.get("training", node.args[2] if len(node.args) > 2 else True)


def _traced(twin: nn.Module, left: Collection[str], image_size: tuple[int, int]) -> fx.Graph:
    try:
        return _parted(twin, _Tracer(left, image_size).trace(twin), left)
    except ConversionError:
        raise
    except Exception as error:
        raise ConversionError(
            f"the forward of {type(twin).__name__} cannot be followed: {str(error).strip().splitlines()[0]}. What it "
            "does may depend on sizes that are set beforehand, but not on the values or sizes of tensors, by if, for, "
            "len or int"
        ) from error


def _parted(twin: nn.Module, graph: fx.Graph, left: Collection[str]) -> fx.Graph:
    """Let the modules inside of fused ones be called behind them; what these compute beyond the stock class."""
    for node in list(graph.nodes):
        if node.op != "call_module" or is_inside(node.target, left):
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
    modules = [twin.get_submodule(str(node.target)) for node in graph.nodes if node.op == "call_module"]
    return _taken(twin, modules)


def first_channels(twin: nn.Module) -> int:
    """Return the channels of the images as far as the order of the modules tells them."""
    return _taken(twin, twin.modules())


def _taken(twin: nn.Module, modules: Iterable[nn.Module]) -> int:
    for module in modules:
        if isinstance(module, nn.Conv2d):
            return module.in_channels
    raise ConversionError(f"{type(twin).__name__} calls no nn.Conv2d, so there is nothing to convert")


def flow(twin: nn.Module, graph: fx.Graph, image_size: tuple[int, int]) -> None:
    """Run the graph, or what there is of it, on many images on the meta device."""
    dtype = next((p.dtype for p in twin.parameters() if p.is_floating_point()), torch.float32)
    ends = any(node.op == "output" for node in graph.nodes)
    shape = (in_channels(twin, graph) if ends else first_channels(twin), *image_size)
    try:
        with torch.no_grad():
            _Flow(twin, graph=graph).run(torch.empty(MANY, *shape, device="meta", dtype=dtype))
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ConversionError(
            f"{type(twin).__name__} does not take images of {shape}: {reason}. Say in image_size= what it takes; "
            "their channels are those of the first convolution"
        ) from error
