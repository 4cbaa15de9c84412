"""Representations of finite groups."""

from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from equiconv.errors import FieldTypeError, GroupError
from equiconv.groups import irreps
from equiconv.groups.laws import TOLERANCE, Floats, Ints, check_action, frozen
from equiconv.groups.values import WriteOnce, enclosed

if TYPE_CHECKING:
    from equiconv.groups.field_type import FieldType
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
    def sizes(self) -> tuple[int, ...]:
        """The dimensions of the summands."""
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
        from equiconv.groups.field_type import FieldType  # a field type is made of a representation

        return FieldType(self, n)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Representation):
            return NotImplemented
        return self is other or (
            (self.sizes, self.flat, self.group) == (other.sizes, other.flat, other.group)
            and bool(np.allclose(self.rho, other.rho, atol=TOLERANCE))
        )

    def __hash__(self) -> int:
        return hash((self.group, self.sizes, self.flat))

    def __repr__(self) -> str:
        return self._name or f"Representation({self.group!r}, {self.rho.tolist()!r}, flat={self.flat})"

    def __deepcopy__(self, memo: object) -> "Representation":
        return self

    def __reduce__(self) -> tuple[object, ...]:
        summands = self.summands if len(self.summands) > 1 else ()
        rebuild = partial(Representation, name=self._name, flat=self.flat, summands=summands)
        return rebuild, (self.group, self.rho)
