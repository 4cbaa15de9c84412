"""What was put into a module after it was made: parts of their own, and one part in several places."""

from typing import Any

from torch import nn

from equiconv.errors import SavingError
from equiconv.layers.convolution import Convolution
from equiconv.saving.checking import difference, made_alike, names_in
from equiconv.saving.decoding import Decoder
from equiconv.saving.encoding import Encoder
from equiconv.saving.names import CONTAINERS

SAME = "same"  # the key of the name of the part that another one is


class Replacing:
    """Bring the parts of a module just made to those of another, and write down how.

    Args:
        encoder: writes parts.
        decoder: makes them again, on the meta device.
        module: as it is.
        made: what the arguments of the module make.

    Attributes:
        replaced: what there is to put into ``made``, in order: JSON of parts, by their names.
        executions: how convolutions are computed that their arguments make otherwise.
    """

    def __init__(self, encoder: Encoder, decoder: Decoder, module: nn.Module, made: nn.Module) -> None:
        self.encoder, self.decoder, self.made = encoder, decoder, made
        self.replaced: dict[str, Any] = {}
        self.executions: dict[str, str] = {}
        self.names = names_in(module, made)
        self._places = {id(module): ""}
        self._used = {id(made)}
        self._kept = list(made.modules())  # also those that are replaced, so that ids stay theirs
        self._node(module, made, "")

    def _node(self, ours: nn.Module, made: nn.Module, name: str) -> None:
        self._execute(ours, made, name)
        for key, child in list(ours._modules.items()):
            self._child(child, made, f"{name}.{key}" if name else key)

    def _child(self, child: nn.Module | None, home: nn.Module, name: str) -> None:
        key = name.rpartition(".")[2]
        fresh = home._modules.get(key)
        if child is None:
            if fresh is not None:
                self._put(name, None)
            return
        if (first := self._places.get(id(child))) is not None:
            if fresh is not self.made.get_submodule(first):
                self._put(name, {SAME: first})
            return
        self._places[id(child)] = name
        if fresh is None or id(fresh) in self._used or self._is_other(child, fresh, name):
            fresh = self._remade(child, fresh, name)
        self._used.add(id(fresh))
        self._kept.append(fresh)
        self._node(child, fresh, name)

    def _is_other(self, child: nn.Module, fresh: nn.Module, name: str) -> bool:
        """Tell whether a part has to be made anew; parts within it are looked at later."""
        self._execute(child, fresh, name)
        if type(child) in CONTAINERS and list(child._modules) != list(fresh._modules):
            return True
        return difference(child, fresh, self.names) is not None or not made_alike(child, fresh, self.names)

    def _remade(self, child: nn.Module, fresh: nn.Module | None, name: str) -> nn.Module:
        """Return the part that is made for ``child`` and put into its place; ``fresh`` if that is no other class."""
        try:
            data = self.encoder.encode(child, name)
        except SavingError:
            if type(child) is type(fresh) and fresh is not None and id(fresh) not in self._used:
                return fresh  # what differs is said when all is compared
            raise
        return self._put(name, data)

    def _put(self, name: str, data: Any) -> Any:
        self.replaced[name] = data
        self.executions = {each: how for each, how in self.executions.items() if each != name}
        return replace(self.made, name, data, self.decoder)

    def _execute(self, ours: nn.Module, made: nn.Module, name: str) -> None:
        """Let a convolution that was made be computed as the other one is."""
        if isinstance(ours, Convolution) and type(made) is type(ours) and made.execution != ours.execution:
            self.executions[name] = made.execution = ours.execution


def replace(module: nn.Module, name: str, data: Any, decoder: Decoder) -> Any:
    """Put what JSON describes into a place of a module, and return it: a part, None, or another part once more.

    Raises:
        SavingError: if there is no such place.
    """
    above, _, key = name.rpartition(".")
    home = part_of(module, above)
    if not key or (key not in home._modules and (key.startswith("_") or data is None)):
        raise SavingError(f"the file puts something into the part {name!r}, which its module does not have")
    again = isinstance(data, dict) and set(data) == {SAME}
    value = part_of(module, data[SAME]) if again else decoder.part(data)
    setattr(home, key, value)
    return value


def part_of(module: nn.Module, name: Any) -> nn.Module:
    """Return a part of a module, or raise SavingError."""
    try:
        return module.get_submodule(name)
    except AttributeError:
        raise SavingError(f"the file tells of a part {name!r} that its module does not have") from None
