"""The pipeline: a group acts on a kernel. Combine, act, sample, fold; then the layer convolves.

Coefficients have the axes ``(o, i, f, s)``: output fields, input fields, input fiber, spatial basis functions. For an
output of the regular representation the group moves one kernel to all its copies (``OrbitPipeline``); the kernels into
any other representation are those that the group leaves alone: entries that it sends to one another are equal
(``TiedPipeline``), or the solutions of linear equations (``SolvedPipeline``). Between long sums they are made pair by
pair of the summands (``equiconv.sums``).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from equiconv.bases import SpatialBasis
from equiconv.groups.group import Group
from equiconv.groups.laws import Floats, Ints
from equiconv.groups.representation import Representation
from equiconv.solve import equivariant_kernels
from equiconv.tables import Tables


def combine(coefficients: Tensor, spatial: Tensor | None = None) -> Tensor:
    """Return the coefficients of a kernel, those of a factorized one being the products of its factors.

    Args:
        coefficients: all of them; or, if ``spatial`` is given, the part that mixes fields and fibers, ``(o, i, f)``.
        spatial: the part on the plane: ``(o, i, s)``, one for each pair of fields ("g"), or ``(o, s)``, one for each
            output field ("gc").

    Returns:
        The coefficients, ``(o, i, f, s)`` if they are products.
    """
    if spatial is None:
        return coefficients
    if spatial.dim() == 2:
        spatial = spatial[:, None]  # (o, 1, s)
    return coefficients[..., None] * spatial[:, :, None]  # (o, i, f, s)


class KernelPipeline(Tables, ABC):
    """Turn coefficients ``(o, i, *coefficient_shape)`` into the kernel ``(o*g, i*f, kh, kw)`` of one convolution."""

    coefficient_shape: tuple[int, ...]
    unreached: tuple[Representation, ...] = ()  # summands of the output that are zero whatever the coefficients are
    samples: Tensor

    def __init__(self, basis: SpatialBasis, samples: Floats | None) -> None:
        super().__init__()
        self.kernel_size = basis.kernel_size
        self.sampled = samples is not None
        if samples is not None:
            self.add_table("samples", samples)

    @abstractmethod
    def act(self, coefficients: Tensor) -> Tensor:
        """Return the coefficients of all kernels, ``(o, g, i, f, s)``."""

    def sample(self, coefficients: Tensor) -> Tensor:
        """Return the kernels on the pixels, ``(o, g, i, f, kh*kw)``."""
        if not self.sampled:
            return coefficients
        o, g, i, f, s = coefficients.shape
        rows = coefficients.reshape(o, g, i * f, s)
        return (rows @ self.samples).view(o, g, i, f, -1)  # (o, g, i, f, kh*kw)

    def fold(self, kernels: Tensor) -> Tensor:
        """Return the kernels as those of one convolution, ``(o*g, i*f, kh, kw)``."""
        o, g, i, f, _ = kernels.shape
        return kernels.reshape(o * g, i * f, *self.kernel_size)

    def expand(self, coefficients: Tensor) -> Tensor:
        """Act, sample, fold: ``(o, i, *coefficient_shape)`` to ``(o*g, i*f, kh, kw)``."""
        self.settle(coefficients.device)
        return self.fold(self.sample(self.act(coefficients)))


class OrbitPipeline(KernelPipeline):
    """Move one kernel by every element of the group: the output is regular.

    Where fiber and plane are both permuted the move is one indexing. A fiber that is mixed is multiplied by its
    matrices. Spatial functions that are mixed are sampled as moved by each element, so that moving them costs nothing.
    """

    fiber: Tensor
    source: Tensor

    def __init__(self, in_rep: Representation, basis: SpatialBasis) -> None:
        group = in_rep.group
        fiber, plane = in_rep.permutation, basis.permutation(group)
        super().__init__(basis, basis.samples() if plane is not None else _moved_samples(basis, group))
        self.coefficient_shape = (in_rep.dim, basis.size)
        self.multiplies = fiber is None
        self.gathers = fiber is not None or plane is not None
        still = np.tile(np.arange(basis.size), (group.order, 1))
        source = still if plane is None else plane[group.inverse]  # (g, s): the function that g brings to s
        if fiber is None:
            self.add_table("fiber", in_rep.rho)
        else:
            entries = fiber[group.inverse][:, :, None]  # (g, f, 1): the entry that g brings to f
            source = (entries * basis.size + source[:, None]).reshape(group.order, -1)  # (g, f*s)
        self.add_table("source", source)

    def act(self, coefficients: Tensor) -> Tensor:
        """Return the kernel moved by each element, ``(o, g, i, f, s)``."""
        o, i, f, s = coefficients.shape
        moved = coefficients[:, None]  # (o, 1, i, f, s)
        if self.multiplies:
            moved = torch.einsum("gkf,oifs->ogiks", self.fiber, coefficients)
        if self.gathers:
            g, width = self.source.shape
            moved = moved.reshape(o, -1, i, f * s // width, width).expand(o, g, i, -1, width)
            moved = moved.gather(4, self.source.view(1, g, 1, 1, width).expand_as(moved))
        return moved.reshape(o, -1, i, f, s)


def _moved_samples(basis: SpatialBasis, group: Group) -> Floats:
    """Return the functions moved by each element, on the pixels, ``(g, s, kh*kw)``."""
    samples = basis.samples()
    assert samples is not None  # functions that a group mixes are not the pixels
    return np.einsum("gts,tp->gsp", basis.action(group), samples)


class TiedPipeline(KernelPipeline):
    """Share one coefficient among all entries of the kernel that the group sends to one another.

    For an output, a fiber and a plane that are all permuted: quotient and invariant fields, and sums of them.
    """

    source: Tensor

    def __init__(self, moves: Sequence[Ints], generators: Sequence[int], basis: SpatialBasis) -> None:
        super().__init__(basis, basis.samples())
        self.axes = tuple(move.shape[1] for move in moves)  # output, fiber and plane
        places = np.arange(np.prod(self.axes)).reshape(self.axes)
        orbit, before = places.ravel(), None
        while before is None or not np.array_equal(orbit, before):  # the smallest place that is linked to each
            before = orbit
            for g in generators:
                moved = places[np.ix_(*(move[g] for move in moves))].ravel()  # where g sends each place
                orbit = np.minimum(orbit, orbit[moved])
                np.minimum.at(orbit, moved, orbit)
        smallest, source = np.unique(orbit, return_inverse=True)
        self.coefficient_shape = (len(smallest),)
        self.add_table("source", source)

    def act(self, coefficients: Tensor) -> Tensor:
        """Return the kernels, ``(o, g, i, f, s)``, g being the entries of an output field."""
        o, i, _ = coefficients.shape
        return coefficients[:, :, self.source].view(o, i, *self.axes).transpose(1, 2)  # (o, g, i, f, s)


class SolvedPipeline(KernelPipeline):
    """Combine the kernels that the group leaves alone: the output is any representation."""

    solutions: Tensor
    drawn: Tensor

    def __init__(self, out_rep: Representation, in_rep: Representation, basis: SpatialBasis) -> None:
        samples = basis.samples()
        super().__init__(basis, None)
        squares = None if samples is None else np.square(samples).sum(1)
        solutions: Floats = equivariant_kernels(out_rep, in_rep, basis.action(in_rep.group), squares)  # (n, g, f, s)
        starts = np.cumsum((0, *out_rep.sizes[:-1]))
        reached = np.logical_or.reduceat(solutions.any((0, 2, 3)), starts)
        self.unreached = tuple(s for s, some in zip(out_rep.summands, reached, strict=True) if not some)
        self.coefficient_shape = (len(solutions),)
        self.add_table("solutions", solutions)
        self.add_table("drawn", solutions if samples is None else solutions @ samples)  # (n, g, f, kh*kw)

    def act(self, coefficients: Tensor) -> Tensor:
        """Return the combined kernels, ``(o, g, i, f, s)``, g being the entries of an output field."""
        return self._combined(coefficients, self.solutions)

    def expand(self, coefficients: Tensor) -> Tensor:
        """Combine the solutions as they are on the pixels: ``(o, i, n)`` to ``(o*g, i*f, kh, kw)``."""
        self.settle(coefficients.device)
        return self.fold(self._combined(coefficients, self.drawn))

    def _combined(self, coefficients: Tensor, solutions: Tensor) -> Tensor:
        """Return ``(o, g, i, f, s)`` of ``(o, i, n)`` and ``(n, g, f, s)``."""
        o, i, _ = coefficients.shape
        kernels = coefficients.flatten(0, 1) @ solutions.flatten(1)  # (o*i, g*f*s)
        return kernels.view(o, i, *solutions.shape[1:]).transpose(1, 2)  # (o, g, i, f, s)
