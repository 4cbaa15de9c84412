"""Blocks of the entries of a fiber, which every element sends to one another as wholes."""

from typing import TYPE_CHECKING

import numpy as np

from equiconv.errors import FieldTypeError
from equiconv.groups.laws import TOLERANCE, Floats, permutation_matrices
from equiconv.groups.values import enclosed, integer

if TYPE_CHECKING:
    from equiconv.groups.representation import Representation


def check_block(rho: Floats, block: int) -> int:
    """Return a length, or raise FieldTypeError unless ``rho (order, d, d)`` sends blocks of it to one another."""
    dim = rho.shape[-1]
    length = integer(block) or dim + 1
    if dim % length == 0:
        parts = rho.reshape(-1, dim // length, length, dim // length, length)
        if ((abs(parts) > TOLERANCE).any((2, 4)).sum(1) == 1).all():  # (g, to, from)
            return length
    raise FieldTypeError(f"these matrices do not send blocks of {block!r} entries to one another")


def permuted_blocks(rep: "Representation") -> "Representation":
    """Return how the blocks of a representation are permuted, as ``Representation.of_blocks``."""
    starts = [block[0] for block in rep.blocks]
    occupied = abs(rep.rho[:, :, starts]) > TOLERANCE  # (g, i, b): block b is sent to where entry i is
    images = np.searchsorted(starts, occupied.argmax(axis=1), side="right") - 1  # (g, b)
    return type(rep)(rep.group, permutation_matrices(images), name=f"{enclosed(rep)}.of_blocks")
