"""Real irreducible representations: in closed form where the group has a name, found numerically elsewhere.

Everything here works on arrays of orthogonal matrices ``(order, d, d)``. All bases are made by Gram-Schmidt on
projected coordinate vectors, so that they are the same on every machine.
"""

import numpy as np

from equiconv.groups.laws import Floats, Ints, permutation_matrices, snapped

TOLERANCE = 1e-6


def rotations(angles: Floats) -> Floats:
    """Return the counter-clockwise rotation matrices ``(n, 2, 2)`` of the angles (radians)."""
    c, s = np.cos(angles), np.sin(angles)
    return snapped(np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2))


def orthonormal_columns(matrix: Floats) -> Floats:
    """Return an orthonormal basis ``(d, rank)`` of the column space, by Gram-Schmidt from left to right."""
    basis: list[Floats] = []
    for column in matrix.T:
        rest = column
        for _ in range(2):  # the second pass removes the rounding errors of the first
            for vector in basis:
                rest = rest - vector * (vector @ rest)
        norm = np.linalg.norm(rest)
        if norm > TOLERANCE:
            basis.append(rest / norm)
    return np.stack(basis, -1) if basis else np.zeros((len(matrix), 0))


def cyclic_table(n: int) -> Ints:
    """Return the product table of C_n: addition modulo n."""
    a = np.arange(n)
    return (a[:, None] + a) % n


def dihedral_table(n: int) -> Ints:
    """Return the product table of D_n; element ``m*n + r`` rotates r steps, then flips if m = 1."""
    m, r = np.divmod(np.arange(2 * n), n)
    sign = np.where(m == 1, -1, 1)
    return (m[:, None] ^ m) * n + (sign * r[:, None] + r) % n


def cyclic_irreps(n: int) -> list[Floats]:
    """Return the irreps of C_n by frequency 0 .. n//2."""
    turns = [rotations(2 * np.pi * k * np.arange(n) / n) for k in range(n // 2 + 1)]
    return [turn if 0 < 2 * k < n else turn[:, :1, :1] for k, turn in enumerate(turns)]


def dihedral_irreps(n: int) -> list[Floats]:
    """Return the irreps of D_n: trivial, sign, frequency 1, 2, ..., and for even n the two of frequency n/2."""
    m, r = np.divmod(np.arange(2 * n), n)
    flips = np.where(m[:, None] == 1, [1.0, -1.0], [1.0, 1.0])[:, :, None]  # (order, 2, 1): flip rows of what follows
    planes = [flips * rotations(2 * np.pi * k * r / n) for k in range(1, (n + 1) // 2)]
    sign = (-1.0) ** m
    lines = [np.ones(2 * n), sign]
    ends = [(-1.0) ** r, (-1.0) ** r * sign] if n % 2 == 0 else []
    return [x[:, None, None] for x in lines] + planes + [x[:, None, None] for x in ends]


def irreducible(table: Ints) -> list[Floats]:
    """Return the real irreps of the group with this product table, the trivial one first."""
    n = len(table)
    if np.array_equal(table, cyclic_table(n)):
        return cyclic_irreps(n)
    if n % 2 == 0 and np.array_equal(table, dihedral_table(n // 2)):
        return dihedral_irreps(n // 2)
    regular = permutation_matrices(table)  # rho(g) e_h = e_gh
    parts = sorted(split(regular), key=lambda rho: (rho.shape[-1], tuple(-np.round(character(rho), 6))))
    return _distinct(parts)


def product_irreps(first: list[Floats], second: list[Floats]) -> list[Floats]:
    """Return the irreps of a direct product: the outer products, two of complex type split in two."""
    return _distinct([part for a in first for b in second for part in split(outer(a, b), a, b)])


def _distinct(parts: list[Floats]) -> list[Floats]:
    """Return the parts without those that are equivalent to an earlier one."""
    kept: list[Floats] = []
    for part in parts:
        if not any(np.allclose(character(part), character(other), atol=TOLERANCE) for other in kept):
            kept.append(part)
    return kept


def direct_sum(parts: list[Floats]) -> Floats:
    """Return the block-diagonal sum of representations of one group."""
    ends = np.cumsum([part.shape[-1] for part in parts])
    rho = np.zeros((len(parts[0]), ends[-1], ends[-1]))
    for part, end in zip(parts, ends, strict=True):
        rho[:, end - part.shape[-1] : end, end - part.shape[-1] : end] = part
    return rho


def outer(a: Floats, b: Floats) -> Floats:
    """Return the outer product of two representations, a representation of the direct product of their groups."""
    order, dim = len(a) * len(b), a.shape[1] * b.shape[1]
    return np.einsum("gij,hkl->ghikjl", a, b).reshape(order, dim, dim)


def character(rho: Floats) -> Floats:
    """Return the traces ``(order,)``."""
    return np.trace(rho, axis1=1, axis2=2)


def endomorphism_dim(rho: Floats) -> int:
    """Return the dimension of the commutant: 1, 2 or 4 for an irrep of real, complex or quaternionic type."""
    return round(float(np.mean(character(rho) ** 2)))


def frobenius_schur(rho: Floats) -> int:
    """Return the mean character of the squares: 1, 0, -2 for an irrep of real, complex, quaternionic type.

    For an irrep of complex or quaternionic type the real matrices hold the complex irrep and its conjugate.
    """
    return round(float(np.mean(np.einsum("gij,gji->g", rho, rho))))


def is_irreducible(rho: Floats) -> bool:
    """Tell whether no proper subspace is kept by all matrices."""
    return (endomorphism_dim(rho), frobenius_schur(rho)) in {(1, 1), (2, 0), (4, -2)}


def split(rho: Floats, *factors: Floats) -> list[Floats]:
    """Return irreducible parts of ``rho``; ``factors`` are the irreps whose outer product it is, if it is one."""
    if is_irreducible(rho):
        return [rho]
    if [endomorphism_dim(factor) for factor in factors] == [2, 2]:
        mixer = np.kron(complex_structure(factors[0]), complex_structure(factors[1]))
    else:
        noise = np.random.default_rng(0).standard_normal(rho.shape[1:])
        mixer = np.mean(rho @ (noise + noise.T) @ rho.transpose(0, 2, 1), axis=0)
    values, vectors = np.linalg.eigh(mixer)  # symmetric, commutes with all: eigenspaces are invariant
    starts = np.flatnonzero(np.diff(values, prepend=-np.inf) > TOLERANCE)
    spaces = [orthonormal_columns(v @ v.T) for v in np.split(vectors, starts[1:], axis=1)]
    return [snapped(space.T @ rho @ space) for space in spaces]


def complex_structure(rho: Floats) -> Floats:
    """Return the matrix J, J^2 = -1, that commutes with an irrep of complex type."""
    units = np.eye(rho.shape[1])
    for unit in units[1:]:
        turn = np.outer(unit, units[0]) - np.outer(units[0], unit)
        mean = np.mean(rho @ turn @ rho.transpose(0, 2, 1), axis=0)
        size = np.linalg.norm(mean) / np.sqrt(len(mean))
        if size > TOLERANCE:
            return mean / size
    raise AssertionError("an irrep of complex type has a complex structure")


def intertwiners(rho: Floats, irrep: Floats) -> list[Floats]:
    """Return isometries T ``(d, d_irrep)``, ``rho(g) T = T irrep(g)``, one for each copy of the irrep in ``rho``."""
    means = np.einsum("gij,gk->jik", rho, irrep[:, :, 0]) / len(rho)  # (j, d, d_irrep): e_j e_0^T over the group
    return _orthogonal_copies(list(means))


def _orthogonal_copies(maps: list[Floats]) -> list[Floats]:
    """Return isometries onto orthogonal copies of an irrep, from maps ``(d, d_irrep)`` that commute with the group."""
    copies: list[Floats] = []
    for rest in maps:
        for copy in copies:
            rest = rest - copy @ (copy.T @ rest)
        size = np.linalg.norm(rest) / np.sqrt(rest.shape[1])
        if size > TOLERANCE:
            copies.append(rest / size)
    return copies


def coefficient_functions(irrep: Floats) -> list[Floats]:
    """Return the copies of an irrep among the functions ``psi(g)_ij`` on the group: isometries ``(order, d)``."""
    return _orthogonal_copies(list(np.moveaxis(irrep, 2, 0)))
