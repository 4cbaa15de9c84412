"""Convolve in the Fourier basis of factors that leave the kernels where they are."""

import math
from collections.abc import Sequence
from functools import reduce
from operator import mul

import numpy as np
from torch import Tensor

from equiconv.execution.blocks import BlockPlan, images_at_once, transforms
from equiconv.execution.plan import Job, Slide, Work
from equiconv.groups.group import Group
from equiconv.groups.plane import Trivial
from equiconv.groups.spectrum import spectrum
from equiconv.kernels import OrbitPipeline, combine


class FourierPlan(BlockPlan):
    """Convolve regular fields in the Fourier basis of the factors of a group that leave the kernels where they are.

    For ``HueShift(3)`` it takes 4 of 9 multiplications, for ``HueShift(4)`` 5 of 16, for ``HueShift(8)`` 11 of 64; for
    1x1 kernels on ``P4M()`` 12 of 64. The other factors move the kernels within each block.

    Args:
        job: a convolution between regular fields, of a group with such a factor.
    """

    name = "fourier"
    analysis: Tensor
    waves: Tensor

    def __init__(self, job: Job) -> None:
        group, still, moving = job.group, *_factors(job)
        found = spectrum(_product(group, still))
        super().__init__(job, found)
        self.order = found.analysis.shape[1]
        self.pipeline = OrbitPipeline(_product(group, moving).regular, job.basis)
        self.orders = tuple(factor.order for factor in group.factors)
        self.forth = (*(2 + place for place in still), 0, 1, *(2 + place for place in moving), 2 + len(self.orders))
        self.add_table("analysis", found.analysis)
        self.add_table("waves", found.waves)

    @staticmethod
    def serves(job: Job) -> bool:
        """Tell whether the fields are regular, and a factor leaves the kernels where they are."""
        return job.is_regular and any(job.group.factors[place].order > 1 for place in _factors(job)[0])

    @staticmethod
    def work(job: Job) -> Work:
        """Count the products of all blocks, and the way to the Fourier basis and back."""
        still, moving = (_product(job.group, places) for places in _factors(job))
        blocks, pairs = spectrum(still).blocks, job.outputs * job.inputs * moving.order**2
        factors = sum(block.rows * block.columns * block.products for block in blocks)
        products = sum(block.multiplications for block in blocks)
        entries = sum(block.columns**2 * block.products for block in blocks)
        mixing = Work(pairs * products * job.pixels, kernels=pairs * entries * job.window, calls=factors)
        return mixing + transforms(job, factors * moving.order, still.order)

    def memory(self, shape: Sequence[int]) -> float:
        """Count the factors, which the backward pass needs, and a piece of the batch on its way."""
        read, written = self.job.numbers(shape)
        factors, order = self.analysis.shape
        piece = images_at_once(shape) / max(1, shape[0])
        forward = read + 2 * written + factors / order * (read + 1.2 * piece * (read + written))
        rest = math.prod(self.orders) // order
        kernels = len(self.waves) * rest**2 * self.job.outputs * self.job.inputs * self.job.window
        return max(forward, 3 * read + 2 * written) + 2 * kernels

    def _rows(self, fields: Tensor) -> Tensor:
        """Return ``(p, q, *orders, t)`` as ``(n, p*q*r*t)``, r being the order of the factors that move kernels."""
        return fields.permute(self.forth).reshape(self.order, -1)

    def kernels(self, *factors: Tensor) -> Sequence[Tensor]:
        """Return the kernels by block, column and product, each ``(columns * o*r, i*r, kh, kw)``."""
        coefficients = combine(*factors)
        self.settle(coefficients.device)
        o, i, f, s = coefficients.shape
        waves = self.waves @ self._rows(coefficients.reshape(o, i, *self.orders, s))  # (w, o*i*r*s)
        moved = self.pipeline.expand(waves.view(-1, i, f // self.order, s))  # (w*o*r, i*r, kh, kw)
        return self._by_block(moved.unflatten(0, (len(waves), -1)))

    def analyze(self, x: Tensor, slide: Slide) -> Sequence[Tensor]:
        """Return the factors of ``x`` (b, i*f, h, w), each ``(b, i*r, h, w)``."""
        b, channels, h, w = x.shape
        i, r = channels // math.prod(self.orders), math.prod(self.orders) // self.order
        factors = self.analysis.to(x.dtype) @ self._rows(x.reshape(b, i, *self.orders, h * w))  # (p, b*i*r*h*w)
        return factors.view(len(factors), b, i * r, h, w).unbind()

    def mix(self, factor: Tensor, kernel: Tensor, slide: Slide) -> Tensor:
        """Slide a kernel over a factor."""
        return slide(factor, kernel, None, self.job.channel_groups)

    def joined(self, fields: Tensor, shape: Sequence[int]) -> Tensor:
        """Return ``(b, o*f, h', w')`` of ``(n, b*o*r*h'*w')``; the shape is ``(b, o*r, h', w')``."""
        b, channels, h, w = shape
        sizes = (b, channels * self.order // math.prod(self.orders), *self.orders, h * w)
        apart = fields.view([sizes[axis] for axis in self.forth])
        back = sorted(range(len(self.forth)), key=self.forth.__getitem__)
        return apart.permute(back).reshape(b, channels * self.order, h, w)


def _factors(job: Job) -> tuple[list[int], list[int]]:
    """Return the places of the factors that leave every kernel where it is, and of those that move kernels."""
    factors = job.group.factors
    fixed = job.basis.size == 1 and np.allclose(job.basis.action(job.group), 1)
    still = [place for place, factor in enumerate(factors) if fixed or not factor.moves_plane]
    return still, [place for place in range(len(factors)) if place not in still]


def _product(group: Group, places: Sequence[int]) -> Group:
    return reduce(mul, [group.factors[place] for place in places], Trivial())
