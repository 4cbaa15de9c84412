"""Different layers for the parts of a type."""

from functools import reduce
from operator import add

import torch
from torch import Tensor, nn

from equiconv.errors import FieldTypeError, ShapeError
from equiconv.groups.field_type import FieldType, as_type
from equiconv.layers.layer import FieldLayer

__all__ = ["Branches"]


class Branches(FieldLayer):
    """Apply a layer to each part of the fields: ``ReLU`` to the regular part, gates to the rest.

    Equivariance:
        As its layers: ``f(in_type.transform(x, g)) == out_type.transform(f(x), g)`` where it holds for each of them.

    Args:
        *layers: modules with ``in_type`` and ``out_type``, on one group, all from n and to m fields.

    Attributes:
        in_type: ``n * (rep_1 + rep_2 + ...)`` for layers that take ``n * rep_1``, ``n * rep_2``, ...
        out_type: ``m * (out_1 + out_2 + ...)`` for layers that return ``m * out_1``, ``m * out_2``, ...

    Raises:
        FieldTypeError: if there is no layer, one does not know its types, or groups or numbers of fields differ.
        ShapeError: in ``forward``, if the layers return different heights or widths.

    Example:
        >>> from equiconv.groups import Cyclic
        >>> from equiconv.layers import GatedActivation, Pointwise
        >>> group = Cyclic(8)
        >>> Branches(Pointwise(4 * group.regular), GatedActivation(4 * group.irrep(1))).out_type
        4 * (Cyclic(8).regular + Cyclic(8).irrep(1))
    """

    def __init__(self, *layers: nn.Module) -> None:
        typed = all(hasattr(layer, "in_type") and hasattr(layer, "out_type") for layer in layers)
        if not layers or not typed or not all(isinstance(layer, nn.Module) for layer in layers):
            raise FieldTypeError(f"Branches takes layers with in_type and out_type, such as Pointwise; got {layers!r}")
        in_types, out_types = ([as_type(getattr(layer, end)) for layer in layers] for end in ("in_type", "out_type"))
        super().__init__(_joined(in_types), _joined(out_types))
        self._in_types, self._out_types = in_types, out_types
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers to a tensor of ``in_type``; return a tensor of ``out_type``."""
        fields = self.in_type.fields(x)  # (b, n, d, h, w)
        parts = fields.split([kind.fiber for kind in self._in_types], 2)
        outputs = [
            target.fields(layer(source.like(part)))
            for layer, source, target, part in zip(self.layers, self._in_types, self._out_types, parts, strict=True)
        ]
        sizes = [tuple(output.shape[-2:]) for output in outputs]
        if any(size != sizes[0] for size in sizes):
            raise ShapeError(f"the layers of Branches return maps of one size; got (height, width) = {sizes}")
        return self.laid_out(torch.cat(outputs, 2), x)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return ", ".join(map(repr, self.layers))


def _joined(types: list[FieldType]) -> FieldType:
    """Return the type of fields of all the types side by side."""
    first = types[0]
    if any(kind.group != first.group or kind.n != first.n for kind in types):
        raise FieldTypeError(
            f"Branches joins equal numbers of fields on one group; got {', '.join(map(repr, types))}: split "
            "or restrict them"
        )
    return first.n * reduce(add, [kind.representation for kind in types])
