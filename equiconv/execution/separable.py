"""Convolve factor by factor, where the coefficients of a kernel are products."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from equiconv.bases import Pixels
from equiconv.execution.fourier import FourierPlan
from equiconv.execution.plan import DensePlan, Job, Plan, Slide, Work, pointwise
from equiconv.execution.rates import gain
from equiconv.kernels import OrbitPipeline


class SeparablePlan(Plan):
    """Mix fields and group elements at each pixel, then slide a kernel over each channel of what came out.

    With one spatial kernel for each output field ("gc"), the first step is a 1x1 group convolution and the second a
    depthwise one. With one for each pair of fields ("g"), the first step keeps the input fields apart, and what comes
    out is as many times larger.

    Args:
        job: a factorized convolution to regular fields.

    Source:
        Lengyel and van Gemert, Exploiting Learned Symmetries in Group Equivariant Convolutions (ICIP 2021).
    """

    name = "separable"

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        mixing = _mixing(job)
        self.mixing = _cheaper(mixing)(mixing)
        self.pipeline = OrbitPipeline(job.group.trivial, job.basis)

    @staticmethod
    def serves(job: Job) -> bool:
        """Tell whether the coefficients are products."""
        return job.factorization is not None

    @staticmethod
    def work(job: Job) -> Work:
        """Count both steps, and the passes over what is between them."""
        mixing = _mixing(job)
        channels = mixing.outputs * job.group.order
        spatial = Work(channels * job.pixels, 2 * channels * job.shrinkage, calls=1)
        return _cheaper(mixing).work(mixing).shrunk(job.shrinkage) + spatial

    def memory(self, shape: Sequence[int]) -> float:
        """Count the first step, and the output."""
        return self.mixing.memory(shape) + self.job.numbers(shape)[1]

    def kernels(self, *factors: Tensor) -> Sequence[Tensor]:
        """Return the kernels of the first step, and that of the second, ``(o*g, i, kh, kw)``; i = 1 for "gc"."""
        mix, spatial = factors  # (o, i, f); (o, s) or (o, i, s)
        if spatial.dim() == 2:
            spatial = spatial[:, None]  # (o, 1, s)
        else:
            apart = mix.unflatten(0, (self.job.channel_groups, -1)).transpose(1, 2)  # (groups, i, o / groups, f)
            mix = apart.reshape(-1, 1, mix.shape[-1])  # (groups * i * o / groups, 1, f)
        return *self.mixing.kernels(mix[..., None]), self.pipeline.expand(spatial[:, :, None])

    def forward(self, x: Tensor, kernels: Sequence[Tensor], bias: Tensor | None, slide: Slide) -> Tensor:
        """Convolve ``x`` (b, i*f, h, w); return ``(b, o*g, h', w')``."""
        *mixing, spatial = kernels
        y = self.mixing(x, mixing, None, pointwise)  # (b, o*g, h, w), or (b, groups * i * o*g / groups, h, w)
        if spatial.shape[1] > 1:
            apart = y.unflatten(1, (self.job.channel_groups, spatial.shape[1], -1)).transpose(2, 3)
            y = apart.flatten(1, 3)  # (b, o*g*i, h, w)
        return slide(y, spatial, bias, len(spatial))


def _mixing(job: Job) -> Job:
    """Return the first step, a 1x1 convolution."""
    point = replace(job, basis=Pixels((1, 1)), factorization=None, shrinkage=1.0, density=1.0)
    if job.factorization == "gc":
        return point
    return replace(point, outputs=job.outputs * job.inputs, inputs=1, channel_groups=job.fields)


def _cheaper(mixing: Job) -> type[Plan]:
    """Return the plan of the first step."""
    if not FourierPlan.serves(mixing):
        return DensePlan
    return FourierPlan if gain("fourier", FourierPlan.work(mixing), DensePlan.work(mixing)) > 1 else DensePlan
