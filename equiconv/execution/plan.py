"""What an execution plan is, and the dense one."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from equiconv.bases import SpatialBasis
from equiconv.groups.group import Group
from equiconv.groups.representation import Representation
from equiconv.kernels import combine
from equiconv.sums import kernel_pipeline
from equiconv.tables import Tables

Slide = Callable[[Tensor, Tensor, Tensor | None, int], Tensor]
"""Slides over x ``(b, i, h, w)`` a kernel ``(o, i / channel_groups, kh, kw)``, with a bias ``(o,)`` or None."""


@dataclass(frozen=True)
class Work:
    """Count what a plan does: for one pixel of the output, and once.

    Args:
        multiplications: those of the convolutions, for one pixel.
        traffic: the numbers that are read or written besides input, output and kernels, for one pixel.
        kernels: the numbers of the kernels.
        calls: how often PyTorch is called.
    """

    multiplications: float
    traffic: float = 0.0
    kernels: float = 0.0
    calls: int = 0

    def __add__(self, other: "Work") -> "Work":
        return Work(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def shrunk(self, shrinkage: float) -> "Work":
        """Return the work, where there are so many pixels for each of the output."""
        return replace(self, multiplications=shrinkage * self.multiplications, traffic=shrinkage * self.traffic)


@dataclass(frozen=True)
class Job:
    """Describe a convolution that is to be executed.

    Args:
        in_rep: the representation of the input fields.
        out_rep: that of the output fields.
        inputs: the number of input fields in each of the ``channel_groups``.
        outputs: the number of output fields.
        channel_groups: the blocks of fields that do not see each other.
        basis: the spatial basis of the kernel.
        factorization: of the coefficients: None, ``"g"`` or ``"gc"``.
        shrinkage: the pixels of the input for each of the output.
        density: the part of the kernel's pixels that meet a pixel of the input.
    """

    in_rep: Representation
    out_rep: Representation
    inputs: int
    outputs: int
    channel_groups: int
    basis: SpatialBasis
    factorization: str | None
    shrinkage: float
    density: float

    @property
    def group(self) -> Group:
        """The group of the fields."""
        return self.in_rep.group

    @property
    def is_regular(self) -> bool:
        """Whether the fields are regular, in and out."""
        return self.in_rep.is_regular and self.out_rep.is_regular

    @property
    def window(self) -> int:
        """The pixels of the kernel."""
        rows, columns = self.basis.kernel_size
        return rows * columns

    @property
    def pixels(self) -> float:
        """The pixels of the kernel that meet one of the input."""
        return self.window * self.density

    @property
    def fields(self) -> int:
        """The number of input fields."""
        return self.inputs * self.channel_groups

    def numbers(self, shape: Sequence[int]) -> tuple[float, float]:
        """Return how many numbers input and output have, for an input ``(b, c, h, w)``."""
        read = math.prod(shape)
        return read, read / self.shrinkage * self.outputs * self.out_rep.dim / (self.fields * self.in_rep.dim)


class Plan(Tables, ABC):
    """Compute one equivariant convolution; every plan computes the same function.

    Args:
        job: the convolution, which the plan has to serve.
    """

    name: ClassVar[str]

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job
        self.effort = self.work(job)

    @staticmethod
    @abstractmethod
    def serves(job: Job) -> bool:
        """Tell whether the plan can execute a job."""

    @staticmethod
    @abstractmethod
    def work(job: Job) -> Work:
        """Return how much there is to do for a job that the plan serves."""

    @abstractmethod
    def memory(self, shape: Sequence[int]) -> float:
        """Return the numbers that are held at the peak of a forward and backward pass, of an input ``(b, c, h, w)``."""

    @abstractmethod
    def kernels(self, *factors: Tensor) -> Sequence[Tensor]:
        """Make the kernels that are slid.

        Args:
            factors: the coefficients ``(o, i, *coefficient_shape)``, or the two factors that ``combine`` takes.
        """

    @abstractmethod
    def forward(self, x: Tensor, kernels: Sequence[Tensor], bias: Tensor | None, slide: Slide) -> Tensor:
        """Convolve.

        Args:
            x: flat fields, ``(b, i*f, h, w)``.
            kernels: those of ``kernels``.
            bias: of every output channel, ``(o*g,)``, or None.
            slide: how the layer slides a kernel: its stride, padding and dilation.

        Returns:
            Flat fields, ``(b, o*g, h', w')``.
        """


class DensePlan(Plan):
    """Slide one kernel, expanded to all pairs of channels: the oracle of the other plans.

    Args:
        job: any convolution.
    """

    name = "dense"

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.pipeline = kernel_pipeline(job.out_rep, job.in_rep, job.basis)

    @staticmethod
    def serves(job: Job) -> bool:
        """Return True."""
        return True

    @staticmethod
    def work(job: Job) -> Work:
        """Count a product for each pair of channels and pixel of the kernel."""
        pairs = job.outputs * job.inputs * job.out_rep.dim * job.in_rep.dim
        return Work(pairs * job.pixels, kernels=pairs * job.window, calls=1)

    def memory(self, shape: Sequence[int]) -> float:
        """Count input, output and kernel, with their gradients."""
        job, (read, written) = self.job, self.job.numbers(shape)
        kernel = job.outputs * job.inputs * job.out_rep.dim * job.in_rep.dim * job.window
        return 2 * (read + written + kernel)

    def kernels(self, *factors: Tensor) -> Sequence[Tensor]:
        """Return the kernel ``(o*g, i*f, kh, kw)``."""
        return (self.pipeline.expand(combine(*factors)),)

    def forward(self, x: Tensor, kernels: Sequence[Tensor], bias: Tensor | None, slide: Slide) -> Tensor:
        """Convolve ``x`` (b, i*f, h, w); return ``(b, o*g, h', w')``."""
        return slide(x, kernels[0], bias, self.job.channel_groups)


def pointwise(x: Tensor, kernel: Tensor, bias: Tensor | None, channel_groups: int) -> Tensor:
    """Slide a 1x1 kernel over every pixel."""
    if channel_groups > 1 or not _as_matrices(x, len(kernel)):
        return F.conv2d(x, kernel, bias, groups=channel_groups)
    matrix = kernel[:, :, 0, 0].expand(len(x), -1, -1)  # (b, o, i)
    return with_bias(torch.bmm(matrix, x.flatten(2)).unflatten(2, x.shape[2:]), bias)  # (b, o, h*w) -> (b, o, h, w)


def _as_matrices(x: Tensor, outputs: int) -> bool:
    """Tell whether a 1x1 convolution of ``x`` (b, i, h, w) is faster as a product of matrices.

    On the CPU it is, because nothing is brought into another layout and back. The gradient of the kernel takes as many
    numbers for each image as the kernel has, so it has to be no larger than the image.
    """
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()  # the number of images must stay open
    if traced or x.device.type != "cpu" or not x.is_contiguous():
        return False
    return outputs <= x.shape[2] * x.shape[3]


def with_bias(y: Tensor, bias: Tensor | None) -> Tensor:
    """Return ``y`` (b, o, h, w) plus a bias ``(o,)``."""
    return y if bias is None else y + bias.to(y.dtype)[:, None, None]
