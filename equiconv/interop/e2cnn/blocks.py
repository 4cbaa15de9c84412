"""A convolution between sums of representations, kind by kind."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import torch
from torch import Tensor, nn

from equiconv.groups import FieldType
from equiconv.groups.laws import Ints
from equiconv.layers.layer import FieldLayer


class BlockConvolution(FieldLayer):
    """Convolve the fields of each kind with those of each other, and add what arrives.

    It is ``GroupConv2d`` between the sums, whose table of solutions would be huge.

    Args:
        in_type: n copies of a sum.
        out_type: m copies of a sum.
        sources: for each run of equal summands of the input a type of all its fields.
        targets: the same of the output.
        layers: the convolutions, by number of target and source, at least one; the other pairs have no equivariant
            kernels, and a target without any is zero.
    """

    def __init__(
        self,
        in_type: FieldType,
        out_type: FieldType,
        *,
        sources: list[FieldType],
        targets: list[FieldType],
        layers: dict[tuple[int, int], nn.Module],
    ) -> None:
        super().__init__(in_type, out_type)
        self.sources, self.targets = sources, targets
        self.places = list(layers)
        self.layers = nn.ModuleList(layers.values())

    def forward(self, x: Tensor) -> Tensor:
        """Convolve a tensor of ``in_type``; return a tensor of ``out_type``."""
        sizes = [source.channels // self.in_type.n for source in self.sources]
        runs = self.in_type.fields(x).split(sizes, 2)
        parts = [
            source.like(run.unflatten(2, (-1, source.fiber)).flatten(1, 2))  # (b, n*count, d, h, w)
            for source, run in zip(self.sources, runs, strict=True)
        ]
        rows: dict[int, Tensor] = {}
        for (row, column), layer in zip(self.places, self.layers, strict=True):
            y = self.targets[row].fields(layer(parts[column]))  # (b, m*count, d, h', w')
            rows[row] = rows[row] + y if row in rows else y
        some = rows[self.places[0][0]]
        joined = [self._joint(rows.get(row), target, some) for row, target in enumerate(self.targets)]
        return self.laid_out(torch.cat(joined, 2), x)

    def _joint(self, y: Tensor | None, target: FieldType, some: Tensor) -> Tensor:
        """Return fields as parts of those of the sum, ``(b, m, count*d, h', w')``; zeros if there are none."""
        if y is None:
            y = some.new_zeros(len(some), target.n, target.fiber, *some.shape[3:])
        return y.unflatten(1, (self.out_type.n, -1)).flatten(2, 3)  # (b, m, count*d, h', w')

    def extra_repr(self) -> str:
        """Return the types and the convolutions."""
        return f"{self.in_type!r}, {self.out_type!r}, {', '.join(map(repr, self.layers))}"

    def parts(self, channel_groups: int) -> Iterator[tuple[nn.Module | None, Ints, Ints]]:
        """Yield each pair's convolution, None if there is none, and which rows and columns of the kernel are its own.

        Args:
            channel_groups: of the convolutions; the kernel has the columns of one group.
        """
        rows = _channels(self.out_type.n, self.out_type.n, self.targets)
        columns = _channels(self.in_type.n, self.in_type.n // channel_groups, self.sources)
        layers = dict(zip(self.places, self.layers, strict=True))
        for row, column in product(range(len(rows)), range(len(columns))):
            yield layers.get((row, column)), rows[row], columns[column]


def _channels(n: int, taken: int, kinds: list[FieldType]) -> list[Ints]:
    """Return the channels of each kind, of the first ``taken`` of n copies of the sum."""
    sizes = [kind.channels // n for kind in kinds]
    starts = np.arange(taken)[:, None] * sum(sizes)
    ends = np.cumsum(sizes)
    return [(starts + np.arange(end - size, end)).ravel() for size, end in zip(sizes, ends, strict=True)]
