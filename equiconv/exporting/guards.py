"""The sizes of inputs for which a graph holds: what tracing noted, and what it only assumed."""

import ast
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import fx, nn
from torch.utils import _pytree as pytree

from equiconv.exporting.traced import VALUE, Traced, example_shape

DOUBTFUL = ("!= 1", "!= 0", ">= 2")  # how the assumption is noted that a tensor has entries, and more than one
BOUND = re.compile(r"(.+) >= (\d+)")

Shapes = tuple[tuple[int, ...], ...]


class _Sizes:
    """Stand for an input in a guard."""

    def __init__(self, sizes: Any) -> None:
        self.sizes = sizes

    def size(self) -> Any:
        """Return what gives the size of an axis."""
        return self.sizes


class _Read(dict[int, fx.Proxy]):
    """Read each size of an input once, when it is asked for."""

    def __init__(self, proxy: fx.Proxy) -> None:
        super().__init__()
        self.proxy = proxy

    def __missing__(self, axis: int) -> fx.Proxy:
        self[axis] = self.proxy.size(axis)
        return self[axis]


def _value(guard: str, inputs: Mapping[str, Any]) -> Any:
    return eval(guard, {"L": inputs, "max": torch.sym_max, "min": torch.sym_min, "__builtins__": {}})


def _inputs(traced: Traced, sizes: Iterable[Any]) -> Mapping[str, Any]:
    """Return inputs of these sizes in the structure of the arguments."""
    inputs: Mapping[str, Any] = pytree.tree_unflatten(map(_Sizes, sizes), pytree.tree_structure(traced.inputs))
    return inputs


def hold(traced: Traced, guards: Iterable[str], shapes: Shapes) -> bool:
    """Tell whether inputs of some shapes have the sizes that are built in, and guards hold for them."""
    inputs = _inputs(traced, shapes)
    built_in = all(
        size == given
        for node, sizes in zip(_nodes(traced), shapes, strict=True)
        for size, given in zip(node.meta[VALUE].shape, sizes, strict=True)
        if isinstance(size, int)
    )
    try:
        return built_in and all(_value(guard, inputs) for guard in guards)
    except ZeroDivisionError:
        return False


def needed(traced: Traced, shapes: Shapes, agree: Callable[[Shapes], bool]) -> list[str]:
    """Return the guards that have to be checked.

    PyTorch assumes of every tensor that it has more than one entry along an axis; most graphs hold for others as well.
    What is assumed is kept unless the graph and the module agree at sizes for which it is not true.

    Args:
        traced: a graph.
        shapes: those of the example.
        agree: tells whether the graph, without checks, and the module do the same for inputs of some shapes.
    """
    firm = [guard for guard in traced.guards if not _is_doubtful(guard)]
    doubtful = [guard for guard in traced.guards if _is_doubtful(guard)] + _unnoted(traced)
    others = _others(traced, shapes)

    def is_idle(guard: str) -> bool:
        broken = [[kind for kind in kinds if not hold(traced, [guard], kind)] for kinds in others]
        taken = [[kind for kind in kinds if hold(traced, firm, kind)] for kinds in broken]
        return any(broken) and all(agree(kind) for kinds in taken for kind in (*kinds[:2], *kinds[-1:]))

    kept = [guard for guard in doubtful if not is_idle(guard)]
    return sorted(_greatest(firm + kept), key=lambda guard: "% (" in guard)  # bounds first: no division by zero


def _is_doubtful(guard: str) -> bool:
    """Tell whether a guard is about the number of entries of a tensor, or of those along an axis."""
    return guard.endswith(DOUBTFUL) or (")*(" in guard and "==" not in guard)


def _greatest(guards: Sequence[str]) -> list[str]:
    """Write guards with one number, and drop the bounds that others imply."""
    least: dict[str, int] = {}
    others: dict[str, None] = {}
    for guard in map(_with_one_number, guards):
        if found := BOUND.fullmatch(guard):
            least[found[1]] = max(int(found[2]), least.get(found[1], 0))
        else:
            others[guard] = None
    return [f"{size} >= {number}" for size, number in least.items()] + list(others)


def _with_one_number(guard: str) -> str:
    """Return a guard of the form ``2 + size == 3`` as ``size == 1``."""
    tree = ast.parse(guard, mode="eval").body
    match tree:
        case ast.Compare(ast.BinOp(ast.Constant() | ast.UnaryOp() as first, ast.Add(), size), [operator], [second]):
            number = ast.literal_eval(second) - ast.literal_eval(first) if isinstance(second, ast.Constant) else None
            tree = tree if number is None else ast.Compare(size, [operator], [ast.Constant(number)])
    return ast.unparse(tree)


def _nodes(traced: Traced) -> list[fx.Node]:
    return [node for node in traced.graph.nodes if node.op == "placeholder"]


def _open(traced: Traced) -> dict[str, list[tuple[int, int]]]:
    """Return the inputs and axes of each size that is open."""
    places: dict[str, list[tuple[int, int]]] = {}
    for number, node in enumerate(_nodes(traced)):
        for axis, size in enumerate(node.meta[VALUE].shape):
            if not isinstance(size, int):
                places.setdefault(str(size), []).append((number, axis))
    return places


def _unnoted(traced: Traced) -> list[str]:
    """Return what is assumed of the sizes themselves, which tracing does not note."""
    paths = [f"L{pytree.keystr(path)}" for path, _ in pytree.tree_flatten_with_path(traced.inputs)[0]]
    found = []
    for places in _open(traced).values():
        number, axis = places[0]
        found += [f"{paths[number]}.size()[{axis}] != {size}" for size in ((0, 1) if axis == 0 else (1,))]
    return found


def _others(traced: Traced, shapes: Shapes) -> list[list[Shapes]]:
    """Return shapes in which a size differs from the example, or all sizes of images do; by what differs."""
    places = _open(traced)
    most = max((max(example_shape(node)[1:], default=0) for node in _nodes(traced)), default=0)
    images = [place for own in places.values() for place in own if place[1] > 0]
    kinds = [[_with(shapes, own, size) for size in (0, 1)] for own in places.values() if own[0][1] == 0]
    kinds += [[_with(shapes, own, size) for size in range(1, most + 1)] for own in places.values() if own[0][1] > 0]
    return [*kinds, [_with(shapes, images, size) for size in range(1, most + 1)]]


def _with(shapes: Shapes, places: Sequence[tuple[int, int]], size: int) -> Shapes:
    new = [list(shape) for shape in shapes]
    for number, axis in places:
        new[number][axis] = size
    return tuple(map(tuple, new))


def check_guards(traced: Traced) -> None:
    """Raise an exception unless all guards can be written into a graph."""
    checks(traced, traced.guards)


def checks(traced: Traced, guards: Sequence[str]) -> fx.GraphModule | None:
    """Return a module that refuses inputs of sizes that are built in or break a guard; None if it takes all."""
    graph = fx.Graph()
    tracer = fx.proxy.GraphAppendingTracer(graph)
    nodes = _nodes(traced)
    reads = [_Read(fx.Proxy(graph.placeholder(str(node.target)), tracer)) for node in nodes]
    for node, read in zip(nodes, reads, strict=True):
        for axis, size in enumerate(node.meta[VALUE].shape):
            if isinstance(size, int):
                _demand(read[axis] == size, f"{node.target}.size({axis}) == {size}")
    inputs = _inputs(traced, reads)
    for guard in guards:
        _demand(_value(guard, inputs), guard.replace("L['", "").replace("']", "").replace(".size()", ".shape"))
    graph.output(None)
    return fx.GraphModule(nn.Module(), graph, class_name="CheckSizes") if len(graph.nodes) > len(nodes) + 1 else None


def _demand(condition: Any, text: str) -> None:
    if isinstance(condition, fx.Proxy):
        torch._assert(condition, f"this network was exported for inputs with {text}")
