"""Execution plans: other ways to compute what a layer computes. They never change the function.

Where a factor of the group moves colors and not the plane, and is cyclic, a convolution between regular fields is block
diagonal in the Fourier basis of that factor: one convolution for each of its real irreps, instead of one for each pair
of its elements.
"""

import math
from collections.abc import Callable
from functools import reduce
from operator import mul

import numpy as np
import torch
from torch import Tensor

from equiconv.bases import SpatialBasis
from equiconv.groups.group import Group
from equiconv.groups.irreps import cyclic_table
from equiconv.groups.laws import Floats
from equiconv.groups.plane import Trivial
from equiconv.kernels import OrbitPipeline
from equiconv.tables import Tables

Slide = Callable[[Tensor, Tensor, int], Tensor]  # of x (b, c, h, w), a kernel, and the number of channel groups


def photometric_factor(group: Group) -> int | None:
    """Return the place of the largest factor that is cyclic and leaves the plane alone; None if there is none."""
    places = [
        place
        for place, factor in enumerate(group.factors)
        if factor.order > 1 and not factor.moves_plane and np.array_equal(factor.table, cyclic_table(factor.order))
    ]
    return max(places, key=lambda place: group.factors[place].order, default=None)


class FourierPlan(Tables):
    """Convolve between regular fields in the Fourier basis of a photometric factor C_n.

    For n = 3 it takes 5 of 9 multiplications, for n = 4 6 of 16, for n = 8 14 of 64: 1 for each real irrep of dimension
    1, and 4 for each of dimension 2.

    Args:
        group: the group of the fields.
        basis: the spatial basis of the kernel.
        channel_groups: the blocks of fields that do not see each other.

    Source:
        Schur's lemma; Cohen and Welling, Steerable CNNs (ICLR 2017), section 2.7, for intertwiners between irreps.
    """

    forth: Tensor
    waves: Tensor

    def __init__(self, group: Group, basis: SpatialBasis, channel_groups: int) -> None:
        super().__init__()
        place = photometric_factor(group)
        assert place is not None  # the layer asks before
        factors = group.factors
        orders = [factor.order for factor in factors]
        self.sizes = math.prod(orders[:place]), orders[place], math.prod(orders[place + 1 :])
        rest = reduce(mul, [*factors[:place], *factors[place + 1 :]], Trivial())
        self.pipeline = OrbitPipeline(rest.regular, basis)
        self.channel_groups = channel_groups
        n = orders[place]
        self.singles = 2 - n % 2  # real irreps of dimension 1
        self.pairs = (n - self.singles) // 2
        forth, waves = _fourier(n)
        self.add_table("forth", forth)
        self.add_table("waves", waves)

    def kernels(self, coefficients: Tensor) -> list[Tensor]:
        """Return the kernels of two grouped convolutions: of the irreps of dimension 1, and of those of dimension 2.

        Args:
            coefficients: ``(o, i, f, s)`` as the dense kernel has them.
        """
        self.settle(coefficients.device)
        o, i, _, s = coefficients.shape
        left, n, right = self.sizes
        split = coefficients.view(o, i, left, n, right, s)
        spectrum = torch.einsum("kc,oilcrs->koilrs", self.waves, split)  # (n, o, i, left, right, s)
        moved = self.pipeline(spectrum.reshape(n * o, i, left * right, s))  # (n*o*h, i*h, kh, kw)
        blocks = moved.view(n, self.channel_groups, -1, *moved.shape[1:])  # (n, m, o*h, i*h, kh, kw)
        found = [blocks[: self.singles].flatten(0, 2)]
        if self.pairs:
            real, imaginary = blocks[self.singles :].unflatten(0, (self.pairs, 2)).unbind(1)
            rows = torch.cat([real, -imaginary], 3), torch.cat([imaginary, real], 3)  # (pairs, m, o*h, 2*i*h, kh, kw)
            found.append(torch.cat(rows, 2).flatten(0, 2))  # (pairs*m*2*o*h, 2*i*h, kh, kw)
        return found

    def forward(self, x: Tensor, kernels: list[Tensor], slide: Slide) -> Tensor:
        """Convolve ``x`` (b, i*f, h, w), without bias; return ``(b, o*f, h', w')``.

        Args:
            x: regular fields, flat.
            kernels: those of ``kernels``.
            slide: slides a kernel over a tensor.
        """
        self.settle(x.device)
        b, m, (left, n, right) = x.shape[0], self.channel_groups, self.sizes
        forth = self.forth.to(x.dtype)
        i = x.shape[1] // (left * n * right)
        fields = x.reshape(b, i, left, n, right, *x.shape[-2:])  # (b, i, left, n, right, h, w)
        spectrum = torch.einsum("kc,bilcrhw->bkilrhw", forth, fields).flatten(2, 4)  # (b, n, i*h, h, w)
        single, pairs = spectrum.split((self.singles, 2 * self.pairs), 1)
        results = [slide(single.flatten(1, 2), kernels[0], self.singles * m).unflatten(1, (self.singles, -1))]
        if self.pairs:
            parts = pairs.unflatten(2, (m, -1)).unflatten(1, (self.pairs, 2)).transpose(2, 3)  # (b, pairs, m, 2, ...)
            y = slide(parts.flatten(1, 4), kernels[1], self.pairs * m)  # (b, pairs*m*2*o*h, h', w')
            y = y.unflatten(1, (self.pairs, m, 2, -1)).transpose(2, 3)  # (b, pairs, 2, m, o*h, h', w')
            results.append(y.flatten(3, 4).flatten(1, 2))  # (b, 2*pairs, o*h, h', w')
        joined = torch.cat(results, 1).unflatten(2, (-1, left, right))  # (b, n, o, left, right, h', w')
        return torch.einsum("kc,bkolrhw->bolcrhw", forth, joined).flatten(1, 4)


def _fourier(n: int) -> tuple[Floats, Floats]:
    """Return the orthogonal real Fourier matrix of fields, and the waves of kernels, both ``(irreps, n)``.

    Rows: frequency 0; for even n frequency n/2; then for each frequency between real and imaginary part, of
    ``exp(-2 pi i k c / n)`` for fields and of ``exp(2 pi i k c / n)`` for kernels.
    """
    c = np.arange(n)
    single = [np.ones(n)] + ([(-1.0) ** c] if n % 2 == 0 else [])
    angles = [2 * np.pi * k * c / n for k in range(1, (n + 1) // 2)]
    forth = [row / math.sqrt(n) for row in single]
    forth += [math.sqrt(2 / n) * row for angle in angles for row in (np.cos(angle), -np.sin(angle))]
    waves = single + [row for angle in angles for row in (np.cos(angle), np.sin(angle))]
    return np.stack(forth), np.stack(waves)
