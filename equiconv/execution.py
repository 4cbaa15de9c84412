"""Execution plans: other ways to compute what a layer computes. They never change the function.

Where a factor of the group moves colors and not the plane, and is cyclic, a convolution between regular fields is block
diagonal in the Fourier basis of that factor: one convolution for each of its real irreps, instead of one for each pair
of its elements.
"""

import math
from collections.abc import Callable, Sequence
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

    For n = 3 it takes 4 of 9 multiplications, for n = 4 5 of 16, for n = 8 11 of 64: 1 for each real irrep of dimension
    1, and 3 for each of dimension 2.

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
        self.singles = 2 - n % 2  # real irreps of dimension 1; the others have dimension 2
        forth, waves = _fourier(n)
        self.add_table("forth", forth)
        self.add_table("waves", waves)

    def kernels(self, coefficients: Tensor) -> list[Tensor]:
        """Return the kernels that are slid, each ``(o*h, i*h, kh, kw)``: one for each irrep of dimension 1, then three.

        Args:
            coefficients: ``(o, i, f, s)`` as the dense kernel has them.
        """
        self.settle(coefficients.device)
        o, i, _, s = coefficients.shape
        left, n, right = self.sizes
        split = coefficients.view(o, i, left, n, right, s)
        spectrum = torch.einsum("kc,oilcrs->koilrs", self.waves, split)  # (n, o, i, left, right, s)
        moved = self.pipeline(spectrum.reshape(n * o, i, left * right, s))  # (n*o*h, i*h, kh, kw)
        single, pairs = moved.view(n, -1, *moved.shape[1:]).split((self.singles, n - self.singles))
        found = list(single.unbind())
        for real, imaginary in zip(pairs[::2], pairs[1::2], strict=True):
            found += [real, imaginary - real, imaginary + real]
        return found

    def forward(self, x: Tensor, kernels: Sequence[Tensor], slide: Slide) -> Tensor:
        """Convolve ``x`` (b, i*f, h, w), without bias; return ``(b, o*f, h', w')``.

        A product of complex numbers takes three real ones: ``(a + bi)(c + di)`` is made of ``c (a + b)``, ``a (d - c)``
        and ``b (d + c)``.

        Args:
            x: regular fields, flat.
            kernels: those of ``kernels``.
            slide: slides a kernel over a tensor.
        """
        self.settle(x.device)
        (_, n, right), (b, channels, height, width) = self.sizes, x.shape
        rows = channels // (n * right)  # i * left
        fields = x.reshape(b, rows, n, right * height * width)
        spectrum = torch.tensordot(self.forth.to(x.dtype), fields, ([1], [2]))  # (n, b, i*left, right*h*w)
        parts = spectrum.view(n, b, rows * right, height, width).unbind()
        factors = list(parts[: self.singles])
        for real, imaginary in zip(parts[self.singles :: 2], parts[self.singles + 1 :: 2], strict=True):
            factors += [real + imaginary, real, imaginary]
        products = [slide(f, k, self.channel_groups) for f, k in zip(factors, kernels, strict=True)]
        results = products[: self.singles]
        for both, one, other in zip(*(products[self.singles + part :: 3] for part in range(3)), strict=True):
            results += [both - other, both + one]
        joined = torch.stack(results)  # (n, b, o*left*right, h', w')
        rows, size = joined.shape[2] // right, right * joined.shape[3] * joined.shape[4]  # rows: o * left
        back = self.forth.T.to(joined.dtype) @ joined.view(n, b * rows * size)
        y = back.view(n, b, rows, size).permute(1, 2, 0, 3)  # (b, o*left, n, right*h'*w')
        return y.reshape(b, rows * n * right, *joined.shape[3:])


def _fourier(n: int) -> tuple[Floats, Floats]:
    """Return the orthogonal real Fourier matrix of fields, and the waves of kernels, both ``(n, n)``, by irrep.

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
