"""One graph for what a forward does in training and in evaluation, which keeps no state and draws no numbers."""

import copy
import random
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from equiconv.errors import EquiconvError
from equiconv.interop.e2cnn.layout import free_name
from equiconv.interop.e2cnn.names import e2cnn_name, is_of_e2cnn

CONSTANT = "_tensor_constant"  # how torch.fx names the tensors that a forward makes


class UnfollowedError(EquiconvError):
    """Raised, within the package, for a forward that does what a graph cannot; it gets the name of the network."""


class ByMode(nn.Module):
    """Return one value in training, and another in evaluation.

    Args:
        training: the value in training.
        evaluation: the value in evaluation.
    """

    def __init__(self, training: Any, evaluation: Any) -> None:
        super().__init__()
        self.values = (training, evaluation)

    def forward(self) -> Any:
        """Return the value of the mode."""
        return self.values[not self.training]

    def extra_repr(self) -> str:
        """Return the values."""
        return f"{self.values[0]!r}, {self.values[1]!r}"


def in_mode(module: nn.Module, is_step: Callable[[nn.Module], bool], training: bool) -> nn.Module:
    """Return a copy of a network in a mode; its modules of e2cnn, which are steps, and types are the same ones."""
    shared = [m for m in module.modules() if is_step(m) and e2cnn_name(m) is not None]
    kept = [*shared, *(value for m in module.modules() for value in vars(m).values() if is_of_e2cnn(type(value)))]
    made = copy.deepcopy(module, {id(value): value for value in kept})
    ours = {id(part) for own in shared for part in own.modules()}
    for part in made.modules():
        if id(part) not in ours:
            part.training = training
    return made


@contextmanager
def watched(module: nn.Module) -> Iterator[None]:
    """Raise EquiconvError if what is done meanwhile changes attributes of the modules, or draws random numbers."""
    attributes, state = _attributes(module), _random_state()
    yield
    for place, value in _attributes(module).items():
        if not _same(attributes.get(place), value) and not place[1].startswith(CONSTANT):
            name = ".".join(filter(None, place))
            raise UnfollowedError(f"it changes {name}, and a graph has no such state; return what is to be kept")
    if _random_state() != state:
        raise UnfollowedError(
            "it draws random numbers that do not depend on its tensors, which would be the same in every call; draw "
            "them with torch.rand_like or torch.randn_like"
        )


def _attributes(module: nn.Module) -> dict[tuple[str, str], Any]:
    return {
        (name, key): copy.copy(value) if isinstance(value, (list, dict, set)) else value
        for name, part in module.named_modules()
        for key, value in chain(part._parameters.items(), part._buffers.items(), vars(part).items())
    }


def _same(a: Any, b: Any) -> bool:
    """Tell whether two attributes are one, or containers of the same objects."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(a[key] is b[key] for key in a)
    if isinstance(a, (list, set)) and type(a) is type(b):
        return list(map(id, a)) == list(map(id, b))
    return a is b


def _random_state() -> list[Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    state: Any = np.random.get_state()  # noqa: NPY002 (the one that a forward may draw from)
    return [random.getstate(), state[1].tobytes(), state[2:], *(s.tolist() for s in (torch.get_rng_state(), *cuda))]


class Merged:
    """Turn the graph of training into one for both modes, given that of evaluation.

    Args:
        training: the graph of training, which changes.
        evaluation: the graph of evaluation.
        constant: returns the tensors of a name in the two networks.
        is_training: returns the mode of a module.
        names: the names of all that the network holds.
    """

    def __init__(
        self,
        training: fx.Graph,
        evaluation: fx.Graph,
        *,
        constant: Callable[[str], tuple[Tensor, Tensor]],
        is_training: Callable[[str], bool],
        names: Collection[str],
    ) -> None:
        self.training, self.evaluation = training, evaluation
        self.constant, self.is_training, self.names = constant, is_training, names
        self.partner: dict[fx.Node, fx.Node] = {}
        self.chosen: dict[str, ByMode] = {}

    def merge(self) -> None:
        """Raise EquiconvError unless the two differ in numbers and the like alone; these are chosen by the mode."""
        pairs = list(zip(list(self.training.nodes), self.evaluation.nodes, strict=False))
        for a, b in pairs:
            if (a.op, a.target) != (b.op, b.target) or (a.op == "get_attr" and not self._equal(str(a.target))):
                raise _different(a, b)
            args, kwargs = self._both(a.args, b.args, a), self._both(a.kwargs, b.kwargs, a)
            a.args, a.kwargs = args, kwargs
            self.partner[a] = b
        if len(self.training.nodes) - len(self.chosen) != len(self.evaluation.nodes):
            raise _different(pairs[-1][0], pairs[-1][1])

    def _equal(self, name: str) -> bool:
        a, b = self.constant(name)
        return a.dtype == b.dtype and torch.equal(a, b)

    def _both(self, a: Any, b: Any, at: fx.Node) -> Any:
        """Return an argument of a step for both modes."""
        if isinstance(a, fx.Node) or isinstance(b, fx.Node):
            if self.partner.get(a) is not b:
                raise _different(at, at)
            return a
        if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)) and len(a) == len(b):
            return type(a)(self._both(x, y, at) for x, y in zip(a, b, strict=True))
        if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
            return {key: self._both(a[key], b[key], at) for key in a}
        if isinstance(a, slice) and isinstance(b, slice):
            ends = [self._both(getattr(a, end), getattr(b, end), at) for end in ("start", "stop", "step")]
            return slice(*ends)
        return a if type(a) is type(b) and a == b else self._choice(a, b, at)

    def _choice(self, a: Any, b: Any, at: fx.Node) -> fx.Node:
        owner = next(reversed(at.meta.get("nn_module_stack", {"": ("",)}).values()))[0]
        name = free_name(f"{owner}.mode" if owner else "mode", [*self.names, *self.chosen])
        self.chosen[name] = ByMode(a, b)
        self.chosen[name].training = self.is_training(owner)
        with self.training.inserting_before(at):
            return self.training.call_module(name)


def _different(a: fx.Node, b: fx.Node) -> UnfollowedError:
    steps = " or ".join(dict.fromkeys(getattr(node.target, "__name__", str(node.target)) for node in (a, b)))
    return UnfollowedError(
        f"it does other things in training than in evaluation ({steps}), and a graph does the same in both; take "
        "the part that depends on self.training out of it, such as nn.Dropout for F.dropout"
    )
