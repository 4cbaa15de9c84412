"""The parts of a field that have a norm, or a gate, of their own."""

from functools import reduce
from operator import add

import numpy as np

from equiconv.errors import FieldTypeError
from equiconv.groups.representation import Representation


class Parts:
    """Split the entries of a field into parts that a group keeps, or sends to one another as wholes.

    Args:
        representation: how the field moves.
        kind: ``"summands"`` or ``"blocks"``.

    Attributes:
        members: which entries each part has, zeros and ones ``(p, d)``.
        representation: how the parts are permuted, of dimension p.
        orbits: the number of the orbit of each part, ``(p,)``.

    Raises:
        FieldTypeError: if the kind is unknown.
    """

    def __init__(self, representation: Representation, kind: str) -> None:
        group = representation.group
        if kind == "summands":
            count = len(representation.sizes)
            self.members = np.repeat(np.eye(count), representation.sizes, axis=1)
            self.representation = reduce(add, [group.trivial] * count)
            self.orbits = np.arange(count)
        elif kind == "blocks":
            self.members = np.zeros((len(representation.blocks), representation.dim))
            for part, block in enumerate(representation.blocks):
                self.members[part, list(block)] = 1
            self.representation = representation.of_blocks
            images = self.representation.rho.argmax(axis=1)  # (g, p)
            self.orbits = np.unique(images.min(axis=0), return_inverse=True)[1]
        else:
            raise FieldTypeError(f'parts is "summands" or "blocks"; got {kind!r}')
