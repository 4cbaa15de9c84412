"""Kinds of fields: what the feature maps of a steerable network are made of, and which layers fit them."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import reduce
from operator import add

import numpy as np
from torch import Tensor

from equiconv.bases import Basis, SpatialBasis, choose_basis
from equiconv.errors import FieldTypeError
from equiconv.groups import Cyclic, FieldType, Group, Representation
from equiconv.groups.irreps import endomorphism_dim
from equiconv.layers import (
    Branches,
    GatedActivation,
    GroupPool,
    NormActivation,
    NormPool,
    Pointwise,
    VectorFieldActivation,
    squash,
)
from equiconv.layers.layer import FieldLayer
from equiconv.models.blocks import activation, invariants

__all__ = ["FIELDS", "Fields", "Kind", "count_kernels", "fields_of"]

PUBLISHED_ORDER = 16  # of the group whose numbers of fields are those of the architecture
PUBLISHED_WEIGHTS = 12  # between two units of irreps, for each pixel of a kernel: those of C16 with 3/4 of the pixels

Function = Callable[[Tensor], Tensor]
Makes = Callable[[Representation], bool]
Kind = str | tuple[str, int, int]


def count_kernels(out_rep: Representation, in_rep: Representation, basis: SpatialBasis) -> int:
    """Return the number of independent equivariant kernels between two representations of one group."""
    plane = np.trace(basis.action(in_rep.group), axis1=1, axis2=2)  # (g,)
    return round(float(np.mean(out_rep.character * in_rep.character * plane)))


class Fields(ABC):
    """Say for one kind of fields what a layer makes on a group.

    A feature map is made of copies of one unit, a representation of the group.

    Args:
        group: the group of the layer.
        function: the nonlinearity of invariants, and of entries that are permuted.
        pool: ``"max"`` or ``"mean"`` of regular fields over the group.
    """

    over_factors = False  # whether factors of the group that a later layer lacks are pooled over

    def __init__(self, group: Group, function: Function, pool: str) -> None:
        self.group, self.function, self.mode = group, function, pool

    @abstractmethod
    def activations(self, n: int, makes: Makes) -> list[FieldLayer]:
        """Return the nonlinearity between layers: ``in_type`` of its first module is what the convolution makes.

        Args:
            n: the number of units.
            makes: tells of a representation whether any kernel of the layer makes it.
        """

    @abstractmethod
    def last(self, n: int, makes: Makes) -> tuple[list[FieldLayer], list[FieldLayer]]:
        """Return the nonlinearity behind the last convolution, and what makes about n invariants of its fields."""

    @abstractmethod
    def copies(self, fields: float, kernel_size: int, basis: Basis, *, matched: bool, whole: bool) -> int:
        """Return the number of units that stand for so many fields of the architecture.

        Args:
            fields: those of the architecture, times the width.
            kernel_size: rows and columns of the layer's kernels.
            basis: of the kernels.
            matched: keep the number of weights.
            whole: as in ``SteerableArchitecture``.
        """


class RegularFields(Fields):
    """Functions on the group, band-limited ones on a continuous group."""

    over_factors = True

    def activations(self, n: int, makes: Makes) -> list[FieldLayer]:
        """Return the function of every entry; on a continuous group of samples."""
        return [activation(n * self.group.regular, self.function)]

    def last(self, n: int, makes: Makes) -> tuple[list[FieldLayer], list[FieldLayer]]:
        """Return the function of every entry, and the maximum or the mean over the group."""
        regular = n * self.group.regular
        return [activation(regular, self.function)], [invariants(regular, self.mode)]

    @property
    def share(self) -> float:
        """How many regular fields take as many weights as one field that is seen by the next layer."""
        return 1.0

    def copies(self, fields: float, kernel_size: int, basis: Basis, *, matched: bool, whole: bool) -> int:
        """Return the fields times sqrt(16 / n), n being the dimension of the regular representation."""
        regular = fields * math.sqrt(PUBLISHED_ORDER / self.group.regular.dim) if matched else fields
        return max(1, round((math.floor(regular) if whole else regular) / self.share))


class QuotientFields(RegularFields):
    """Five regular fields, two on the cosets of each of two groups of rotations, and order // 4 invariants.

    Args:
        group: the group of the layer.
        function: the nonlinearity.
        pool: ``"max"`` or ``"mean"`` of every field over the group.
        first: the number of rotations by which two fields do not change.
        second: that of two others.
    """

    over_factors = False

    def __init__(self, group: Group, function: Function, pool: str, first: int = 2, second: int = 4) -> None:
        super().__init__(group, function, pool)
        if group.max_frequency is not None:
            raise FieldTypeError(f'fields="quotient" need a finite group; got {group!r}: take "regular" or "irreps"')
        quotients = [group.quotient(Cyclic(n)) for n in (first, second)]
        counts = [(group.regular, 5), *((quotient, 2) for quotient in quotients), (group.trivial, group.order // 4)]
        self.unit = reduce(add, [kind for kind, count in counts for _ in range(count)])

    def activations(self, n: int, makes: Makes) -> list[FieldLayer]:
        """Return the function of every entry."""
        return [Pointwise(n * self.unit, self.function)]

    def last(self, n: int, makes: Makes) -> tuple[list[FieldLayer], list[FieldLayer]]:
        """Return the function of every entry, and the maximum or the mean of every field."""
        pools = [GroupPool(n * field, mode=self.mode) for field in self.unit.summands]
        return self.activations(n, makes), [Branches(*pools)]

    @property
    def share(self) -> float:
        """A unit is taken for as many regular fields as it has their entries."""
        return self.unit.dim / self.group.order


class ScalarFields(RegularFields):
    """The maxima of functions on the group: every layer lifts invariants anew, and pools over the group."""

    over_factors = False

    def activations(self, n: int, makes: Makes) -> list[FieldLayer]:
        """Return the maximum or the mean over the group, and the function of it."""
        return [invariants(n * self.group.regular, self.mode), Pointwise(n * self.group.trivial, self.function)]

    def last(self, n: int, makes: Makes) -> tuple[list[FieldLayer], list[FieldLayer]]:
        """Return the same, of which nothing more is made."""
        return self.activations(n, makes), []

    @property
    def share(self) -> float:
        """A kernel from an invariant takes a part of the weights: one of the dimension."""
        return 1 / math.sqrt(self.group.regular.dim)


class VectorFields(RegularFields):
    """Vectors that point where the maximum of a function on the group is, and are as long as it."""

    over_factors = False

    def activations(self, n: int, makes: Makes) -> list[FieldLayer]:
        """Return orientation pooling."""
        return [VectorFieldActivation(n * self.group.regular)]

    @property
    def share(self) -> float:
        """A kernel from a vector takes two parts of the weights, of as many as the dimension."""
        return math.sqrt(2 / self.group.regular.dim)


class IrrepFields(Fields):
    """Irreps, each as often as in the regular representation, scaled by functions of their norms.

    The last layer makes the irreps of dimension 1: invariants, and numbers of which the group changes the sign. The
    features are those, and the absolute values of these.
    """

    def activations(self, n: int, makes: Makes) -> list[FieldLayer]:
        """Return the function of the invariants, and the nonlinearity of the other irreps."""
        return [self._activation(n, [irrep for irrep in self._irreps() if makes(irrep)])]

    def last(self, n: int, makes: Makes) -> tuple[list[FieldLayer], list[FieldLayer]]:
        """Return the same for irreps of dimension 1, and their norms."""
        signs = [irrep for irrep in self._irreps() if irrep.dim == 1 and makes(irrep)]
        count = max(1, round(n / (1 + len(signs))))
        pools = [GroupPool(count * self.group.trivial), *(NormPool(count * sign) for sign in signs)]
        return [self._activation(count, signs)], [Branches(*pools)] if signs else []

    def _irreps(self) -> list[Representation]:
        """Return the irreps of a unit but for the trivial one, each as often as in the regular representation."""
        return [irrep for irrep in self.group.irreps[1:] for _ in range(irrep.dim // endomorphism_dim(irrep.rho))]

    def _activation(self, n: int, irreps: Sequence[Representation]) -> FieldLayer:
        plain = Pointwise(n * self.group.trivial, self.function)
        return Branches(plain, self.nonlinearity(n * reduce(add, irreps))) if irreps else plain

    def nonlinearity(self, field_type: FieldType) -> FieldLayer:
        """Return a soft threshold of the norms."""
        return NormActivation(field_type)

    def copies(self, fields: float, kernel_size: int, basis: Basis, *, matched: bool, whole: bool) -> int:
        """Return the fields times sqrt(12 k^2 / d), d being the weights between two units."""
        if matched:
            layer = self._activation(1, self._irreps())
            seen, made = (kind.representation for kind in (layer.out_type, layer.in_type))
            weights = count_kernels(made, seen, choose_basis(basis, self.group, (kernel_size, kernel_size)))
            fields *= math.sqrt(PUBLISHED_WEIGHTS * kernel_size**2 / weights)
        return max(1, round(fields))


class SquashedFields(IrrepFields):
    """Irreps, each as often as in the regular representation, squashed to norms below 1."""

    def nonlinearity(self, field_type: FieldType) -> FieldLayer:
        """Return the nonlinearity of capsules."""
        return NormActivation(field_type, squash, bias=False)


class GatedFields(IrrepFields):
    """Irreps, each as often as in the regular representation, multiplied by gates that come with them."""

    def nonlinearity(self, field_type: FieldType) -> FieldLayer:
        """Return gates, one for each irrep."""
        return GatedActivation(field_type)


FIELDS: dict[str, type[Fields]] = {
    "regular": RegularFields,
    "quotient": QuotientFields,
    "scalar": ScalarFields,
    "vector": VectorFields,
    "irreps": IrrepFields,
    "squashed": SquashedFields,
    "gated": GatedFields,
}


def fields_of(kind: Kind, group: Group, function: Function, pool: str) -> Fields:
    """Return the fields of a kind on a group.

    Args:
        kind: one of ``FIELDS``, or a tuple of it and its numbers.
        group: of the layer.
        function: the nonlinearity of invariants, and of entries that are permuted.
        pool: ``"max"`` or ``"mean"`` of regular fields over the group.

    Raises:
        FieldTypeError: if there is no such kind, or it does not take these numbers, or does not fit the group.
        GroupError: if the group has no rotations for the cosets.
    """
    name, *numbers = kind if isinstance(kind, (tuple, list)) and kind else (kind,)
    if not isinstance(name, str) or name not in FIELDS:
        raise FieldTypeError(f"fields are {', '.join(map(repr, FIELDS))}; got {name!r}")
    made = FIELDS[name]
    if numbers and (not issubclass(made, QuotientFields) or len(numbers) != 2):
        raise FieldTypeError(f'only the fields "quotient" have numbers, and two: ("quotient", 2, 4); got {kind!r}')
    return made(group, function, pool, *numbers)
