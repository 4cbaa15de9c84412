"""The laws that every group keeps."""

import copy
import pickle

import numpy as np
import torch
from scipy.linalg import block_diag

from equiconv.groups import Group
from equiconv.testing.moves import Move, move_image

__all__ = ["assert_group_laws"]


def assert_group_laws(group: Group, *, move: Move | None = None) -> None:
    """Raise AssertionError unless a group keeps every law that the library relies on.

    Associativity, identity, inverses; plane and colors move as the product says, and as ``move_image`` does; the irreps
    are representations, irreducible, distinct and complete, and the regular representation splits into them; the group
    is equal to its copies. Off the pixel grid, images are compared in their center only.

    Args:
        group: any group; of a continuous one the elements in its tables are looked at.
        move: how ``(image, element)`` becomes the moved image, for groups that are not equiconv's own.

    Raises:
        AssertionError: if a law does not hold.

    Example:
        >>> from equiconv.groups import HueShift, P4M
        >>> assert_group_laws(HueShift(3) * P4M())
    """
    table, n = group.table, group.order
    for g in range(n):
        _require(np.array_equal(table[table[:, g]], table[:, table[g]]), f"(a.{g}).b = a.({g}.b)")
        _require(
            table[g, group.inverse[g]] == 0 == table[group.inverse[g], g], f"{g} times its inverse is the identity"
        )
    _require(np.array_equal(table[0], np.arange(n)) and np.array_equal(table[:, 0], np.arange(n)), "0 is the identity")
    _check_moves(group, move or (lambda x, g: move_image(group, x, g)))
    irreps = [irrep.rho for irrep in group.irreps]
    functions = group.order if group.max_frequency is None else group.regular.dim  # those on the group
    characters = np.array([rho.trace(axis1=1, axis2=2) for rho in irreps])
    gram = characters @ characters.T / n
    _require(np.allclose(gram, np.diag(gram.diagonal()), atol=1e-9), "irreps are distinct")
    _require(
        np.isclose(sum(len(rho[0]) ** 2 / e for rho, e in zip(irreps, gram.diagonal(), strict=True)), functions),
        "complete",
    )
    for rep in (*group.irreps, group.regular, group.vector, group.image):
        products = np.einsum("aij,bjk->abik", rep.rho, rep.rho)
        _require(np.allclose(products, rep.rho[table], atol=1e-9), f"{rep!r} multiplies as the group does")
    indices, basis = group.regular.decompose()
    blocks = [irreps[k] for k in indices]
    _require(sum(len(rho[0]) for rho in blocks) == functions, "the irreps in the regular representation fill it")
    diagonal = np.array([block_diag(*(rho[g] for rho in blocks)) for g in range(n)])
    _require(np.allclose(basis @ diagonal @ basis.T, group.regular.rho, atol=1e-9), "the regular representation splits")
    _require(pickle.loads(pickle.dumps(group)) == group == copy.deepcopy(group), "equal to its copies")


def _check_moves(group: Group, mover: Move) -> None:
    image = torch.rand(3, 7, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    flat = image[:, :1, :1].expand(3, 7, 7).clone()  # of one color: it has a center at any angle
    for a in range(group.order):
        products = group.action[[a] * group.order] @ group.action
        _require(products == group.action[group.table[a]], f"element {a} moves as its products do")
        x, where = (image, slice(None)) if group.keeps_grid else (flat, 3)
        moved, expected = group.transform_image(x, a), mover(x, a)
        same = torch.allclose(moved[:, where, where], expected[:, where, where], atol=1e-6)
        _require(same, f"element {a} moves an image as it should")


def _require(held: bool, law: str) -> None:
    if not held:
        raise AssertionError(f"the law does not hold: {law}")
