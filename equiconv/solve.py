"""Kernels between arbitrary representations: all solutions of ``K(A_g x) = rho_out(g) K(x) rho_in(g)^-1``."""

import numpy as np

from equiconv.groups.irreps import orthonormal_columns
from equiconv.groups.laws import Floats, Ints, snapped
from equiconv.groups.representation import Representation


def equivariant_kernels(
    out_rep: Representation, in_rep: Representation, action: Floats, squares: Floats | None = None
) -> Floats:
    """Return a basis of the equivariant kernels, shape ``(b, d_out, d_in, s)``.

    Both representations are split into irreps; one small system is solved for each pair of them and each orbit of
    spatial functions, never the full one.

    Args:
        out_rep: the representation of the output.
        in_rep: the representation of the input, of the same group.
        action: how the group mixes the s spatial basis functions, orthogonal matrices ``(order, s, s)``.
        squares: the squared norms of these functions, of mean 1, ``(s,)``; None if all are 1.

    Returns:
        An orthogonal basis; rows of the output that no kernel reaches are zero. If all coefficients are independent
        with variance v, and the input is white noise of variance 1, the entries of each summand of the output have the
        variance ``d_in * s * v`` on average, as those of a kernel of free coefficients have.
    """
    kernels, start = [], 0
    for summand in out_rep.summands:
        found = _kernels_into(summand, in_rep, action)
        if squares is not None and len(found):
            wanted = summand.dim * in_rep.dim * len(squares)
            found *= np.sqrt(wanted / np.einsum("bois,bois,s->", found, found, squares))
        rows = np.zeros((len(found), out_rep.dim, in_rep.dim, action.shape[-1]))
        rows[:, start : start + summand.dim] = found
        kernels.append(rows)
        start += summand.dim
    return snapped(np.concatenate(kernels))


def _kernels_into(out_rep: Representation, in_rep: Representation, action: Floats) -> Floats:
    # equal groups may number their irreps differently
    out_irreps, in_irreps = out_rep.group.irreps, in_rep.group.irreps
    out_parts, in_parts = _parts(out_rep), _parts(in_rep)
    pairs = {
        (k, m): _solve_pair(out_irreps[k].rho, in_irreps[m].rho, action)
        for k in dict(out_parts)
        for m in dict(in_parts)
    }
    kernels, reached = [np.zeros((0, out_rep.dim, in_rep.dim, action.shape[-1]))], 0
    for k, to_out in out_parts:
        found = np.concatenate(
            [np.einsum("bxys,ox,iy->bois", pairs[k, m], to_out, from_in, optimize=True) for m, from_in in in_parts]
        )  # (b, d_out, d_in, s), each of norm 1
        if len(found):
            reached += out_irreps[k].dim
            kernels.append(found * np.sqrt(out_irreps[k].dim * found[0, 0].size / len(found)))
    return np.concatenate(kernels) * np.sqrt(out_rep.dim / max(reached, 1))


def _parts(rep: Representation) -> list[tuple[int, Floats]]:
    """Return the irreps in ``rep``: the index of each copy and its embedding ``(d, d_irrep)``."""
    indices, basis = rep.decompose()
    ends = np.cumsum([rep.group.irreps[k].dim for k in indices])
    return list(zip(indices, np.split(basis, ends[:-1], axis=1), strict=True))


def _solve_pair(out_irrep: Floats, in_irrep: Floats, action: Floats) -> Floats:
    """Return an orthonormal basis ``(b, d_out, d_in, s)`` of the equivariant kernels between two irreps."""
    order, size = action.shape[:2]
    found = []
    for orbit in _orbits(action):
        part = action[:, orbit[:, None], orbit]
        mean = np.einsum("gab,gcd,gst->acsbdt", out_irrep, in_irrep, part, optimize=True) / order
        shape = mean.shape[:3]
        vectors = orthonormal_columns(mean.reshape(np.prod(shape), -1)).T  # (b, d_out * d_in * orbit)
        kernels = np.zeros((len(vectors), *shape[:2], size))
        kernels[..., orbit] = vectors.reshape(-1, *shape)
        found.append(kernels)
    return np.concatenate(found)


def _orbits(action: Floats) -> list[Ints]:
    """Return the sets of spatial functions that the group mixes among themselves."""
    linked = (action != 0).any(axis=0)
    while not np.array_equal(further := linked @ linked, linked):
        linked = further
    return [np.flatnonzero(row) for row in np.unique(linked, axis=0)]
