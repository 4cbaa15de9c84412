"""Networks whose forward calls modules of e2cnn, as graphs of ours.

The forward runs once on placeholders. ``GeometricTensor`` holds them meanwhile, so that whatever a network does with
its tensors ends in the graph. Fields stay in our layout between the layers, and are carried over and back only where
an ordinary operation sees them.
"""

import copy
import inspect
import linecache
import operator
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

from equiconv.errors import EquiconvError
from equiconv.interop.e2cnn.changes import Changes, FieldProxy
from equiconv.interop.e2cnn.layout import Layout, as_fields, free_name
from equiconv.interop.e2cnn.names import e2cnn_name, is_derived
from equiconv.interop.e2cnn.recording import CONSTANT, ByMode, Merged, UnfollowedError, in_mode, watched

Convert = Callable[[str], nn.Module]
ADVICE = "Convert the modules in it one by one with from_e2cnn, and write the forward with them"
PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)


def geometric(x: Any, field_type: Any) -> Any:
    """Return a ``GeometricTensor`` of e2cnn, which is loaded if there are modules of it."""
    from e2cnn.nn import GeometricTensor

    return GeometricTensor(x, field_type)


def _is_geometric(x: Any) -> bool:
    from e2cnn.nn import GeometricTensor

    return isinstance(x, GeometricTensor)


@contextmanager
def _holding_placeholders() -> Iterator[None]:
    """Let ``GeometricTensor`` hold what is no tensor, and keep the type of each in the graph."""
    from e2cnn.nn import GeometricTensor

    checked = GeometricTensor.__init__

    def unchecked(self: Any, tensor: Any, type: Any) -> None:  # noqa: A002
        if not isinstance(tensor, fx.Proxy):
            checked(self, tensor, type)
        self.tensor, self.type = tensor, type

    GeometricTensor.__init__ = unchecked
    try:
        yield
    finally:
        GeometricTensor.__init__ = checked


class FieldTracer(fx.Tracer):
    """Record what a forward does, with modules of e2cnn as single steps."""

    def __init__(self, is_step: Callable[[nn.Module], bool], tensors: dict[int, str]) -> None:
        super().__init__()
        self.is_step = is_step
        self.tensors = tensors  # the names of parameters and buffers, by identity
        self.inputs: dict[str, Any] = {}  # types of the inputs that are fields
        self.asserted: list[fx.Node] = []  # what assertions asked

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """Return what stands for the result of a step."""
        return FieldProxy(node, self)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, fx.Proxy]) -> Any:
        """Return what stands for a parameter or buffer, so that changes of it are steps; other attributes are kept."""
        name = self.tensors.get(id(attr_val))
        if name is None:
            return attr_val
        if name not in parameter_proxy_cache:
            parameter_proxy_cache[name] = self.create_proxy("get_attr", name, (), {})
        return parameter_proxy_cache[name]

    def to_bool(self, obj: fx.Proxy) -> bool:
        """Take assertions to hold; no other decision can depend on a tensor."""
        frame = inspect.currentframe()
        while frame is not None and (frame.f_code.co_filename == __file__ or _is_of(frame.f_code.co_filename, "torch")):
            frame = frame.f_back
        line = "" if frame is None else linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if line.strip().startswith("assert"):
            self.asserted.append(obj.node)
            return True
        return super().to_bool(obj)

    def forget_assertions(self) -> None:
        """Erase the steps that only an assertion needed."""
        waiting = self.asserted[::-1]
        while waiting:
            node = waiting.pop(0)
            if not node.users and node.op in ("call_function", "call_method") and node in self.graph.nodes:
                waiting.extend(node.all_input_nodes)
                self.graph.erase_node(node)

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None) -> Any:
        """Return the placeholders: of the arguments without defaults; those of a module between fields are fields."""
        _, *parameters = inspect.signature(root_fn).parameters.values()
        names = [p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
        inputs = [self.create_proxy("placeholder", name, (), {}) for name in names]
        kinds = getattr(self.root, "in_type", None)
        if is_derived(self.root) and kinds is not None:
            kinds = kinds if isinstance(kinds, tuple) else (kinds,)
            inputs = [self._fields(x, kind, "forward") for x, kind in zip(inputs, kinds, strict=True)]
        return root_fn, [self.root, *inputs]

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Tell whether a module is one step of the graph."""
        return self.is_step(m) or super().is_leaf_module(m, module_qualified_name)

    def create_arg(self, a: Any) -> Any:
        """Return an argument as the graph holds it; fields are marked with their type."""
        if _is_geometric(a):
            node = self.create_node("call_function", as_fields, (super().create_arg(a.tensor),), {})
            node.meta["fields"] = a.type
            return node
        return super().create_arg(a)

    def call_module(self, m: nn.Module, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Record the call of a module."""
        if isinstance(m, PARALLEL):
            return m.module(*args, **kwargs)
        name = e2cnn_name(m)
        if name == "BranchingModule":
            return _branches(m, *args)
        if name == "MergeModule":
            return _merged(m, *args)
        if name is None or not self.is_step(m):
            unwraps = any(_is_geometric(arg) for arg in (*args, *kwargs.values()))
            return forward(*args, **kwargs) if unwraps else super().call_module(m, forward, args, kwargs)
        kinds: Any = m.in_type if isinstance(m.in_type, tuple) else (m.in_type,)
        given = inspect.signature(type(m).forward).bind(m, *args, **kwargs).args[1:]
        inputs = tuple(self._fields(arg, kind, name) for arg, kind in zip(given, kinds, strict=True))
        proxy = super().call_module(m, forward, inputs, {})
        proxy.node.meta["fields"] = m.out_type
        return geometric(proxy, m.out_type)

    def _fields(self, x: Any, kind: Any, name: str) -> Any:
        """Return an argument as fields of a type; an input of the network that is handed on so is one."""
        if isinstance(x, fx.Proxy) and x.node.op == "placeholder":
            self.inputs[x.node.name] = kind
            return geometric(x, kind)
        if isinstance(x, fx.Proxy) or x.type != kind:
            got = "an ordinary tensor" if isinstance(x, fx.Proxy) else x.type
            raise EquiconvError(f"{name} of e2cnn takes fields of {kind}; got {got}")
        return x


def _branches(module: Any, x: Any) -> dict[str, Any]:
    """Do what a ``BranchingModule`` does."""
    if module.reshuffle_layer is not None:
        x = module.reshuffle_layer(x)
    found = {}
    for label in sorted(module._labels):
        indices = module._buffers[f"indices_{label}"].tolist()  # getattr returns what stands for it
        channels = list(range(*indices)) if module._contiguous[label] else indices
        found[label] = geometric(x.tensor[:, channels], module.out_type[label])
    return found


def _merged(module: Any, parts: dict[str, Any]) -> Any:
    """Do what a ``MergeModule`` does."""
    made = [
        getattr(module, f"submodule_{i}")(*[parts[label] for label in labels])
        for i, labels in enumerate(module._labels)
    ]
    return geometric(torch.cat([part.tensor for part in made], 1), module.out_type)


def traced(
    module: nn.Module, convert: Convert, is_step: Callable[[nn.Module], bool], memo: dict[int, Any]
) -> nn.Module:
    """Return a network as a graph of our layers.

    Args:
        module: the network.
        convert: what makes ours of the module of a name.
        is_step: tells which modules are converted as wholes.
        memo: the copies of parameters and modules that were made before, so that shared ones stay so.

    Raises:
        EquiconvError: if the forward cannot be followed.
    """
    graph, inputs, tensors, chosen = _program(module, is_step)
    layers: dict[str, Any] = {}
    for node in graph.nodes:
        node.type = None  # annotations name classes of e2cnn
        if node.op == "call_module":
            layers[node.target] = chosen.get(node.target) or convert(node.target)
        elif node.op == "get_attr":
            owner = tensors if node.target.split(".")[-1].startswith(CONSTANT) else module
            layers[node.target] = copy.deepcopy(operator.attrgetter(node.target)(owner), memo)
    Layout(graph, layers, inputs).settle()
    layers = _renamed(graph, layers)
    own = fx.Graph()  # one that does not know its tracer, nor types of e2cnn
    own.output(own.graph_copy(graph, {}))
    for node in own.nodes:
        node.meta = {}
    return fx.GraphModule(layers, own, class_name=type(module).__name__)


def _program(
    module: nn.Module, is_step: Callable[[nn.Module], bool]
) -> tuple[fx.Graph, dict[str, Any], nn.Module, dict[str, ByMode]]:
    """Return the graph for both modes; which inputs are fields; what holds its constants; its values by mode."""
    names = [name for name, _ in chain(module.named_modules(), module.named_parameters(), module.named_buffers())]
    copies = [in_mode(module, is_step, mode) for mode in (True, False)]
    with _holding_placeholders():
        (graph, inputs), (evaluation, _) = (_recorded(copied, is_step) for copied in copies)
    merged = Merged(
        graph,
        evaluation,
        is_training=lambda name: module.get_submodule(name).training,
        constant=lambda name: tuple(operator.attrgetter(name)(own) for own in copies),
        names=names,
    )
    with _explained(module):
        merged.merge()
        Changes(graph, lambda name: merged.chosen.get(name) or module.get_submodule(name)).settle()
    return graph, inputs, copies[0], merged.chosen


def _renamed(graph: fx.Graph, layers: dict[str, Any]) -> dict[str, Any]:
    """Return the layers by names that a ``GraphModule`` does not need itself: ``graph`` becomes ``graph_0``."""
    reserved = set(dir(fx.GraphModule(nn.Module(), fx.Graph())))
    first = {name.split(".")[0] for name in layers}
    others = {name: free_name(name, first) if name in reserved else name for name in first}
    names = {name: ".".join([others[name.split(".")[0]], *name.split(".")[1:]]) for name in layers}
    for node in graph.nodes:
        if node.op in ("call_module", "get_attr"):
            node.target = names[node.target]
    return {names[name]: layer for name, layer in layers.items()}


def _recorded(module: nn.Module, is_step: Callable[[nn.Module], bool]) -> tuple[fx.Graph, dict[str, Any]]:
    """Return the graph of the forward, and which inputs are fields."""
    steps = {id(part) for step in module.modules() if is_step(step) and is_derived(step) for part in step.modules()}
    tensors = {
        id(value): f"{name}.{key}".lstrip(".")
        for name, part in module.named_modules()
        if id(part) not in steps
        for key, value in chain(part._parameters.items(), part._buffers.items())
        if value is not None
    }
    tracer = FieldTracer(is_step, tensors)
    with _explained(module), watched(module):
        graph = tracer.trace(module)
    tracer.forget_assertions()
    return graph, tracer.inputs


@contextmanager
def _explained(module: nn.Module) -> Iterator[None]:
    """Raise EquiconvError that says where a forward cannot be followed."""
    try:
        yield
    except UnfollowedError as error:
        raise EquiconvError(f"the forward of {type(module).__name__} cannot be followed: {error}. {ADVICE}") from error
    except EquiconvError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if f.filename != __file__ and not _is_of(f.filename, "torch", "e2cnn", "equiconv")]
        where = f'{own[-1].filename}, line {own[-1].lineno}, "{own[-1].line}"' if own else "some place"
        raise EquiconvError(
            f"the forward of {type(module).__name__} cannot be followed at {where}: {error}. {ADVICE}"
        ) from error


def _is_of(filename: str, *packages: str) -> bool:
    """Tell whether a file is of one of these packages, which are loaded."""
    return any(Path(filename).is_relative_to(Path(str(sys.modules[name].__file__)).parent) for name in packages)
