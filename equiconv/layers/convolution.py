"""What the convolutions share: parameters, their initialization, and the kernel made of them."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from equiconv.bases import Basis, choose_basis
from equiconv.errors import FieldTypeError
from equiconv.execution import Cache, DensePlan, Job, Plan, alternative, may_be_kept, pays, with_bias
from equiconv.groups.field_type import FieldType
from equiconv.groups.representation import Representation
from equiconv.groups.values import integer
from equiconv.kernels import KernelPipeline, combine
from equiconv.layers.layer import FieldLayer, check_flags, full_precision, in_format_of
from equiconv.layers.lifting import Lifting
from equiconv.layers.window import Size, Window

FACTORIZATIONS = (None, "g", "gc")

Expanded = tuple[Sequence[Tensor], Tensor | None]  # kernels and bias


class Convolution(FieldLayer, ABC):
    """Learn the coefficients of an equivariant kernel, and slide it; the arguments are those of ``GroupConv2d``."""

    takes_tones = True
    directions: Tensor

    def __init__(
        self,
        in_type: FieldType | Representation,
        out_type: FieldType | Representation,
        kernel_size: Size,
        *,
        stride: Size,
        padding: Size | str,
        dilation: Size,
        bias: bool,
        channel_groups: int,
        factorization: str | None,
        basis: Basis,
        exact: bool,
        execution: str,
    ) -> None:
        super().__init__(in_type, out_type)
        group = self.in_type.group
        _check_types(self.in_type, self.out_type, channel_groups)
        check_flags(type(self).__name__, bias=bias, exact=exact)
        if factorization not in FACTORIZATIONS:
            raise FieldTypeError(f'factorization is None, "g" or "gc"; got {factorization!r}')
        self.window = Window(group, kernel_size, stride=stride, padding=padding, dilation=dilation, exact=exact)
        self.channel_groups = channel_groups
        self.factorization = factorization
        self.basis = choose_basis(basis, group, self.window.kernel)
        tones = not self.in_type.representation.is_linear
        self.lifting = Lifting(self.in_type, self.out_type) if tones else None
        self._cache = Cache()
        self.dense = DensePlan(self._job())
        self._make_parameters()
        self._make_bias(bias)
        self.execution = execution
        self.reset_parameters()

    @property
    @abstractmethod
    def density(self) -> float:
        """The part of the kernel's pixels that meet a pixel of the input, for one pixel of the output."""

    @property
    @abstractmethod
    def shrinkage(self) -> float:
        """The number of pixels of the input for each pixel of the output."""

    @abstractmethod
    def slide(self, x: Tensor, kernel: Tensor, bias: Tensor | None, channel_groups: int) -> Tensor:
        """Slide a kernel ``(o, i / channel_groups, kh, kw)`` over ``x`` (b, i, h, w); return ``(b, o, h', w')``."""

    @property
    def fan_in(self) -> float:
        """The number of coefficients that meet in an output, on average."""
        return self.in_type.channels // self.channel_groups * self.basis.size * self.density

    @property
    def pipeline(self) -> KernelPipeline:
        """What makes the kernel of the coefficients."""
        return self.dense.pipeline

    def _job(self) -> Job:
        in_rep, out_rep = self.in_type.representation, self.out_type.representation
        if self.lifting is not None:
            in_rep, out_rep = self.lifting.in_rep, self.lifting.out_rep
        return Job(
            in_rep,
            out_rep,
            inputs=self.in_type.n // self.channel_groups,
            outputs=self.out_type.n,
            channel_groups=self.channel_groups,
            basis=self.basis,
            factorization=self.factorization,
            shrinkage=self.shrinkage,
            density=self.density,
        )

    @property
    def execution(self) -> str:
        """How the function is computed; may be set at any time, and never changes the function."""
        return self._execution

    @execution.setter
    def execution(self, execution: str) -> None:
        plan, weight = alternative(execution, self.dense.job), self.factors()[0]
        self.alternative = None if plan is None else plan.to(weight.device, weight.dtype)
        self._execution = execution

    def plan_for(self, x: Tensor) -> str:
        """Return the name of the plan that computes a tensor like ``x``: ``execution``, or what ``"auto"`` takes."""
        return self._plan_for(self._split(self.in_type.flatten(x))).name

    def _plan_for(self, x: Tensor) -> Plan:
        """Return the plan for flat fields ``(b, i*f, h, w)``."""
        plan = self.alternative
        if plan is None or (self._execution == "auto" and not pays(plan, self.dense, x)):
            return self.dense
        return plan

    def _make_parameters(self) -> None:
        o, i, shape = self.out_type.n, self.in_type.n // self.channel_groups, self.pipeline.coefficient_shape
        if self.factorization is None:
            self.weight = nn.Parameter(torch.empty(o, i, *shape))
            return
        if len(shape) != 2:
            raise FieldTypeError(
                f'factorization="{self.factorization}" needs a regular out_type; got {self.out_type!r}'
            )
        f, s = shape
        self.pointwise = nn.Parameter(torch.empty(o, i, f))
        self.spatial = nn.Parameter(torch.empty((o, i, s) if self.factorization == "g" else (o, s)))

    def _make_bias(self, bias: bool) -> None:
        self.has_bias = bias
        directions = self.out_type.representation.fixed  # (t, d)
        if bias and len(directions):
            self.add_table("directions", np.tile(directions.T, (self.out_type.n, 1)))  # (o*g, t)
            self.bias = nn.Parameter(torch.empty(self.out_type.n, len(directions)))
        else:
            self.register_parameter("bias", None)

    def reset_parameters(self) -> None:
        """Draw all parameters anew; the class docstring states the formula."""
        bound = 1 / math.sqrt(self.fan_in)
        with torch.no_grad():
            if self.factorization is None:
                self.weight.uniform_(-bound, bound)
            else:
                side = math.sqrt(self.basis.size)
                self.spatial.uniform_(-math.sqrt(3) / side, math.sqrt(3) / side)
                self.pointwise.uniform_(-bound * side, bound * side)
            if self.bias is not None:
                self.bias.uniform_(-bound, bound)

    def factors(self) -> tuple[Tensor, ...]:
        """Return the parameters that the kernel is made of: ``(weight,)``, or ``(pointwise, spatial)``."""
        return (self.weight,) if self.factorization is None else (self.pointwise, self.spatial)

    def kernel(self) -> Tensor:
        """Return the kernel of the one convolution that this layer is, ``(o*g, i*f, kh, kw)``.

        If the group shifts colors along a color model, g are the entries that it makes of each copy of the image.
        """
        return self.pipeline.expand(combine(*self.factors()))

    def expanded_bias(self) -> Tensor | None:
        """Return the bias of every output channel, ``(o*g,)``, or None."""
        if self.bias is None:
            return None
        repeated = self.bias.repeat_interleave(self.out_type.fiber, 0)  # (o*g, t)
        return (repeated * self.directions).sum(1)  # (o*g,), no view: older compilers take none

    def train(self, mode: bool = True) -> Self:
        """Change to training, or to evaluation; kernels that were kept are forgotten."""
        self._cache.clear()
        return super().train(mode)

    def _expanded(self, plan: Plan) -> Expanded:
        """Return the kernels of a plan and the bias; in evaluation they are kept until a parameter changes."""
        made_of = self.factors() if self.bias is None else (*self.factors(), self.bias)

        def make() -> Expanded:
            return plan.kernels(*self.factors()), self.expanded_bias()

        return make() if self.training or not may_be_kept(made_of) else self._cache.get(plan.name, made_of, make)

    def _split(self, x: Tensor) -> Tensor:
        """Return what the kernel is slid over: ``x`` (b, i*f, h, w), or the copies of images."""
        return x if self.lifting is None else self.lifting.split(x)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve a tensor of ``in_type``; return a tensor of ``out_type``."""
        x = self.in_type.flatten(x)  # (b, i*f, h, w)
        self.settle(x.device)
        split = self._split(x)
        plan = self._plan_for(split)
        with full_precision(x):  # kernels are made in the precision of the weights
            kernels, bias = self._expanded(plan)
        if self.lifting is None:
            y = plan(x, kernels, bias, self.slide)  # (b, o*g, h', w')
        else:
            y = with_bias(self.lifting.join(plan(split, kernels, None, self.slide)), bias)
        return self.out_type.unflatten(in_format_of(y, x))


def _check_types(in_type: FieldType, out_type: FieldType, channel_groups: int) -> None:
    if in_type.group != out_type.group:
        raise FieldTypeError(
            f"in_type is of the group {in_type.group!r} and out_type of {out_type.group!r}; a convolution keeps one "
            "group: restrict(...) one of the types"
        )
    if not out_type.representation.is_linear:
        raise FieldTypeError(f"no kernel makes {out_type!r}, which is not moved linearly; take regular fields")
    check_channel_groups(channel_groups, in_type.n, out_type.n)


def check_channel_groups(channel_groups: int, *fields: int) -> None:
    """Raise FieldTypeError unless the numbers of fields can be split into so many blocks."""
    if (count := integer(channel_groups)) is None or count < 1:
        raise FieldTypeError(f"channel_groups is an integer >= 1; got {channel_groups!r}")
    if any(n % count for n in fields):
        numbers = " and ".join(map(str, fields))
        raise FieldTypeError(f"channel_groups={channel_groups} must divide the number of fields, {numbers}")
