"""The network that a conversion makes."""

from collections.abc import Callable
from typing import Any

from torch import fx

from equiconv.groups import FieldType

PRESERVED = "_user_preserved_attributes"  # of the meta data of a graph module: what its copies keep


class Converted(fx.GraphModule):
    """Run a graph of modules with the names of the original, and know the types of images and output."""

    def set_types(self, in_type: FieldType, out_type: FieldType) -> None:
        """Set the types, so that copies have them too."""
        self.meta[PRESERVED] = {"in_type": in_type, "out_type": out_type}
        vars(self).update(self.meta[PRESERVED])

    def __copy__(self) -> "Converted":
        twin = Converted(self, self.graph, type(self).__name__)
        twin.set_types(**self.meta[PRESERVED])
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> "Converted":
        twin: Any = super().__deepcopy__(memo)
        type(twin).__name__ = type(self).__name__
        return twin

    def __reduce__(self) -> tuple[Any, ...]:
        rebuild, arguments = super().__reduce__()
        return _rebuilt, (rebuild, arguments, type(self).__name__, self.meta[PRESERVED])


def _rebuilt(
    rebuild: Callable[..., fx.GraphModule], arguments: Any, name: str, types: dict[str, FieldType]
) -> Converted:
    plain = rebuild(*arguments)
    net = Converted(plain, plain.graph, name)
    net.set_types(**types)
    return net
