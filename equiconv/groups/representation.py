"""Representations."""

from collections.abc import Iterable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from equiconv.errors import FieldTypeError, GroupError
from equiconv.groups import blocks, irreps, quotient
from equiconv.groups.laws import TOLERANCE, Floats, Ints, check_action, frozen, permutation_matrices, permuted
from equiconv.groups.values import WriteOnce, enclosed

if TYPE_CHECKING:
    from equiconv.groups.field_type import FieldType
    from equiconv.groups.group import Group

IMAGE, COVER = "image", "cover"
COLORS = (None, IMAGE, COVER)
TYPES = {1: "real", 2: "complex", 4: "quaternionic"}


class Representation(WriteOnce):
    """Describe how a group moves the fiber of a field: orthogonal matrices ``rho(g)``.

    Of a continuous group ``rho`` holds the matrices of the elements in its tables, and ``at`` those between them.
    Immutable; equal and hashed by value. ``a + b`` is the direct sum of two representations of one group, ``a * b`` the
    outer product of representations of two groups (a representation of their direct product), ``n * a`` a field type.

    Args:
        group: the group that acts.
        rho: orthogonal matrices, shape ``(order, d, d)``, with ``rho[a] @ rho[b] == rho[group.table[a, b]]``.
        name: the expression that rebuilds it, shown by ``repr``; None shows the matrices.
        flat: whether fields of this representation are laid out flat, ``(B, n*d, H, W)``, as images and invariant
            features are, instead of ``(B, n, d, H, W)``.
        block: the length of the blocks of entries that every rho(g) sends to one another as wholes, such as the parts
            for the cosets of an induced representation; None takes 1 for permutations, else d.
        summands: the representations of which this one is the direct sum, if it is one.
        colors: ``"image"`` or ``"cover"``, for what the group's tone shifts besides; None for all other fields.

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
        block: int | None = None,
        summands: tuple["Representation", ...] = (),
        colors: str | None = None,
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
        if colors not in COLORS or (colors and self.dim != 3):
            raise FieldTypeError(f'colors is "image", "cover" or None, for fibers of three; got {colors!r}, {self.dim}')
        self.colors = colors if group.tone.moves else None
        try:
            check_action(group.table, group.generators, self.rho, self.dim, "rho")
        except GroupError as error:
            raise FieldTypeError(f"these matrices are no representation of {group!r}: {error}") from None
        self.block = (1 if self.is_permutation else self.dim) if block is None else blocks.check_block(self.rho, block)

    @cached_property
    def permutation(self) -> Ints | None:
        """Basis vector j is sent to basis vector ``permutation[g, j]``; None if rho is not made of permutations."""
        images = permuted(self.rho)
        return None if images is None else frozen(images, np.int64)

    @property
    def is_linear(self) -> bool:
        """Whether ``rho`` is all by which the fiber moves; else the group's tone shifts the colors of images too."""
        return self.colors is None

    def check_linear(self) -> None:
        """Raise FieldTypeError if these are images whose colors are shifted along a color model."""
        if not self.is_linear:
            what = "has no sums, products, parts or inductions; lift the images first"
            raise FieldTypeError(f"{self!r} is not moved linearly: it {what}")

    @property
    def covers(self) -> bool:
        """Whether a fiber holds the coordinates of a color on the cover of the group's tone."""
        return self.colors == COVER

    @property
    def is_identity(self) -> bool:
        """Whether no element moves the fiber."""
        return bool(np.allclose(self.rho, np.eye(self.dim), atol=TOLERANCE))

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

    @cached_property
    def blocks(self) -> tuple[tuple[int, ...], ...]:
        """The parts of the entries that every rho(g) sends to one another as wholes, summand after summand."""
        lengths = [summand.block for summand in self.summands for _ in range(summand.dim // summand.block)]
        ends = np.cumsum(lengths).tolist()
        return tuple(tuple(range(end - length, end)) for end, length in zip(ends, lengths, strict=True))

    @cached_property
    def of_blocks(self) -> "Representation":
        """How the blocks are permuted: a representation with one entry for each."""
        return blocks.permuted_blocks(self)

    def decompose(self) -> tuple[tuple[int, ...], Floats]:
        """Split into irreps.

        Returns:
            The indices of the irreps in ``group.irreps``, with repetition, and the orthogonal matrix Q ``(d, d)`` with
            ``rho(g) = Q blockdiag(irreps)(g) Q^T``.

        Raises:
            FieldTypeError: if the group is continuous and does not list all irreps that occur, or shifts colors.
        """
        self.check_linear()
        found = [
            (k, copy) for k, irrep in enumerate(self.group.irreps) for copy in irreps.intertwiners(self.rho, irrep.rho)
        ]
        if sum(copy.shape[1] for _, copy in found) < self.dim:
            raise FieldTypeError(
                f"{self!r} has frequencies above the largest of its group, {self.group.max_frequency}; "
                f"make the group with a larger max_frequency: {self.group!r}"
            )
        return tuple(k for k, _ in found), np.concatenate([copy for _, copy in found], axis=1)

    def restrict(self, subgroup: "Group | Iterable[int]") -> "Representation":
        """Forget the elements outside a subgroup. The data of a field stay as they are.

        Args:
            subgroup: in any form that ``group.subgroup`` takes; of a continuous group, any group that acts as a
                subgroup of it does.

        Returns:
            The representation of ``subgroup`` on the same vectors.

        Raises:
            GroupError: if it is not a subgroup.
        """
        from equiconv.groups.restriction import restriction  # a subgroup is a group

        return restriction(self, subgroup)

    def induce(self, group: "Group") -> "Representation":
        """Extend to a larger group: a field of the result holds one field of this one for each coset.

        Args:
            group: a group of which this one is a subgroup, with finitely many cosets gH.

        Returns:
            The induced representation of ``group``, of dimension cosets * d: element g sends the part of coset cH to
            that of gcH and turns it by ``rho(h)``, ``g c = c' h``, c and c' being the smallest elements of the cosets.

        Raises:
            GroupError: if this group is not a subgroup, or has infinitely many cosets.
        """
        from equiconv.groups.subgroup import has_finite_index  # a subgroup is a group

        self.check_linear()
        if not has_finite_index(group, self.group):
            raise GroupError(f"{self.group!r} has infinitely many cosets in {group!r}; induce from a larger subgroup")
        name = f"{enclosed(self)}.induce({group!r})"
        return Representation(
            group, quotient.induced(self.rho, group.subgroup(self.group)), name=name, block=self.block
        )

    def under(self, group: "Group") -> "Representation":
        """Return how another group moves the same fields: its elements, as those of this group that act alike.

        Args:
            group: any group. What this group leaves alone, plane or colors, its elements may move as they like; and
                fields that no element of this group moves are moved by none of the other.

        Raises:
            GroupError: if this group moves plane or colors, but not as an element of the other group does.
        """
        from equiconv.groups.restriction import under  # a subgroup is a group

        return under(self, group)

    def at(self, angle: float, *, mirrored: bool = False) -> Floats:
        """Return the matrix of any element of a continuous group.

        Args:
            angle: of the rotation, in radians.
            mirrored: whether rows are flipped after the rotation, for O(2).

        Returns:
            The matrix ``(d, d)``; other factors of the group stay at the identity.

        Raises:
            GroupError: if the group is finite (take ``rho`` then) or has no reflections, or the angle is not a finite
                number.
        """
        from equiconv.groups.subgroup import between  # a subgroup is a group

        return np.tensordot(between(self.group, angle, mirrored), self.rho, 1)

    def __add__(self, other: "Representation") -> "Representation":
        from equiconv.groups.combined import direct_sum  # it is a representation

        return direct_sum(self, other)

    def __mul__(self, other: "Representation") -> "Representation":
        from equiconv.groups.combined import outer_product  # it is a representation

        return outer_product(self, other)

    def __rmul__(self, n: int) -> "FieldType":
        from equiconv.groups.field_type import FieldType  # a field type is made of a representation

        return FieldType(self, n)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Representation):
            return NotImplemented
        return self is other or (
            (self.sizes, self.blocks, self.flat) == (other.sizes, other.blocks, other.flat)
            and (self.colors, self.group) == (other.colors, other.group)
            and bool(np.allclose(self.rho, other.rho, atol=TOLERANCE))
        )

    def __hash__(self) -> int:
        return hash((self.group, self.sizes, self.flat))

    def __repr__(self) -> str:
        return (
            self._name or f"Representation({self.group!r}, {self.rho.tolist()!r}, flat={self.flat}, block={self.block})"
        )

    def __deepcopy__(self, memo: object) -> "Representation":
        return self

    def __reduce__(self) -> tuple[object, ...]:
        summands = self.summands if len(self.summands) > 1 else ()
        values = self.rho if self.permutation is None else self.permutation
        kept = partial(_rebuilt, name=self._name, flat=self.flat, block=self.block, summands=summands)
        return partial(kept, colors=self.colors), (self.group, values)


def _rebuilt(group: "Group", values: Any, **options: Any) -> Representation:
    """Return the representation of these matrices, or of these permutations, which are far smaller in a file."""
    return Representation(group, permutation_matrices(values) if values.ndim == 2 else values, **options)
