"""The representations of e2cnn as ours: the canonical ones, and the change of basis to them."""

from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add
from typing import Any

import numpy as np

from equiconv.errors import FieldTypeError
from equiconv.groups import O2, SO2, Cyclic, Dihedral, Group, Representation
from equiconv.groups.irreps import intertwiners
from equiconv.groups.laws import Floats, Ints, closure, snapped
from equiconv.interop.e2cnn.spaces import matrices

ORTHOGONAL = 1e-6


@dataclass(frozen=True, eq=False)
class Kind:
    """Hold a representation of e2cnn as ours.

    Attributes:
        representation: ours, a sum if theirs has several parts.
        change: the orthogonal matrix from their basis to ours, ``(d, d)``.
    """

    representation: Representation
    change: Floats

    @property
    def key(self) -> tuple[Representation, bytes]:
        """What is the same for fields of the same kind."""
        return self.representation, snapped(self.change).round(6).tobytes()

    @cached_property
    def whole(self) -> Representation:
        """The same matrices as one summand: for e2cnn a field is never split."""
        kept = self.representation
        if len(kept.summands) == 1:
            return kept
        return Representation(kept.group, kept.rho, name=f"Representation({kept.group!r}, ({kept!r}).rho)")


def kind_of(theirs: Any, group: Group, elements: list[Any]) -> Kind:
    """Return a representation of e2cnn as ours.

    Args:
        theirs: the representation.
        group: our group.
        elements: their elements in the order of ours.

    Raises:
        FieldTypeError: if its matrices are not orthogonal.
    """
    rho = matrices(theirs, elements)
    if not np.allclose(rho @ rho.swapaxes(1, 2), np.eye(theirs.size), atol=ORTHOGONAL):
        raise FieldTypeError(f"equiconv has orthogonal representations only; {theirs.name} of e2cnn is not orthogonal")
    if ((rho == 0) | (rho == 1)).all():
        return _permuted(group, rho.argmax(axis=1))
    length = part_size(theirs)
    if length is not None and _are_sent_around(rho, length):
        return _induced(group, rho, length)
    indices, basis = Representation(group, rho).decompose()
    return Kind(reduce(add, [group.irreps[k] if k else group.trivial for k in indices]), snapped(basis.T))


def part_size(theirs: Any) -> int | None:
    """Return the size of the parts that an induced representation is made of; None if it is no such one."""
    sizes = [tag.split("_")[-1] for tag in theirs.supported_nonlinearities if tag.startswith("induced_norm")]
    return int(sizes[0]) if sizes else None


def _are_sent_around(rho: Floats, length: int) -> bool:
    """Tell whether the first of several blocks of entries is sent to each other one, as a whole."""
    count = rho.shape[1] // length
    parts = abs(rho[:, :, :length]).reshape(len(rho), count, length, length).max((2, 3)) > ORTHOGONAL  # (g, to)
    return count > 1 and bool((parts.sum(1) == 1).all() and parts.any(0).all())


def _permuted(group: Group, images: Ints) -> Kind:
    """Return the sum of the orbits of permuted entries; ``images[g, j]`` is where j is sent."""
    found, seen = [], set[int]()
    for start in range(images.shape[1]):
        if start not in seen:
            found.append(_orbit(group, images[:, start]))
            seen |= set(images[:, start].tolist())
    change = np.concatenate([np.eye(images.shape[1])[places] for _, places in found])
    return Kind(reduce(add, [representation for representation, _ in found]), change)


def _orbit(group: Group, images: Ints) -> tuple[Representation, list[int]]:
    """Return how the orbit of an entry moves, and where its entries are in our order."""
    still = np.flatnonzero(images == images[0]).tolist()
    if len(still) == group.order:
        return group.trivial, [int(images[0])]
    if len(still) == 1:
        return group.regular, images.tolist()
    generators: list[int] = []
    for g in still:
        if g not in closure(group.table, generators):
            generators.append(g)
    part = group.subgroup(generators)
    return group.quotient(generators), [int(images[coset[0]]) for coset in part.cosets]


def _induced(group: Group, rho: Floats, length: int) -> Kind:
    """Return an induced representation, whose blocks of entries are sent to one another as wholes."""
    still = np.flatnonzero(abs(rho[:, :length, :length]).max((1, 2)) > ORTHOGONAL)
    part = _named_subgroup(group, still)
    inner = rho[list(group.subgroup(part).elements)][:, :length, :length]
    own, turn = _alike(part, inner)
    ours = own.induce(group)
    seed = np.zeros((ours.dim, ours.dim))
    seed[:length, :length] = turn
    change = np.einsum("gij,jk,glk->il", ours.rho, seed, rho) / len(still)
    return Kind(ours, snapped(change))


def _alike(group: Group, rho: Floats) -> tuple[Representation, Floats]:
    """Return the irrep that these matrices are, if it is one, and the change of basis to it."""
    for irrep in group.irreps:
        if irrep.rho.shape == rho.shape and (copies := intertwiners(irrep.rho, rho)):
            return irrep, copies[0]
    return Representation(group, rho), np.eye(rho.shape[1])


def _named_subgroup(group: Group, elements: Ints) -> Group:
    """Return the subgroup of these elements: the rotations by their name."""
    count = group.order // 2
    if isinstance(group, (Dihedral, O2)) and np.array_equal(elements, np.arange(count)):
        return SO2(group.max_frequency or 1) if isinstance(group, O2) else Cyclic(count)
    return group.subgroup(elements.tolist())
