"""The field types of e2cnn as ours, and tensors carried over and back."""

import math
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse
from torch import Tensor

from equiconv.groups import FieldType, Representation
from equiconv.groups.laws import Floats, Ints
from equiconv.interop.e2cnn.basis import ChangeOfBasis
from equiconv.interop.e2cnn.kinds import Kind, kind_of
from equiconv.interop.e2cnn.spaces import elements_of, group_of

__all__ = ["field_type_from_e2cnn", "fields_from_e2cnn", "fields_to_e2cnn"]


class Fields:
    """Know where the fields of an e2cnn type are in ours.

    Fields of one kind stay in their order. With k1 fields of one kind, k2 of another, ..., n is the greatest common
    divisor of these numbers, and our type is n copies of the sum of k1/n of the first kind, k2/n of the second, ...

    Attributes:
        group: ours.
        unit: the kinds of the n-th part.
        places: which of their fields is where, ``(n, len(unit))``.
    """

    def __init__(self, theirs: Any) -> None:
        self.group, self.theirs = group_of(theirs.gspace), theirs
        elements = elements_of(theirs.gspace, self.group)
        found: dict[str, Kind] = {}
        members: dict[Any, tuple[Kind, list[int]]] = {}
        for index, representation in enumerate(theirs.representations):
            if representation.name not in found:
                found[representation.name] = kind_of(representation, self.group, elements)
            kind = found[representation.name]
            members.setdefault(kind.key, (kind, []))[1].append(index)
        self.n = math.gcd(*(len(own) for _, own in members.values()))
        self.unit = [kind for kind, own in members.values() for _ in range(len(own) // self.n)]
        self.places: Ints = np.concatenate([np.reshape(own, (self.n, -1)) for _, own in members.values()], axis=1)
        self.sizes = [representation.size for representation in theirs.representations]

    @property
    def type(self) -> FieldType:
        """Our type."""
        return self.typed([kind.representation for kind in self.unit])

    @property
    def whole(self) -> FieldType:
        """Our type with a single summand for each field of theirs; it has the same tensors."""
        return self.typed([kind.whole for kind in self.unit])

    def typed(self, unit: list[Representation]) -> FieldType:
        """Return n copies of the sum of these representations."""
        return FieldType(reduce(add, unit), self.n)

    @property
    def matrix(self) -> scipy.sparse.csr_array:
        """The orthogonal matrix from their channels to ours, ``(C, C)``."""
        starts = np.cumsum([0, *self.sizes[:-1]])
        source = np.concatenate([starts[i] + np.arange(self.sizes[i]) for i in self.places.ravel()])
        rows = np.arange(len(source))
        order = scipy.sparse.csr_array((np.ones(len(source)), (rows, source)))
        change = scipy.sparse.csr_array(scipy.linalg.block_diag(*(kind.change for kind in self.unit)))
        return scipy.sparse.csr_array(scipy.sparse.kron(scipy.sparse.eye_array(self.n), change) @ order)

    def entering(self) -> ChangeOfBasis:
        """Return the layer from their tensors to ours."""
        return ChangeOfBasis(self.matrix, out_type=self.type)

    def leaving(self) -> ChangeOfBasis:
        """Return the layer from our tensors to theirs."""
        return ChangeOfBasis(self.matrix.T, in_type=self.type)

    @property
    def entries(self) -> list[tuple[int, int]]:
        """The field of theirs, and the entry in it, of each channel of ours."""
        return [(int(i), entry) for i in self.places.ravel() for entry in range(self.sizes[i])]

    def ordered(self, values: Floats) -> Floats:
        """Return values of their fields ``(fields, ...)`` at our places, ``(n, len(unit), ...)``."""
        return values[self.places]

    def by_size(self, sizes: list[Any] | None = None) -> list[int]:
        """Return their fields sorted by size, and among those of a size in their order: as e2cnn groups them."""
        keys = self.sizes if sizes is None else sizes
        return sorted(range(len(keys)), key=lambda i: keys[i])


def field_type_from_e2cnn(field_type: Any) -> FieldType:
    """Return the field type of ours that has the fields of an e2cnn type.

    Args:
        field_type: an ``e2cnn.nn.FieldType``, its representations in any order and mixture.

    Returns:
        ``n * representation`` if all fields are alike; else ``n * (a + b + ...)``, n being the greatest common divisor
        of how often each representation occurs.

    Raises:
        GroupError: if its space is none of e2cnn's on the plane.
        FieldTypeError: if a representation is not orthogonal.
    """
    return Fields(field_type).type


def fields_from_e2cnn(x: Tensor, field_type: Any) -> Tensor:
    """Carry a tensor of e2cnn over: its fields in our order, layout and basis.

    Args:
        x: ``(B, C, H, W)``, such as the ``tensor`` of a ``GeometricTensor``.
        field_type: its ``e2cnn.nn.FieldType``.

    Returns:
        A tensor of ``field_type_from_e2cnn(field_type)``.

    Raises:
        ShapeError: if the tensor is not of the type.
    """
    return Fields(field_type).entering().to(x.device, x.dtype)(x)


def fields_to_e2cnn(x: Tensor, field_type: Any) -> Tensor:
    """Carry a tensor of ours back to e2cnn.

    Args:
        x: a tensor of ``field_type_from_e2cnn(field_type)``.
        field_type: the ``e2cnn.nn.FieldType`` of the result.

    Returns:
        ``(B, C, H, W)``, what a ``GeometricTensor`` of that type holds.

    Raises:
        ShapeError: if the tensor is not of the type.
    """
    return Fields(field_type).leaving().to(x.device, x.dtype)(x)
