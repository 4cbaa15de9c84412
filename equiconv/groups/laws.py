"""What makes a product table a group, and how to find its parts."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiconv.errors import GroupError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

TOLERANCE = 1e-9


def frozen(values: object, dtype: type) -> NDArray[Any]:
    """Return a read-only array that shares no memory with ``values``."""
    array: NDArray[Any] = np.array(values, dtype=dtype)
    array.setflags(write=False)
    return array


def snapped(values: Floats) -> Floats:
    """Return ``values`` with entries next to a multiple of 1/2 put exactly on it (cos 90 degrees = 0, not 6e-17)."""
    halves = np.round(2 * values) / 2 + 0.0
    return np.where(np.abs(values - halves) < TOLERANCE, halves, values)


def permutation_matrices(images: Ints) -> Floats:
    """Return the matrices ``(n, s, s)`` that send basis vector j to ``images[:, j]``; ``images`` is ``(n, s)``."""
    matrices = np.zeros((*images.shape, images.shape[1]))
    np.put_along_axis(matrices, images[:, None, :], 1.0, axis=1)
    return matrices


def permuted(matrices: Floats) -> Ints | None:
    """Return to which basis vector each matrix ``(n, s, s)`` sends each one, ``(n, s)``; None if not all do so."""
    if not ((matrices == 0) | (matrices == 1)).all():
        return None
    alone = (matrices.sum(1) == 1).all() and (matrices.sum(2) == 1).all()
    return np.asarray(matrices.argmax(axis=1), np.int64) if alone else None


def closure(table: Ints, generators: Iterable[int]) -> tuple[int, ...]:
    """Return every product of the generators, in ascending order."""
    found, new = {0}, [0]
    generators = tuple(generators)
    while new:
        products = {int(table[g, a]) for a in new for g in generators}
        new = sorted(products - found)
        found.update(new)
    return tuple(sorted(found))


def generating_set(table: Ints) -> tuple[int, ...]:
    """Return the first elements, each outside the subgroup of those before it, that generate the group."""
    generators: list[int] = []
    reached: tuple[int, ...] = (0,)
    for element in range(len(table)):
        if element not in reached:
            generators.append(element)
            reached = closure(table, generators)
    return tuple(generators)


def left_cosets(table: Ints, elements: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Return the cosets gH, each as ``g h`` for h in H, ordered by their smallest element."""
    cosets: list[tuple[int, ...]] = []
    seen: set[int] = set()
    for g in range(len(table)):
        if g not in seen:
            cosets.append(tuple(int(table[g, h]) for h in elements))
            seen.update(cosets[-1])
    return tuple(cosets)


def check_table(table: Ints) -> None:
    """Raise unless ``table`` is the product table of a group whose identity is element 0."""
    order = len(table)
    if table.ndim != 2 or table.shape != (order, order) or order == 0:
        raise GroupError(f"a product table is square, (order, order); this one has shape {table.shape}")
    elements = np.arange(order)
    if not (np.array_equal(table[0], elements) and np.array_equal(table[:, 0], elements)):
        raise GroupError("element 0 must be the identity: table[0, a] = table[a, 0] = a for every a")
    if not (
        np.array_equal(np.sort(table, 0), np.tile(elements, (order, 1)).T) and (np.sort(table, 1) == elements).all()
    ):
        raise GroupError("every row and every column of a product table holds each element once")
    for g in generating_set(table):  # Light's test: associativity with the generators in the middle is enough
        if not np.array_equal(table[table[:, g]], table[:, table[g]]):
            raise GroupError(f"the product is not associative: (a.{g}).b and a.({g}.b) differ for some a and b")


def check_action(table: Ints, generators: tuple[int, ...], matrices: Floats, dim: int, what: str) -> None:
    """Raise unless the matrices are orthogonal and multiply as the table says (it is enough to ask the generators)."""
    if matrices.shape != (len(table), dim, dim):
        raise GroupError(f"{what}: expected matrices of shape {(len(table), dim, dim)}, got {matrices.shape}")
    if (images := permuted(matrices)) is not None:  # by index: matrices of large groups would take minutes
        lawful = all(np.array_equal(images[table[g]], images[g][images]) for g in (0, *generators))
        if not lawful:
            raise GroupError(f"{what}: the matrices do not multiply as the group does: rho(a.b) = rho(a) rho(b) fails")
        return
    gram = matrices @ matrices.transpose(0, 2, 1)
    if not np.allclose(gram, np.eye(dim), atol=TOLERANCE):
        raise GroupError(f"{what}: the matrices must be orthogonal")
    if not all(np.allclose(matrices[table[g]], matrices[g] @ matrices, atol=TOLERANCE) for g in (0, *generators)):
        raise GroupError(f"{what}: the matrices do not multiply as the group does: rho(a.b) = rho(a) rho(b) fails")
