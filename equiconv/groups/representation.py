"""Representations of finite groups, and the field types made of them."""

from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from equiconv.errors import FieldTypeError, GroupError, ShapeError
from equiconv.groups import irreps
from equiconv.groups.laws import TOLERANCE, Floats, Ints, check_action, frozen
from equiconv.groups.moves import move_plane
from equiconv.groups.values import WriteOnce, enclosed, integer

if TYPE_CHECKING:
    from equiconv.groups.group import Group

TYPES = {1: "real", 2: "complex", 4: "quaternionic"}


class Representation(WriteOnce):
    """Describe how a group moves the fiber of a field: orthogonal matrices ``rho(g)``.

    Immutable; equal and hashed by value. ``a + b`` is the direct sum of two representations of one group, ``a * b`` the
    outer product of representations of two groups (a representation of their direct product), ``n * a`` a field type.

    Args:
        group: the group that acts.
        rho: orthogonal matrices, shape ``(order, d, d)``, with ``rho[a] @ rho[b] == rho[group.table[a, b]]``.
        name: the expression that rebuilds it, shown by ``repr``; None shows the matrices.
        flat: whether fields of this representation are laid out flat, ``(B, n*d, H, W)``, as images and invariant
            features are, instead of ``(B, n, d, H, W)``.
        summands: the representations of which this one is the direct sum, if it is one.

    Raises:
        FieldTypeError: if the matrices have the wrong shape, are not orthogonal or do not multiply as the group does.

    Example:
        >>> from equiconv.groups import Cyclic
        >>> group = Cyclic(4)
        >>> group.regular.dim, group.regular.is_permutation
        (4, True)
        >>> group.irrep(1).type
        'complex'
    """

    def __init__(
        self,
        group: "Group",
        rho: Floats,
        *,
        name: str | None = None,
        flat: bool = False,
        summands: tuple["Representation", ...] = (),
    ) -> None:
        self.group = group
        if not hasattr(group, "table"):
            raise FieldTypeError(f"a representation is of a group, such as Cyclic(4); got {group!r}")
        try:
            self.rho = frozen(rho, np.float64)
        except (TypeError, ValueError):
            raise FieldTypeError(f"rho is an array of numbers of shape (order, d, d); got {rho!r}") from None
        self.flat = bool(flat)
        self.summands = summands or (self,)
        self._name = name
        if self.rho.ndim != 3 or self.rho.shape[-1] == 0:
            raise FieldTypeError(f"rho has the shape (order, d, d) with d > 0; got {self.rho.shape}")
        self.dim: int = self.rho.shape[-1]
        try:
            check_action(group.table, group.generators, self.rho, self.dim, "rho")
        except GroupError as error:
            raise FieldTypeError(f"these matrices are no representation of {group!r}: {error}") from None

    @cached_property
    def permutation(self) -> Ints | None:
        """Basis vector j is sent to basis vector ``permutation[g, j]``; None if rho is not made of permutations."""
        if not ((self.rho == 0) | (self.rho == 1)).all():
            return None
        return frozen(self.rho.argmax(axis=1), np.int64)

    @property
    def _sizes(self) -> tuple[int, ...]:
        return tuple(summand.dim for summand in self.summands)

    @property
    def is_permutation(self) -> bool:
        """Whether every rho(g) permutes the entries of a field, so that pointwise functions keep the law."""
        return self.permutation is not None

    @property
    def is_regular(self) -> bool:
        """Whether these are the matrices of the regular representation, in the order of the group."""
        return self.permutation is not None and np.array_equal(self.permutation, self.group.table)

    @property
    def is_irreducible(self) -> bool:
        """Whether no proper subspace is kept by all elements."""
        return irreps.is_irreducible(self.rho)

    @property
    def character(self) -> Floats:
        """The traces of rho, shape ``(order,)``."""
        return irreps.character(self.rho)

    @property
    def type(self) -> str:
        """The type of an irreducible representation: ``"real"``, ``"complex"`` or ``"quaternionic"``."""
        if not self.is_irreducible:
            raise FieldTypeError(f"only irreducible representations have a type; {self!r} is reducible: decompose() it")
        return TYPES[irreps.endomorphism_dim(self.rho)]

    @cached_property
    def fixed(self) -> Floats:
        """A basis of the invariant vectors, shape ``(t, d)``, orthogonal, the largest entry of each being 1."""
        vectors = irreps.orthonormal_columns(self.rho.mean(axis=0)).T
        return frozen(vectors / abs(vectors).max(axis=1, keepdims=True, initial=1e-300), np.float64)

    def decompose(self) -> tuple[tuple[int, ...], Floats]:
        """Split into irreps.

        Returns:
            The indices of the irreps in ``group.irreps``, with repetition, and the orthogonal matrix Q ``(d, d)`` with
            ``rho(g) = Q blockdiag(irreps)(g) Q^T``.
        """
        found = [
            (k, copy) for k, irrep in enumerate(self.group.irreps) for copy in irreps.intertwiners(self.rho, irrep.rho)
        ]
        return tuple(k for k, _ in found), np.concatenate([copy for _, copy in found], axis=1)

    def restrict(self, subgroup: "Group") -> "Representation":
        """Forget the elements outside a subgroup. The data of a field stay as they are.

        Args:
            subgroup: a subgroup made by ``group.subgroup``, or a group that acts as a subgroup of ``group`` does.

        Returns:
            The representation of ``subgroup`` on the same vectors.

        Raises:
            GroupError: if it is not a subgroup.
        """
        part = self.group.subgroup(subgroup)
        name = f"{enclosed(self)}.restrict({part.source!r})"
        summands = tuple(a.restrict(part) for a in self.summands) if len(self.summands) > 1 else ()
        return Representation(part.source, self.rho[list(part.elements)], name=name, flat=self.flat, summands=summands)

    def __add__(self, other: "Representation") -> "Representation":
        if not isinstance(other, Representation):
            raise FieldTypeError(f"a direct sum adds representations; got {other!r}")
        if other.group != self.group:
            raise FieldTypeError(
                f"a direct sum needs one group; got {self!r} on {self.group!r} and {other!r} on {other.group!r}"
            )
        d = self.dim
        rho = np.zeros((self.group.order, d + other.dim, d + other.dim))
        rho[:, :d, :d], rho[:, d:, d:] = self.rho, other.rho
        return Representation(self.group, rho, name=f"{self!r} + {other!r}", summands=self.summands + other.summands)

    def __mul__(self, other: "Representation") -> "Representation":
        if not isinstance(other, Representation):
            raise FieldTypeError(f"write the number of fields first, n * representation; got {self!r} * {other!r}")
        if other.group == self.group:
            raise FieldTypeError(
                f"rep * rep is the outer product over two different groups; both are representations of {self.group!r}"
            )
        name = f"{enclosed(self)} * {enclosed(other)}"
        rho = irreps.outer(self.rho, other.rho)
        return Representation(self.group * other.group, rho, name=name, flat=self.flat and other.flat)

    def __rmul__(self, n: int) -> "FieldType":
        return FieldType(self, n)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Representation):
            return NotImplemented
        return self is other or (
            (self._sizes, self.flat, self.group) == (other._sizes, other.flat, other.group)
            and bool(np.allclose(self.rho, other.rho, atol=TOLERANCE))
        )

    def __hash__(self) -> int:
        return hash((self.group, self._sizes, self.flat))

    def __repr__(self) -> str:
        return self._name or f"Representation({self.group!r}, {self.rho.tolist()!r}, flat={self.flat})"

    def __deepcopy__(self, memo: object) -> "Representation":
        return self

    def __reduce__(self) -> tuple[object, ...]:
        summands = self.summands if len(self.summands) > 1 else ()
        rebuild = partial(Representation, name=self._name, flat=self.flat, summands=summands)
        return rebuild, (self.group, self.rho)


class FieldType(WriteOnce):
    """Name the type of a feature map: ``n`` fields, each a copy of one representation.

    Immutable, equal and hashed by value, without data. Feature maps are plain tensors: ``(B, n*d, H, W)`` for images
    and invariant features (``representation.flat``), ``(B, n, d, H, W)`` for everything else, d being ``fiber``.

    Args:
        representation: how one field moves.
        n: the number of fields (multiplicity), at least 1.

    Raises:
        FieldTypeError: if n is not a positive integer.

    Example:
        >>> from equiconv.groups import P4M
        >>> 16 * P4M().regular
        16 * Dihedral(4).regular
        >>> (16 * P4M().regular).channels
        128
    """

    def __init__(self, representation: Representation, n: int) -> None:
        if not isinstance(representation, Representation):
            raise FieldTypeError(f"a field type is made of a representation; got {representation!r}")
        count = integer(n)
        if count is None or count < 1:
            raise FieldTypeError(f"a field type has n >= 1 fields, n an integer; got n = {n!r}")
        self.representation = representation
        self.n = count
        self.fiber = representation.dim
        self.flat = representation.flat
        self.channels = count * self.fiber

    @property
    def group(self) -> "Group":
        """The group that acts."""
        return self.representation.group

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the channel axes: ``(n*d,)`` if flat, else ``(n, d)``."""
        return (self.channels,) if self.flat else (self.n, self.fiber)

    def restrict(self, subgroup: "Group") -> "FieldType":
        """Forget the elements outside a subgroup; tensors of this type are tensors of the result, unchanged."""
        return FieldType(self.representation.restrict(subgroup), self.n)

    def check(self, x: Tensor) -> None:
        """Raise ShapeError unless ``x`` is a tensor of this type."""
        sizes = self.shape
        if x.dim() != len(sizes) + 3 or x.shape[1:-2] != sizes:
            layout = f"(B, {', '.join(map(str, sizes))}, H, W)"
            raise ShapeError(f"fields of type {self!r} are tensors of shape {layout}; got {tuple(x.shape)}")

    def flatten(self, x: Tensor) -> Tensor:
        """Return the tensor ``x`` of this type as ``(B, n*d, H, W)``."""
        self.check(x)
        return x if self.flat else x.flatten(1, 2)

    def unflatten(self, x: Tensor) -> Tensor:
        """Return ``x`` of shape ``(B, n*d, H, W)`` in the layout of this type."""
        return x if self.flat else x.unflatten(1, (self.n, self.fiber))

    def fields(self, x: Tensor) -> Tensor:
        """Return the tensor ``x`` of this type as ``(B, n, d, H, W)``, whatever its layout."""
        self.check(x)
        return x.unflatten(1, (self.n, self.fiber)) if self.flat else x

    def like(self, x: Tensor) -> Tensor:
        """Return ``x`` of shape ``(B, n, d, H, W)`` in the layout of this type; the inverse of ``fields``."""
        return x.flatten(1, 2) if self.flat else x

    def transform(self, x: Tensor, g: int) -> Tensor:
        """Move a field by a group element, plane and fiber together: ``(g.x)(p) = rho(g) x(g^-1 p)``.

        Args:
            x: a tensor of this type, 4-D if the type is flat, else 5-D.
            g: the element, ``0 .. order - 1``.

        Returns:
            The moved field; H and W are exchanged by a quarter turn. Exact for quarter turns and flips; other angles
            are interpolated bicubically, with zeros from outside.

        Raises:
            ShapeError: if x is not of this type.
            GroupError: if g is not an element.
        """
        g = self.group.check_element(g)
        fields = self.fields(x)
        if self.representation == self.group.image:
            return self.like(self.group.transform_image(fields, g))
        moved = move_plane(fields, self.group.plane[g])
        rho = torch.tensor(self.representation.rho[g].tolist(), dtype=x.dtype, device=x.device)
        return self.like(torch.einsum("ij,bnjhw->bnihw", rho, moved))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FieldType):
            return NotImplemented
        return self.n == other.n and self.representation == other.representation

    def __hash__(self) -> int:
        return hash((self.n, self.representation))

    def __repr__(self) -> str:
        return f"{self.n} * {enclosed(self.representation)}"

    def __deepcopy__(self, memo: object) -> "FieldType":
        return self


def as_type(value: FieldType | Representation) -> FieldType:
    """Return a field type; a bare representation stands for one field of it."""
    if isinstance(value, Representation):
        return FieldType(value, 1)
    if not isinstance(value, FieldType):
        raise FieldTypeError(f"expected a field type, such as 16 * group.regular; got {value!r}")
    return value
