"""The Fourier basis of a finite group: there, whatever commutes with the group is block diagonal."""

from dataclasses import dataclass

import numpy as np

from equiconv.groups.group import Group
from equiconv.groups.irreps import coefficient_functions, complex_structure, endomorphism_dim
from equiconv.groups.laws import Floats


@dataclass(frozen=True)
class Block:
    """Tell how the functions on the group that belong to one irrep are mixed.

    They are a matrix, ``rows`` x ``columns``, that is multiplied from the right by a square one.

    Args:
        rows: the rows, which are all mixed alike.
        columns: the columns, which mix.
        products: the real multiplications for one of its numbers: 1 if they are real, 3 if they are complex.
    """

    rows: int
    columns: int
    products: int

    @property
    def multiplications(self) -> int:
        """The real multiplications for each pair of fields, where each pair of group elements takes one otherwise."""
        return self.rows * self.columns**2 * self.products


@dataclass(frozen=True)
class Spectrum:
    """Hold the Fourier basis of a group of order n, and what it makes of a convolution.

    A function on the group becomes p factors; each is multiplied by entries of the square matrices, w numbers made of
    the kernel; of the p results the convolved function is made. Everything is ordered by block, row, column, product.

    Args:
        blocks: one for each real irrep.
        analysis: makes the factors, ``(p, n)``.
        waves: makes the entries of the square matrices, ``(w, n)``.
        synthesis: makes the function of the results, ``(n, p)``.
    """

    blocks: tuple[Block, ...]
    analysis: Floats
    waves: Floats
    synthesis: Floats


def spectrum(group: Group, *, complex_numbers: bool = True) -> Spectrum:
    """Return the Fourier basis of a finite group, made of the matrix entries of its irreps.

    With ``X = sum_g x[g] rho(g)`` for a function x on the group, and ``K = sum_u k[u] rho(u)^-1`` for a kernel k, the
    group convolution ``y[h] = sum_u k[u] x[h u]`` is ``Y = X K``.

    Args:
        group: the group.
        complex_numbers: take irreps of complex type as complex ones of half the dimension; else as they are.

    Source:
        Schur's lemma; Peter and Weyl's theorem.
    """
    parts = [
        _complex_part(rho) if complex_numbers and endomorphism_dim(rho) == 2 else _real_part(rho)
        for rho in (irrep.rho for irrep in group.irreps)
    ]
    blocks = tuple(Block(*factors.shape[:3]) for factors, _, _ in parts)
    analysis, waves, results = (
        np.concatenate([x.reshape(-1, group.order) for x in y]) for y in zip(*parts, strict=True)
    )
    return Spectrum(blocks, analysis, waves, results.T)


def _real_part(rho: Floats) -> tuple[Floats, Floats, Floats]:
    """Return what an irrep gives to a spectrum, by row, column, product and group element."""
    copies = np.stack(coefficient_functions(rho.transpose(0, 2, 1)))  # (rows, n, d): those rows that differ
    functions = copies.transpose(0, 2, 1)[:, :, None]  # (rows, d, 1, n)
    return functions, rho.transpose(2, 1, 0)[:, :, None], functions


def _complex_part(rho: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the same of an irrep of complex type, as a complex one of half the dimension.

    Three real products make a complex one: ``(a + bi)(c + di)`` is made of ``(a + b) c``, ``a (d - c)`` and
    ``b (d + c)``: the first less the third is the real part, the first and the second are the imaginary part.
    """
    values, vectors = np.linalg.eigh(-1j * complex_structure(rho))
    space = vectors[:, values > 0]  # (2 m, m)
    entries = (space.conj().T @ rho @ space).transpose(1, 2, 0)  # (m, m, n)
    a, b = np.sqrt(2 * len(entries) / len(rho)) * np.stack([entries.real, entries.imag])
    c, d = entries.real.swapaxes(0, 1), -entries.imag.swapaxes(0, 1)  # of the inverse matrices
    factors, waves, results = (a + b, a, b), (c, d - c, d + c), (a + b, b, -a)
    return np.stack(factors, 2), np.stack(waves, 2), np.stack(results, 2)
