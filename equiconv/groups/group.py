"""Groups: a product table, how each element moves images, and the ``*`` operator."""

from abc import abstractmethod
from collections.abc import Iterable
from functools import cached_property, reduce
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from equiconv.errors import GroupError
from equiconv.groups import irreps, laws
from equiconv.groups.action import Action
from equiconv.groups.batches import acting_alike
from equiconv.groups.laws import Floats, Ints, frozen
from equiconv.groups.moving import MovesImages
from equiconv.groups.quotient import band_limited, on_cosets
from equiconv.groups.representation import COVER, IMAGE, Representation
from equiconv.groups.tone import Tone
from equiconv.groups.values import enclosed, integer

if TYPE_CHECKING:
    from equiconv.groups.subgroup import Subgroup


class Group(MovesImages):
    """Hold a finite group: elements are the integers ``0 .. order - 1``, 0 is the identity.

    A group is its product table and how its elements move images; two groups are equal if these are. Immutable and
    hashable. ``a * b`` is the direct product. To add a group, subclass, call this constructor and return the
    constructor arguments from ``arguments``: the laws are checked, everything else follows.

    Args:
        table: ``table[a, b]`` is the product a.b (b acts first), shape ``(order, order)``.
        plane: orthogonal matrices on (x right, y up), shape ``(order, 2, 2)``; None if the plane stays.
        color: orthogonal matrices on (R, G, B), shape ``(order, 3, 3)``; None if no matrix moves the colors.
        tone: shifts along the axes of a color model, for what is not linear in RGB; None if there are none.

    Raises:
        GroupError: if the table is not that of a group, the matrices do not multiply or the shifts add up as the table
            says, or matrices and shifts of the colors do not commute.

    Example:
        >>> from equiconv.groups import HueShift, P4M
        >>> group = HueShift(3) * P4M()
        >>> group.order, group.generators
        (24, (1, 4, 8))
        >>> group.factors
        (HueShift(3), Dihedral(4))
    """

    def __init__(
        self, table: Ints, *, plane: Floats | None = None, color: Floats | None = None, tone: Tone | None = None
    ) -> None:
        if not (tone is None or isinstance(tone, Tone)):
            raise GroupError(f"tone is a Tone, such as Tone(HSV(), shift), or None; got {tone!r}")
        self.table: Ints = frozen(table, np.int64)
        laws.check_table(self.table)
        self.order: int = len(self.table)
        self.generators: tuple[int, ...] = laws.generating_set(self.table)
        self.inverse: Ints = frozen(self.table.argmin(axis=1), np.int64)
        still = Action.still(self.order)
        self.action = Action(
            still.plane if plane is None else plane, still.color if color is None else color, tone or still.tone
        )
        self.action.check_law(self.table, self.generators)

    @property
    @abstractmethod
    def arguments(self) -> tuple[object, ...]:
        """The constructor arguments, from which repr, pickle and copies rebuild the group."""

    @cached_property
    def linear(self) -> tuple["Group", Ints]:
        """A group that moves kernels as the elements of this one do, and which of its elements each one is."""
        from equiconv.groups.linear import linear_part  # it is a group

        return linear_part(self)

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
        """The representation of RGB images, moved by ``color`` and ``tone``. Its fields are flat, ``(B, 3 n, H, W)``.

        If the group is not linear the images have values from 0 to 1, and ``rho`` is what is left: ``color``.
        """
        return Representation(self, self.color, name=f"{enclosed(self)}.image", flat=True, colors=IMAGE)

    @cached_property
    def cover(self) -> Representation:
        """The representation of images by their coordinates on the cover of ``tone``, ``(B, 3 n, H, W)``.

        There every shift is exact; ``tone.model.of(images)`` are the coordinates.
        """
        if self.is_linear or self.action.mixes_colors:
            raise GroupError(f"{self!r} moves colors by matrices or not at all: only shifts have a cover; take image")
        return Representation(self, self.color, name=f"{enclosed(self)}.cover", flat=True, colors=COVER)

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

    def coordinates(self, action: Action) -> Floats:
        """Return how elements that are given by their action are made of those in the tables.

        Args:
            action: how each of n elements moves images.

        Returns:
            Weights ``(n, order)`` with ``rho(h) = sum_g weights[h, g] rho[g]`` for every representation: a single 1
            for elements in the tables; an interpolation for the others of a continuous group.

        Raises:
            GroupError: if no element of the group moves so, or several do.
        """
        return acting_alike(self, action)

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
            and self.action == other.action
        )

    def __hash__(self) -> int:
        return hash((self.order, self.table.tobytes()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.arguments))})"

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), self.arguments

    def __deepcopy__(self, memo: object) -> "Group":
        return self
