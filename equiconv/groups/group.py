"""Groups: a product table, how each element moves the plane and the colors, and the ``*`` operator."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import cached_property, reduce
from typing import TYPE_CHECKING, NoReturn

import numpy as np
from torch import Tensor

from equiconv.errors import GroupError
from equiconv.groups import irreps, laws
from equiconv.groups.batches import acting_alike, check_batch, check_image, move_one_by_one
from equiconv.groups.laws import Floats, Ints, frozen, snapped
from equiconv.groups.moves import is_signed_permutation, move_colors, move_plane, move_planes
from equiconv.groups.quotient import band_limited, on_cosets
from equiconv.groups.representation import Representation
from equiconv.groups.values import WriteOnce, enclosed, integer

if TYPE_CHECKING:
    from equiconv.groups.subgroup import Subgroup


class Group(WriteOnce, ABC):
    """Hold a finite group: elements are the integers ``0 .. order - 1``, 0 is the identity.

    A group is its product table and how its elements move the plane and the colors; two groups are equal if these are.
    Immutable and hashable. ``a * b`` is the direct product. To add a group, subclass, call this constructor and return
    the constructor arguments from ``arguments``: the laws are checked, everything else follows.

    Args:
        table: ``table[a, b]`` is the product a.b (b acts first), shape ``(order, order)``.
        plane: orthogonal matrices on (x right, y up), shape ``(order, 2, 2)``; None if the plane stays.
        color: orthogonal matrices on (R, G, B), shape ``(order, 3, 3)``; None if the colors stay.

    Raises:
        GroupError: if the table is not that of a group, or the matrices do not multiply as the table says.

    Example:
        >>> from equiconv.groups import HueShift, P4M
        >>> group = HueShift(3) * P4M()
        >>> group.order, group.generators
        (24, (1, 4, 8))
        >>> group.factors
        (HueShift(3), Dihedral(4))
    """

    def __init__(self, table: Ints, *, plane: Floats | None = None, color: Floats | None = None) -> None:
        self.table: Ints = frozen(table, np.int64)
        laws.check_table(self.table)
        self.order: int = len(self.table)
        self.generators: tuple[int, ...] = laws.generating_set(self.table)
        self.inverse: Ints = frozen(self.table.argmin(axis=1), np.int64)
        self.plane = self._action(plane, 2, "plane")
        self.color = self._action(color, 3, "color")

    def _action(self, matrices: Floats | None, dim: int, what: str) -> Floats:
        still = np.tile(np.eye(dim), (self.order, 1, 1))
        moves = frozen(still if matrices is None else snapped(np.asarray(matrices, np.float64)), np.float64)
        laws.check_action(self.table, self.generators, moves, dim, what)
        return moves

    @property
    @abstractmethod
    def arguments(self) -> tuple[object, ...]:
        """The constructor arguments, from which repr, pickle and copies rebuild the group."""

    @property
    def factors(self) -> tuple["Group", ...]:
        """The groups of which this one is the direct product; itself if it was not made as a product."""
        return (self,)

    @property
    def max_frequency(self) -> int | None:
        """The largest frequency of the irreps of a continuous group; None for a finite one."""
        return None

    @property
    def connected(self) -> tuple[int, ...]:
        """The elements that are reached from the identity without a jump: itself, unless the group is continuous."""
        return (0,)

    def check_frequency(self, m: int) -> None:
        """Raise ShapeError if kernels of the angular frequency m are too fine for the tables of a continuous group."""

    def sampled(self, n: int) -> "Group":
        """Return the group with its continuous factors replaced by their finite subgroups with n rotations.

        Args:
            n: the number of rotations, at least 1.
        """
        return self

    def check_element(self, g: int) -> int:
        """Return ``g``, or raise GroupError if it is not an element."""
        element = integer(g)
        if element is None or not 0 <= element < self.order:
            raise GroupError(f"the elements of {self!r} are the integers 0 .. {self.order - 1}; got {g!r}")
        return element

    def pow(self, g: int, exponent: int) -> int:
        """Return the element ``g`` multiplied with itself; a negative exponent takes the inverse."""
        base, times = self.check_element(g), integer(exponent)
        if times is None:
            raise GroupError(f"an exponent is an integer; got {exponent!r}")
        return reduce(lambda a, _: int(self.table[a, base]), range(times % self.order), 0)  # g^order is the identity

    @cached_property
    def moves_plane(self) -> bool:
        """Whether any element moves the plane."""
        return not np.allclose(self.plane, np.eye(2), atol=laws.TOLERANCE)

    @cached_property
    def moves_color(self) -> bool:
        """Whether any element moves the colors."""
        return not np.allclose(self.color, np.eye(3), atol=laws.TOLERANCE)

    @property
    def is_linear(self) -> bool:
        """Whether elements move images by ``plane`` and ``color`` alone."""
        return type(self).transform_image is Group.transform_image

    @cached_property
    def keeps_grid(self) -> bool:
        """Whether all elements send pixels to pixels: quarter turns and flips along the axes or diagonals."""
        return is_signed_permutation(self.plane)

    def _named(self, rho: Floats, name: str, *, flat: bool = False) -> Representation:
        return Representation(self, rho, name=f"{enclosed(self)}.{name}", flat=flat)

    @cached_property
    def trivial(self) -> Representation:
        """The representation of invariant features: nothing moves. Its fields are flat, ``(B, n, H, W)``."""
        return self._named(np.ones((self.order, 1, 1)), "trivial", flat=True)

    @cached_property
    def regular(self) -> Representation:
        """The representation on functions on the group, ``rho(g) e_h = e_gh``."""
        return self._named(laws.permutation_matrices(self.table), "regular")

    @cached_property
    def image(self) -> Representation:
        """The representation of RGB images, moved by ``color``. Its fields are flat, ``(B, 3 n, H, W)``."""
        return self._named(self.color, "image", flat=True)

    @cached_property
    def vector(self) -> Representation:
        """The representation of vectors (x right, y up) in the plane, moved by ``plane``."""
        return self._named(self.plane, "vector")

    @cached_property
    def irreps(self) -> tuple[Representation, ...]:
        """The real irreducible representations, the trivial one first."""
        return tuple(self._named(rho, f"irrep({k})") for k, rho in enumerate(self._irreps()))

    def _irreps(self) -> list[Floats]:
        return irreps.irreducible(self.table)

    def irrep(self, k: int) -> Representation:
        """Return the irrep number k; for ``Cyclic`` and ``HueShift`` k is the frequency.

        The numbers belong to how the group was made: equal groups may number their irreps differently.

        Raises:
            GroupError: if there is none of that number.
        """
        number = integer(k)
        if number is None or not 0 <= number < len(self.irreps):
            raise GroupError(f"{self!r} has the irreps 0 .. {len(self.irreps) - 1}; got {k!r}")
        return self.irreps[number]

    def quotient(self, subgroup: "Group | Iterable[int]") -> Representation:
        """Return the representation on functions on the cosets gH, ordered by their smallest element.

        If a continuous group has infinitely many cosets, these are the band-limited functions: a field holds their
        Fourier coefficients, irrep after irrep.

        Args:
            subgroup: H, in any form that ``subgroup`` or ``Representation.restrict`` takes.

        Raises:
            GroupError: if it is not a subgroup.
        """
        from equiconv.groups.subgroup import as_subgroup, has_finite_index  # a subgroup is a group

        which = as_subgroup(subgroup)
        if not has_finite_index(self, which):
            return self._named(band_limited(self, which), f"quotient({which!r})")
        part = self.subgroup(which)
        return self._named(on_cosets(part), f"quotient({part.which!r})")

    def coordinates(self, plane: Floats, color: Floats) -> Floats:
        """Return how elements that are given by their action are made of those in the tables.

        Args:
            plane: how each of n elements moves the plane, ``(n, 2, 2)``.
            color: how they move the colors, ``(n, 3, 3)``.

        Returns:
            Weights ``(n, order)`` with ``rho(h) = sum_g weights[h, g] rho[g]`` for every representation: a single 1
            for elements in the tables; an interpolation for the others of a continuous group.

        Raises:
            GroupError: if no element of the group moves so, or several do.
        """
        return acting_alike(self, plane, color)

    def subgroup(self, which: "Group | Iterable[int]") -> "Subgroup":
        """Return a subgroup.

        Args:
            which: elements that generate it, such as ``[1, 4]``; or a group, such as one of ``factors``, whose elements
                move plane and colors as some elements of this group do.

        Returns:
            The subgroup, a group that also knows its ``parent``, its ``elements`` there, and its ``cosets``.

        Raises:
            GroupError: if a generator is not an element, or the group is not found within this one, or found twice.
        """
        from equiconv.groups.subgroup import Subgroup  # a subgroup is a group

        if isinstance(which, Subgroup) and which.parent == self:
            return which
        return Subgroup(self, which)

    def transform_image(self, x: Tensor, g: int) -> Tensor:
        """Move an image by the element ``g``: pixels by ``plane[g]``, colors by ``color[g]``.

        A photometric group that is not linear in RGB overrides this method; products and subgroups ask it. Kernels are
        moved by ``color``, so such a group needs a first layer that moves the image instead.

        Args:
            x: images, shape ``(..., C, H, W)``; C = 3 if the group moves colors.
            g: the element.

        Returns:
            The moved images; exact for quarter turns and flips, else interpolated bicubically with zeros from outside.
            Colors are not clipped: only ``HueShift(3)`` keeps all of them within the RGB cube.

        Raises:
            GroupError: if g is not an element.
            ShapeError: if x has fewer than three axes, or colors move and C is not 3 or x holds whole numbers.
        """
        moved = move_plane(check_image(self, x), self.plane[self.check_element(g)])
        return move_colors(moved, self.color[g]) if self.moves_color else moved

    def transform_images(self, x: Tensor, elements: Ints, *, interpolation: str = "bicubic") -> Tensor:
        """Move each image of a batch by an element of its own, as ``transform_image`` does.

        Args:
            x: images, shape ``(B, ..., C, H, W)``; square if an element exchanges rows and columns.
            elements: those of the group, shape ``(B,)``.
            interpolation: of angles off the grid, ``"bicubic"``, ``"bilinear"`` or ``"nearest"``.

        Returns:
            The moved images, of the shape of x.

        Raises:
            GroupError: if there is not one element for each image.
            ShapeError: as of ``transform_image``; if they are no batch, or not square; if nothing interpolates so.
        """
        elements = check_batch(self, x, elements, interpolation)
        if not self.is_linear:
            return move_one_by_one(self, x, elements, interpolation)
        moved = move_planes(x, self.plane[elements], interpolation)
        return move_colors(moved, self.color[elements]) if self.moves_color else moved

    def __mul__(self, other: "Group") -> "Group":
        if not isinstance(other, Group):
            return self.__rmul__(other)
        from equiconv.groups.product import multiplied  # a product is a group

        return multiplied(self, other)

    def __rmul__(self, other: object) -> NoReturn:
        raise GroupError(f"a direct product is made of groups, such as HueShift(3) * P4(); got {other!r}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Group):
            return NotImplemented
        return self is other or (
            self.max_frequency == other.max_frequency
            and np.array_equal(self.table, other.table)
            and np.allclose(self.plane, other.plane, atol=laws.TOLERANCE)
            and np.allclose(self.color, other.color, atol=laws.TOLERANCE)
        )

    def __hash__(self) -> int:
        return hash((self.order, self.table.tobytes()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.arguments))})"

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), self.arguments

    def __deepcopy__(self, memo: object) -> "Group":
        return self
