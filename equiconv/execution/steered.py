"""Convolve with the basis of the kernels first, then mix in the Fourier basis of the group."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from equiconv.execution.blocks import BlockPlan, images_at_once, transforms
from equiconv.execution.plan import Job, Slide, Work, pointwise
from equiconv.groups.spectrum import spectrum
from equiconv.kernels import combine


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
        """Count the products of all blocks, those with the basis, and the way back."""
        n, size, pairs = job.group.order, job.basis.size, job.outputs * job.inputs
        blocks = spectrum(job.group, complex_numbers=False).blocks
        products, entries = (sum(b.rows**k * b.columns**2 for b in blocks) for k in (1, 0))
        mixing = Work(pairs * products * size, kernels=pairs * entries * size, calls=n)
        seeing = Work(job.fields * n * n * size * job.pixels, traffic=2 * job.fields * n * size, calls=n)
        return mixing + seeing + transforms(job, n, n)

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
        b, channels, h, w = x.shape
        _, s, n, *_ = self.steering.shape
        fields = x.reshape(b * channels // n, n, h, w)
        seen = [slide(fields, kernels, None, 1) for kernels in self.steering.unbind()]  # (b*i, s, h', w') each
        return [factor.reshape(b, channels // n * s, *factor.shape[2:]) for factor in seen]

    def mix(self, factor: Tensor, kernel: Tensor, slide: Slide) -> Tensor:
        """Mix the channels of a factor."""
        return pointwise(factor, kernel, None, self.job.channel_groups)

    def joined(self, fields: Tensor, shape: Sequence[int]) -> Tensor:
        """Return ``(b, o*n, h', w')`` of ``(n, b*o*h'*w')``; the shape is ``(b, o, h', w')``."""
        b, o, h, w = shape
        return fields.view(len(fields), b, o, h * w).permute(1, 2, 0, 3).reshape(b, o * len(fields), h, w)
