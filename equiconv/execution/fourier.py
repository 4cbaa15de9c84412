"""Convolve in the Fourier basis of the group, where an equivariant map is block diagonal."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from functools import reduce
from itertools import islice
from operator import add, mul

import numpy as np
import torch
from torch import Tensor

from equiconv.execution.plan import Job, Plan, Slide, Work, pointwise, with_bias
from equiconv.groups.group import Group
from equiconv.groups.plane import Trivial
from equiconv.groups.spectrum import Block, Spectrum, spectrum
from equiconv.kernels import OrbitPipeline, combine

PIECE = 200_000  # numbers that are convolved at once, so that what they become stays in the cache
LEAST = 1024  # pixels that a piece has at least, so that the products of matrices are not too narrow
SEEING = 8.0  # the passes through memory, of copying, that take as long as to write and read what the basis sees


class BlockPlan(Plan):
    """Go to the Fourier basis of a group, slide kernels block by block, and come back.

    A subclass says how fields are brought to that basis, and what their kernels are there.

    Args:
        job: the convolution.
        basis: the Fourier basis.

    Source:
        Schur's lemma: a linear map that commutes with a group mixes copies of one irrep only.
    """

    synthesis: Tensor

    def __init__(self, job: Job, basis: Spectrum) -> None:
        super().__init__(job)
        self.blocks = basis.blocks
        self.add_table("synthesis", basis.synthesis)

    @abstractmethod
    def analyze(self, x: Tensor, slide: Slide) -> Sequence[Tensor]:
        """Return the factors of ``x`` (b, i*f, h, w), p tensors ``(b, i', h', w')``."""

    @abstractmethod
    def mix(self, factor: Tensor, kernel: Tensor, slide: Slide) -> Tensor:
        """Slide one of ``kernels`` over a factor."""

    @abstractmethod
    def joined(self, fields: Tensor, shape: Sequence[int]) -> Tensor:
        """Return ``(b, o*g, h', w')`` of ``(n, b*o'*h'*w')``; the shape is ``(b, o', h', w')``."""

    def forward(self, x: Tensor, kernels: Sequence[Tensor], bias: Tensor | None, slide: Slide) -> Tensor:
        """Convolve ``x`` (b, i*f, h, w); return ``(b, o*g, h', w')``."""
        self.settle(x.device)
        if torch.compiler.is_compiling():
            return self._convolve(x, kernels, bias, slide)
        pieces = x.split(images_at_once(x.shape))
        return torch.cat([self._convolve(piece, kernels, bias, slide) for piece in pieces])

    def _convolve(self, x: Tensor, kernels: Sequence[Tensor], bias: Tensor | None, slide: Slide) -> Tensor:
        """Convolve so many images at once."""
        factors, rest, results = iter(self.analyze(x, slide)), iter(kernels), list[Tensor]()
        for block in self.blocks:
            count = block.columns * block.products
            own = list(islice(rest, count))
            for _ in range(block.rows):
                results += self._multiply(block, list(islice(factors, count)), own, slide)
        stacked = torch.stack(results)  # (p, b, o', h', w')
        fields = self.synthesis.to(stacked.dtype) @ stacked.flatten(1)  # (n, b*o'*h'*w')
        return with_bias(self.joined(fields, stacked.shape[1:]), bias)

    def _multiply(self, block: Block, row: Sequence[Tensor], kernels: Sequence[Tensor], slide: Slide) -> list[Tensor]:
        """Return a row of a block times its square matrix, by column and product like the factors in ``row``."""
        products = [self.mix(factor, kernel, slide) for factor, kernel in zip(row, kernels, strict=True)]
        if block.columns == 1:
            return products
        sums = [reduce(add, products[k :: block.products]) for k in range(block.products)]  # over the columns
        apart = [y.unflatten(1, (self.job.channel_groups, block.columns, -1)).unbind(2) for y in sums]
        return [y.flatten(1, 2) for column in zip(*apart, strict=True) for y in column]

    def _by_block(self, waves: Tensor) -> list[Tensor]:
        """Return the kernels that are slid, by block, column and product, each ``(columns * o', i', kh, kw)``.

        Args:
            waves: the entries of the square matrices, ``(w, o', i', kh, kw)``.
        """
        found, start = list[Tensor](), 0
        for block in self.blocks:
            end = start + block.columns**2 * block.products
            square = waves[start:end].unflatten(0, (block.columns, block.columns, block.products))
            rows = square.transpose(1, 2).flatten(0, 1)  # its rows are the columns of the fields
            groups = rows.unflatten(2, (self.job.channel_groups, -1)).transpose(1, 2)
            found += groups.flatten(1, 3).unbind()
            start = end
        return found


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
        """Count the products of all blocks, and the passes over the components."""
        still, moving = (_product(job.group, places) for places in _factors(job))
        blocks = spectrum(still).blocks
        products = sum(block.multiplications for block in blocks) * moving.order**2
        width = sum(block.rows * block.columns * block.products for block in blocks) * moving.order
        multiplications = job.outputs * job.inputs * products * job.pixels
        return Work(multiplications, traffic=_passes(job, width))

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
        moved = self.pipeline(waves.view(-1, i, f // self.order, s))  # (w*o*r, i*r, kh, kw)
        return self._by_block(moved.unflatten(0, (len(waves), -1)))

    def analyze(self, x: Tensor, slide: Slide) -> Sequence[Tensor]:
        """Return the factors of ``x`` (b, i*f, h, w), each ``(b, i*r, h, w)``."""
        b, channels, h, w = x.shape
        i, r = channels // math.prod(self.orders), math.prod(self.orders) // self.order
        factors = self.analysis.to(x.dtype) @ self._rows(x.reshape(b, i, *self.orders, h * w))  # (p, b*i*r*h*w)
        return factors.view(-1, b, i * r, h, w).unbind()

    def mix(self, factor: Tensor, kernel: Tensor, slide: Slide) -> Tensor:
        """Slide a kernel over a factor."""
        return slide(factor, kernel, None, self.job.channel_groups)

    def joined(self, fields: Tensor, shape: Sequence[int]) -> Tensor:
        """Return ``(b, o*f, h', w')`` of ``(n, b*o*r*h'*w')``; the shape is ``(b, o*r, h', w')``."""
        b, channels, h, w = shape
        sizes = (b, channels * self.order // math.prod(self.orders), *self.orders, h * w)
        apart = fields.view([sizes[axis] for axis in self.forth])
        back = sorted(range(len(self.forth)), key=self.forth.__getitem__)
        return apart.permute(back).reshape(b, -1, h, w)


class SteeredPlan(BlockPlan):
    """Convolve regular fields with the basis of the kernels first, then mix them in the Fourier basis of the group.

    Seen in the frame of each group element, what lies under the window moves by the regular representation alone: there
    the whole layer is a 1x1 convolution of ``i * s`` fields, s being the size of the spatial basis. For ``P4M()`` it
    takes 12 of 64 multiplications, but s times as many numbers as the input has pass through memory, which pays for
    wide layers only.

    Args:
        job: a convolution between regular fields of a finite group.
    """

    name = "steered"
    waves: Tensor
    steering: Tensor

    def __init__(self, job: Job) -> None:
        group, basis = job.group, job.basis
        found = spectrum(group, complex_numbers=False)
        super().__init__(job, found)
        action, samples = basis.action(group), basis.samples()  # (g, t, s), (s, kh*kw)
        moved = np.einsum("gts,tp->gsp", action, np.eye(basis.size) if samples is None else samples)
        steering = np.einsum("kg,gsp->ksgp", found.analysis, moved)
        self.add_table("steering", steering.reshape(*steering.shape[:3], *basis.kernel_size))
        self.add_table("waves", np.einsum("wu,uts->wtus", found.waves, action[group.inverse]))

    @staticmethod
    def serves(job: Job) -> bool:
        """Tell whether the fields are regular."""
        return job.is_regular

    @staticmethod
    def work(job: Job) -> Work:
        """Count the products of all blocks and those of the basis, and the passes over what the basis sees."""
        n, size = job.group.order, job.basis.size
        products = sum(block.rows * block.columns**2 for block in spectrum(job.group, complex_numbers=False).blocks)
        seeing = job.fields * n * n * size * job.pixels
        multiplications = job.outputs * job.inputs * products * size + seeing
        return Work(multiplications, traffic=SEEING * job.fields * n * size + _passes(job, n))

    def memory(self, shape: Sequence[int]) -> float:
        """Count what the basis sees, which the backward pass needs, and a piece of the batch on its way."""
        job, (read, written) = self.job, self.job.numbers(shape)
        piece = images_at_once(shape) / max(1, shape[0])
        kernels = len(self.waves) * job.outputs * job.inputs * job.basis.size
        return (1 + job.basis.size) * read + 2 * written + 1.2 * piece * (read + written) + 2 * kernels

    def kernels(self, *factors: Tensor) -> Sequence[Tensor]:
        """Return the kernels by block and column, each ``(columns * o, i*s, 1, 1)``."""
        coefficients = combine(*factors)
        self.settle(coefficients.device)
        o, i = coefficients.shape[:2]
        w, t = self.waves.shape[:2]
        waves = self.waves.flatten(2).flatten(0, 1) @ coefficients.flatten(2).flatten(0, 1).T  # (w*t, o*i)
        mixed = waves.view(w, t, o, i).permute(0, 2, 3, 1)  # (w, o, i, t)
        return self._by_block(mixed.reshape(w, o, i * t, 1, 1))

    def analyze(self, x: Tensor, slide: Slide) -> Sequence[Tensor]:
        """Return the factors of what the basis sees of ``x`` (b, i*n, h, w), each ``(b, i*s, h', w')``."""
        b, _, h, w = x.shape
        fields = x.reshape(-1, self.steering.shape[2], h, w)  # (b*i, n, h, w)
        seen = [slide(fields, kernels, None, 1) for kernels in self.steering.unbind()]  # (b*i, s, h', w') each
        return [factor.reshape(b, -1, *factor.shape[2:]) for factor in seen]

    def mix(self, factor: Tensor, kernel: Tensor, slide: Slide) -> Tensor:
        """Mix the channels of a factor."""
        return pointwise(factor, kernel, None, self.job.channel_groups)

    def joined(self, fields: Tensor, shape: Sequence[int]) -> Tensor:
        """Return ``(b, o*n, h', w')`` of ``(n, b*o*h'*w')``; the shape is ``(b, o, h', w')``."""
        b, o, h, w = shape
        return fields.view(-1, b, o, h * w).permute(1, 2, 0, 3).reshape(b, -1, h, w)


def images_at_once(shape: Sequence[int]) -> int:
    """Return the number of images of a batch ``(b, c, h, w)`` that are convolved at once."""
    b, c, h, w = shape
    pieces = min(math.ceil(b * c * h * w / PIECE), b * h * w // LEAST)
    return max(1, math.ceil(b / max(1, pieces)))


def _factors(job: Job) -> tuple[list[int], list[int]]:
    """Return the places of the factors that leave every kernel where it is, and of those that move kernels."""
    factors = job.group.factors
    still = [place for place, factor in enumerate(factors) if not factor.moves_plane or job.basis.size == 1]
    return still, [place for place in range(len(factors)) if place not in still]


def _passes(job: Job, width: int) -> float:
    """Return the numbers that pass through memory on the way to the Fourier basis and back."""
    return width * (4 * job.fields * job.shrinkage + 6 * job.outputs)


def _product(group: Group, places: Sequence[int]) -> Group:
    return reduce(mul, [group.factors[place] for place in places], Trivial())
