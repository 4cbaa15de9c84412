"""Convolve in the Fourier basis of a group, where an equivariant map is block diagonal."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from functools import reduce
from itertools import islice
from operator import add

import torch
from torch import Tensor

from equiconv.execution.plan import Job, Plan, Slide, Work, with_bias
from equiconv.groups.spectrum import Block, Spectrum

PIECE = 200_000  # numbers that are convolved at once, so that what they become stays in the cache
SMALL = 3.0  # the multiplications of a convolution that take as long as one of a product with a small matrix
LEAST = 1024  # pixels that a piece has at least, so that the products of matrices are not too narrow


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
        at_once = x.shape[0] if torch.compiler.is_compiling() else images_at_once(x.shape)
        if at_once >= x.shape[0]:
            return self._convolve(x, kernels, bias, slide)
        return torch.cat([self._convolve(piece, kernels, bias, slide) for piece in x.split(at_once)])

    def _convolve(self, x: Tensor, kernels: Sequence[Tensor], bias: Tensor | None, slide: Slide) -> Tensor:
        """Convolve so many images at once."""
        factors, rest = iter(self.analyze(x, slide)), iter(kernels)
        results: list[Tensor] = []
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
        found: list[Tensor] = []
        start = 0
        for block in self.blocks:
            end = start + block.columns**2 * block.products
            square = waves[start:end].unflatten(0, (block.columns, block.columns, block.products))
            rows = square.transpose(1, 2).flatten(0, 1)  # its rows are the columns of the fields
            groups = rows.unflatten(2, (self.job.channel_groups, -1)).transpose(1, 2)
            found += groups.flatten(1, 3).unbind()
            start = end
        return found


def images_at_once(shape: Sequence[int]) -> int:
    """Return the number of images of a batch ``(b, c, h, w)`` that are convolved at once."""
    b, c, h, w = shape
    pieces = min(math.ceil(b * c * h * w / PIECE), b * h * w // LEAST)
    return max(1, math.ceil(b / max(1, pieces)))


def transforms(job: Job, width: int, order: int) -> Work:
    """Return the work on the way to the Fourier basis of a group of this order and back.

    Args:
        job: the convolution.
        width: the number of factors, times the order of the other factors of the group.
        order: of the group whose Fourier basis it is.
    """
    read, written = job.fields * job.shrinkage, job.outputs
    return Work(SMALL * width * order * (read + written), traffic=width * (4 * read + 6 * written), calls=8)
