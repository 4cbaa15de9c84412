"""What the convolutions share: parameters, their initialization, and the kernel made of them."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from equiconv.bases import Basis, choose_basis
from equiconv.errors import FieldTypeError
from equiconv.groups.field_type import FieldType
from equiconv.groups.representation import Representation
from equiconv.groups.values import integer
from equiconv.kernels import combine, kernel_pipeline
from equiconv.layers.layer import FieldLayer, check_flags, full_precision
from equiconv.layers.window import Size, Window

FACTORIZATIONS = (None, "g", "gc")


class Convolution(FieldLayer, ABC):
    """Learn the coefficients of an equivariant kernel, and slide it; the arguments are those of ``GroupConv2d``."""

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
        self.pipeline = kernel_pipeline(self.out_type.representation, self.in_type.representation, self.basis)
        self._make_parameters()
        self._make_bias(bias)
        self.reset_parameters()

    @property
    @abstractmethod
    def density(self) -> float:
        """The part of the kernel's pixels that meet a pixel of the input, for one pixel of the output."""

    @property
    def fan_in(self) -> float:
        """The number of coefficients that meet in an output, on average."""
        return self.in_type.channels // self.channel_groups * self.basis.size * self.density

    @abstractmethod
    def convolve(self, x: Tensor, kernels: Sequence[Tensor], bias: Tensor | None) -> Tensor:
        """Slide what ``kernels`` returned over ``x`` (b, i*f, h, w); return ``(b, o*g, h', w')``."""

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
            self.add_table("directions", directions)
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

    def coefficients(self) -> Tensor:
        """Return the coefficients of the kernel, ``(o, i, *pipeline.coefficient_shape)``."""
        return self.weight if self.factorization is None else combine(self.pointwise, self.spatial)

    def kernel(self) -> Tensor:
        """Return the kernel of the one convolution that this layer is, ``(o*g, i*f, kh, kw)``."""
        return self.pipeline(self.coefficients())

    def kernels(self) -> Sequence[Tensor]:
        """Return the kernels that are slid: that one, unless an execution plan has others."""
        return (self.kernel(),)

    def expanded_bias(self) -> Tensor | None:
        """Return the bias of every output channel, ``(o*g,)``, or None."""
        return None if self.bias is None else (self.bias @ self.directions).flatten()  # (o, t) @ (t, g)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve a tensor of ``in_type``; return a tensor of ``out_type``."""
        x = self.in_type.flatten(x)  # (b, i*f, h, w)
        self.settle(x.device)
        with full_precision(x):  # kernels are made in the precision of the weights
            kernels, bias = self.kernels(), self.expanded_bias()
        return self.out_type.unflatten(self.convolve(x, kernels, bias))


def _check_types(in_type: FieldType, out_type: FieldType, channel_groups: int) -> None:
    if in_type.group != out_type.group:
        raise FieldTypeError(
            f"in_type is of the group {in_type.group!r} and out_type of {out_type.group!r}; a convolution keeps one "
            "group: restrict(...) one of the types"
        )
    check_channel_groups(channel_groups, in_type.n, out_type.n)


def check_channel_groups(channel_groups: int, *fields: int) -> None:
    """Raise FieldTypeError unless the numbers of fields can be split into so many blocks."""
    if (count := integer(channel_groups)) is None or count < 1:
        raise FieldTypeError(f"channel_groups is an integer >= 1; got {channel_groups!r}")
    if any(n % count for n in fields):
        numbers = " and ".join(map(str, fields))
        raise FieldTypeError(f"channel_groups={channel_groups} must divide the number of fields, {numbers}")
