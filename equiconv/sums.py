"""Kernels between sums of representations: which pipeline makes them, and how those of the summands are joined."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod, sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from equiconv.bases import SpatialBasis
from equiconv.errors import FieldTypeError
from equiconv.groups.laws import Ints
from equiconv.groups.representation import Representation
from equiconv.kernels import KernelPipeline, OrbitPipeline, SolvedPipeline, TiedPipeline

LARGEST = 1_000_000  # numbers of a table for whole sums: one that is larger is slower than many small ones


def kernel_pipeline(out_rep: Representation, in_rep: Representation, basis: SpatialBasis) -> KernelPipeline:
    """Return the pipeline for kernels from ``in_rep`` to ``out_rep``, representations of one group.

    Raises:
        FieldTypeError: if a summand of the output would be zero whatever the weights are.
    """
    pipeline = _pipeline(out_rep, in_rep, basis)
    if pipeline.unreached:
        size = "x".join(map(str, basis.kernel_size))
        raise FieldTypeError(
            f"no {size} kernel maps {in_rep!r} to {pipeline.unreached[0]!r}: only zero is equivariant; "
            "use a larger kernel, or an output that shares irreps with the input"
        )
    return pipeline


def _pipeline(out_rep: Representation, in_rep: Representation, basis: SpatialBasis) -> KernelPipeline:
    if out_rep.is_regular:
        return OrbitPipeline(in_rep, basis)
    moves = out_rep.permutation, in_rep.permutation, basis.permutation(in_rep.group)
    permuted = [move for move in moves if move is not None]
    tied = len(permuted) == len(moves)
    entries = out_rep.dim * in_rep.dim * basis.size
    several = len(out_rep.summands) > 1 or len(in_rep.summands) > 1
    if several and (entries if tied else entries**2) > LARGEST:
        return SumPipeline(out_rep, in_rep, basis)
    return TiedPipeline(permuted, in_rep.group.generators, basis) if tied else SolvedPipeline(out_rep, in_rep, basis)


@dataclass(frozen=True)
class Kind:
    """Describe the equal summands of a sum.

    Args:
        representation: that of each.
        entries: their places in the sum, one summand after the other.
    """

    representation: Representation
    entries: Ints

    @property
    def count(self) -> int:
        """The number of these summands."""
        return len(self.entries) // self.representation.dim


def _kinds(rep: Representation) -> list[Kind]:
    """Return the summands by kind, in the order of the first of each."""
    found: dict[Representation, list[Ints]] = {}
    for summand, end in zip(rep.summands, np.cumsum(rep.sizes), strict=True):
        found.setdefault(summand, []).append(np.arange(end - summand.dim, end))
    return [Kind(summand, np.concatenate(entries)) for summand, entries in found.items()]


@dataclass(frozen=True)
class Order:
    """Say how summands that are sorted by kind come to their places.

    Args:
        sizes: their dimensions.
        numbers: those of the summands, in the order of the sum.
    """

    sizes: list[int]
    numbers: list[int]


def _order(kinds: list[Kind]) -> Order | None:
    """Return the order of the summands, None if they are in their places already."""
    starts = [start for kind in kinds for start in kind.entries[:: kind.representation.dim].tolist()]
    numbers = sorted(range(len(starts)), key=starts.__getitem__)
    sizes = [kind.representation.dim for kind in kinds for _ in range(kind.count)]
    return None if numbers == list(range(len(starts))) else Order(sizes, numbers)


def _ordered(kernels: Tensor, dim: int, order: Order | None) -> Tensor:
    if order is None:
        return kernels
    summands = kernels.split(order.sizes, dim)
    return torch.cat([summands[number] for number in order.numbers], dim)


class SumPipeline(KernelPipeline):
    """Join the kernels between the summands of two sums: one pipeline for each pair of unlike ones.

    The solutions between whole sums would be a far larger table, most of it zeros. The coefficients are those of the
    ``parts`` one after another; ``places`` says between which of the ``targets`` and the ``sources`` each of them is.
    Pairs without a kernel are zero and have no coefficients. What else arrives at their output is scaled up, so that
    its variance is what the documentation of ``equivariant_kernels`` says.
    """

    def __init__(self, out_rep: Representation, in_rep: Representation, basis: SpatialBasis) -> None:
        super().__init__(basis, None)
        self.targets, self.sources = _kinds(out_rep), _kinds(in_rep)
        self.places: list[tuple[int, int]] = []
        self.sizes: list[int] = []
        self.scales: list[float] = []
        self.parts = nn.ModuleList()
        for row in range(len(self.targets)):
            self._add_row(row, basis)
        missing = set(range(len(self.targets))) - {row for row, _ in self.places}
        self.unreached = tuple(self.targets[row].representation for row in sorted(missing))
        self.coefficient_shape = (sum(self.sizes),)
        self.rows, self.columns = _order(self.targets), _order(self.sources)

    def _add_row(self, row: int, basis: SpatialBasis) -> None:
        """Add the kernels into all summands of one kind."""
        target = self.targets[row]
        made = [_pipeline(target.representation, source.representation, basis) for source in self.sources]
        found = {column: part for column, part in enumerate(made) if not part.unreached}
        reaching = sum(len(self.sources[column].entries) for column in found)
        for column, part in found.items():
            self.places.append((row, column))
            self.sizes.append(target.count * self.sources[column].count * prod(part.coefficient_shape))
            self.scales.append(sqrt(sum(len(source.entries) for source in self.sources) / reaching))
            self.parts.append(part)

    def act(self, coefficients: Tensor) -> Tensor:
        """Return the kernels of all pairs, ``(o, g, i, f, s)``, g and f being the entries of output and input."""
        return self._joined(coefficients, lambda part, own: part.act(own).flatten(2, 3).flatten(0, 1))

    def expand(self, coefficients: Tensor) -> Tensor:
        """Expand pair by pair: ``(o, i, n)`` to ``(o*g, i*f, kh, kw)``."""
        return self.fold(self._joined(coefficients, lambda part, own: part.expand(own).flatten(2)))

    def _joined(self, coefficients: Tensor, make: Callable[[Any, Tensor], Tensor]) -> Tensor:
        """Return ``(o, g, i, f, s)``, each part making ``(o*g, i*f, s)`` of its coefficients."""
        made: dict[tuple[int, int], Tensor] = {}
        split = coefficients.split(self.sizes, 2)
        for place, part, scale, own in zip(self.places, self.parts, self.scales, split, strict=True):
            made[place] = self._made(place, part, own if scale == 1 else own * scale, make)
        rows = []
        for row in range(len(self.targets)):
            some = next(made[place] for place in self.places if place[0] == row)  # (o, a*g, i, b*f, s)
            zeros = some.new_zeros(1).expand(*some.shape[:3], 1, some.shape[4])
            blocks = [
                made[row, column] if (row, column) in made else zeros.expand(-1, -1, -1, len(source.entries), -1)
                for column, source in enumerate(self.sources)
            ]
            rows.append(torch.cat(blocks, 3))
        return _ordered(_ordered(torch.cat(rows, 1), 1, self.rows), 3, self.columns)

    def _made(self, place: tuple[int, int], part: Any, own: Tensor, make: Callable[[Any, Tensor], Tensor]) -> Tensor:
        """Return the kernels of one pair, ``(o, a*g, i, b*f, s)``, between a and b equal summands."""
        o, i, _ = own.shape
        a, b = self.targets[place[0]].count, self.sources[place[1]].count
        part.settle(own.device)
        each = own.reshape(o, i, a, b, *part.coefficient_shape).transpose(1, 2).flatten(2, 3).flatten(0, 1)
        return make(part, each).unflatten(1, (i, -1)).unflatten(0, (o, -1))  # (o, a*g, i, b*f, s)
