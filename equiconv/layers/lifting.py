"""Lifting by the image: for groups that move colors in a way that no matrix does."""

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from equiconv.errors import FieldTypeError
from equiconv.groups.field_type import FieldType
from equiconv.groups.group import Group
from equiconv.groups.laws import TOLERANCE, Floats, Ints
from equiconv.groups.moves import Bools
from equiconv.groups.representation import Representation
from equiconv.tables import Tables


class Part(NamedTuple):
    """Say how an output representation is made of what comes of the copies of an image.

    Args:
        rep: what one kernel makes of each copy: a representation of the linear part of the group.
        places: from the entries of the results for all copies to those of the output, ``(copies, d, rep.dim)``.
    """

    rep: Representation
    places: Floats


class Lifting(Tables):
    """Copy an image, shifted back by the tone of each element, and put what one kernel makes of the copies together.

    With T_c the shifts, y = sum over c of rho(c) (K * T_c^-1 x) moves as an output of rho if K maps images to rho for
    the linear part of the group, which moves K instead. Where rho only permutes blocks of entries, K makes one block of
    each copy: the result for a regular output is (K * T_c^-1 x)[h] at the element c h. If the shifts were linear this
    would be the kernel moved by every element.

    Args:
        in_type: images, or coordinates on the cover of the group's tone.
        out_type: any fields that are moved linearly.

    Raises:
        FieldTypeError: if the output is not regular, and the group has no elements that shift colors only.
    """

    shifts: Tensor
    places: Tensor
    order: Tensor

    def __init__(self, in_type: FieldType, out_type: FieldType) -> None:
        super().__init__()
        group, self.out_type = in_type.group, out_type
        self.tone, self.covers = group.tone, in_type.representation.covers
        linear, _ = group.linear
        kinds, _ = self.tone.distinct
        self.copies = len(kinds)
        self.add_table("shifts", self.tone.shift[group.inverse[kinds]], wide=True)
        parts = [_part(group, rep) for rep in out_type.representation.summands]
        self.in_rep, self.out_rep = linear.image, reduce(add, [part.rep for part in parts])
        rows = _side_by_side([part.places for part in parts]).transpose(1, 0, 2).reshape(out_type.fiber, -1)
        self.permutes = bool(((rows == 0) | (rows == 1)).all() and (rows.sum(1) == 1).all())
        self.ordered = self.permutes and np.array_equal(rows.argmax(1), np.arange(rows.shape[1]))
        if self.permutes:
            self.add_table("order", rows.argmax(1))
        else:
            self.add_table("places", rows)

    def split(self, x: Tensor) -> Tensor:
        """Return the copies ``(b*copies, 3*n, h, w)`` of images, or of coordinates, ``(b, 3*n, h, w)``."""
        self.settle(x.device)
        wide = x.to(torch.promote_types(x.dtype, torch.float32)).unflatten(1, (1, -1, 3))  # (b, 1, n, 3, h, w)
        coordinates = wide if self.covers else self.tone.model.of(wide)
        moved = self.tone.moved(coordinates, self.shifts[:, None, :, None, None])  # (b, copies, n, 3, h, w)
        return self.tone.images(moved).flatten(2, 3).flatten(0, 1).to(x.dtype)

    def join(self, y: Tensor) -> Tensor:
        """Return the output ``(b, o*d, h, w)`` of what came of the copies, ``(b*copies, o*s, h, w)``."""
        o, s = self.out_type.n, self.out_rep.dim
        fields = y.unflatten(0, (-1, self.copies)).unflatten(2, (o, s))  # (b, copies, o, s, h, w)
        fields = fields.transpose(1, 2).flatten(2, 3)  # (b, o, copies*s, h, w)
        if not self.permutes:
            fields = torch.einsum("ds,boshw->bodhw", self.places.to(y.dtype), fields)
        elif not self.ordered:
            fields = fields.index_select(2, self.order)
        return fields.flatten(1, 2)  # (b, o*d, h, w)


def _part(group: Group, rep: Representation) -> Part:
    """Return how one summand of an output is made."""
    linear, part = group.linear
    kinds, kind = group.tone.distinct
    if rep.is_regular:
        places = np.zeros((len(kinds), group.order, linear.order))
        places[kind, np.arange(group.order), part] = 1.0
        return Part(linear.regular, places)
    of_kind = [np.flatnonzero((kind == k) & (part == 0)) for k in range(len(kinds))]  # that move no kernel
    still = [np.flatnonzero((kind == 0) & (part == h)) for h in range(linear.order)]  # that shift no color
    if any(len(found) != 1 for found in (*of_kind, *still)):
        raise FieldTypeError(
            f"images of {group!r} are lifted to regular fields, since some of its elements shift colors only together "
            f"with other moves; got {rep!r}"
        )
    rho, shifts = rep.rho[np.concatenate(still)], rep.rho[np.concatenate(of_kind)]  # (h, d, d), (copies, d, d)
    entries = _section(rho, shifts)
    if entries is None:
        return Part(Representation(linear, rho), shifts)
    return Part(Representation(linear, rho[:, entries][:, :, entries]), shifts[:, :, entries])


def _side_by_side(parts: Sequence[Floats]) -> Floats:
    """Return the places of a direct sum, ``(copies, sum of d, sum of s)``, of those of its summands."""
    rows, columns = (np.cumsum([0, *(part.shape[axis] for part in parts)]) for axis in (1, 2))
    places = np.zeros((len(parts[0]), rows[-1], columns[-1]))
    for number, part in enumerate(parts):
        places[:, rows[number] : rows[number + 1], columns[number] : columns[number + 1]] = part
    return places


def _section(rho: Floats, shifts: Floats) -> Ints | None:
    """Return entries of a block that the shifts send to all the others, each once; None if there is none.

    Args:
        rho: by which the linear part of the group moves the entries, ``(h, d, d)``; it keeps the block.
        shifts: by which the shifts of colors do, ``(copies, d, d)``.
    """
    if not ((shifts == 0) | (shifts == 1)).all():
        return None
    images, linked = shifts.argmax(1), np.asarray((abs(rho) > TOLERANCE).any(0))  # (copies, d), (d, d)
    block: list[int] = []
    reached: set[int] = set()
    for first in range(len(linked)):
        if first not in reached:
            together = _closure(first, linked)
            found = images[:, together].ravel().tolist()
            if len(set(found)) < len(found) or reached & set(found):
                return None
            block.extend(together)
            reached.update(found)
    return np.array(sorted(block))


def _closure(first: int, linked: Bools) -> list[int]:
    """Return the entries that are linked to the first one, itself among them."""
    found = np.arange(len(linked)) == first
    while not np.array_equal(more := found | linked[found].any(0) | linked[:, found].any(1), found):
        found = more
    return np.flatnonzero(found).tolist()
