"""The one convolution."""

import math

import torch
from torch import Tensor, nn

from equiconv.bases import Basis, choose_basis
from equiconv.errors import FieldTypeError, ShapeError
from equiconv.groups.field_type import FieldType
from equiconv.groups.representation import Representation
from equiconv.groups.values import integer
from equiconv.kernels import combine, kernel_pipeline
from equiconv.layers.layer import FieldLayer, full_precision
from equiconv.layers.window import PADDING_MODES, Size, Window

__all__ = ["GroupConv2d"]

FACTORIZATIONS = (None, "g", "gc")


class GroupConv2d(FieldLayer):
    """Convolve fields so that the output moves as the input does.

    The two field types say what it is: from an image it lifts to the group, between regular fields it is a group
    convolution, between other fields a steerable convolution.

    Equivariance:
        ``conv(in_type.transform(x, g)) == out_type.transform(conv(x), g)`` for every element g: exact for groups that
        keep the pixel grid, and for the quarter turns in other groups; other angles are approximate, since an image is
        only known on its pixels. Strides that do not fit the image symmetrically raise ExactnessError.

    Args:
        in_type: the field type of the input; a bare representation is one field.
        out_type: the field type of the output, on the same group.
        kernel_size: rows and columns of the kernel; even and rectangular where the group maps the window to itself.
        stride: steps of the window, in pixels.
        padding: pixels added on each side, or ``"same"``.
        dilation: distance of the kernel's pixels.
        padding_mode: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
        bias: learn a bias for each invariant direction of each output field (one for a regular field, none for a
            nontrivial irrep).
        channel_groups: split the fields into this many blocks that do not see each other (PyTorch's ``groups``).
        factorization: how the coefficients ``(o, i, f, s)`` are shared. None: free; ``"g"``: ``(o, i, f) x (o, i, s)``,
            one spatial kernel for each pair of fields; ``"gc"``: ``(o, i, f) x (o, s)``, one for each output field. The
            output has to be regular for the last two.
        basis: what the kernel is made of: ``"pixels"``, ``"harmonics"``, or ``"auto"``: pixels if the group keeps the
            pixel grid, else harmonics; or a ``SpatialBasis``, or what makes one of a kernel size: ``Harmonics.e2cnn``.
        exact: refuse settings that lose equivariance; False lets them pass.

    Shapes:
        Input: a tensor of ``in_type``, ``(B, n, d, H, W)``, or ``(B, n*d, H, W)`` if it is flat (images, invariants).
        Output: a tensor of ``out_type`` with H' = (H + 2 padding - dilation (kernel - 1) - 1) // stride + 1.

    Initialization:
        With fan_in = n_in / channel_groups * d_in * s, s being the size of the basis (kh * kw pixels), coefficients and
        bias are uniform on +-1/sqrt(fan_in), of variance 1 / (3 fan_in): an output has the variance that ``nn.Conv2d``
        gives it. Factorized: the spatial part has variance 1 / s, the pointwise part s / (3 fan_in), both uniform.

    Raises:
        FieldTypeError: if the types are of two groups, the multiplicities cannot be split into ``channel_groups``, the
            factorization is unknown or does not fit, or no kernel maps one type to the other.
        ShapeError: if a size cannot be used, or the group does not map the kernel's window to itself.
        ExactnessError: if the group, the padding or (in ``forward``) the image size would lose equivariance.

    Example:
        >>> import torch
        >>> from equiconv.groups import HueShift, P4M
        >>> group = HueShift(3) * P4M()
        >>> lift = GroupConv2d(group.image, 4 * group.regular, 3, padding=1)
        >>> lift(torch.zeros(2, 3, 9, 9)).shape
        torch.Size([2, 4, 24, 9, 9])

    Source:
        Cohen and Welling, Group Equivariant Convolutional Networks (ICML 2016), equations 10 and 11; Lengyel and van
        Gemert, Exploiting Learned Symmetries in Group Equivariant Convolutions (ICIP 2021), equations 5 and 6.
    """

    directions: Tensor

    def __init__(
        self,
        in_type: FieldType | Representation,
        out_type: FieldType | Representation,
        kernel_size: Size,
        *,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        padding_mode: str = "zeros",
        bias: bool = True,
        channel_groups: int = 1,
        factorization: str | None = None,
        basis: Basis = "auto",
        exact: bool = True,
    ) -> None:
        super().__init__(in_type, out_type)
        group = self.in_type.group
        _check_types(self.in_type, self.out_type, channel_groups)
        if padding_mode not in PADDING_MODES:
            raise ShapeError(f"padding_mode is one of {', '.join(PADDING_MODES)}; got {padding_mode!r}")
        if not isinstance(bias, bool) or not isinstance(exact, bool):
            raise FieldTypeError(f"bias and exact are True or False; got {bias!r} and {exact!r}")
        if factorization not in FACTORIZATIONS:
            raise FieldTypeError(f'factorization is None, "g" or "gc"; got {factorization!r}')
        self.window = Window(group, kernel_size, stride=stride, padding=padding, dilation=dilation, exact=exact)
        self.padding_mode = padding_mode
        self.channel_groups = channel_groups
        self.factorization = factorization
        self.basis = choose_basis(basis, group, self.window.kernel)
        self.pipeline = kernel_pipeline(self.out_type.representation, self.in_type.representation, self.basis)
        self._make_parameters()
        self._make_bias(bias)
        self.reset_parameters()

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
        fan_in = self.in_type.channels // self.channel_groups * self.basis.size
        bound = 1 / math.sqrt(fan_in)
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

    def expanded_bias(self) -> Tensor | None:
        """Return the bias of every output channel, ``(o*g,)``, or None."""
        return None if self.bias is None else (self.bias @ self.directions).flatten()  # (o, t) @ (t, g)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve a tensor of ``in_type``; return a tensor of ``out_type``."""
        x = self.in_type.flatten(x)  # (b, i*f, h, w)
        self.settle(x.device)
        with full_precision(x):  # the kernel is made in the precision of the weights
            kernel, bias = self.kernel(), self.expanded_bias()
        y = self.window.convolve(x, kernel, bias, self.padding_mode, self.channel_groups)  # (b, o*g, h, w)
        return self.out_type.unflatten(y)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return (
            f"{self.in_type!r}, {self.out_type!r}, {self.window!r}, padding_mode={self.padding_mode!r}, "
            f"bias={self.has_bias}, channel_groups={self.channel_groups}, factorization={self.factorization!r}, "
            f"basis={self.basis!r}, exact={self.window.exact}"
        )


def _check_types(in_type: FieldType, out_type: FieldType, channel_groups: int) -> None:
    if in_type.group != out_type.group:
        raise FieldTypeError(
            f"in_type is of the group {in_type.group!r} and out_type of {out_type.group!r}; a convolution keeps one "
            "group: restrict(...) one of the types"
        )
    if (count := integer(channel_groups)) is None or count < 1:
        raise FieldTypeError(f"channel_groups is an integer >= 1; got {channel_groups!r}")
    if in_type.n % channel_groups or out_type.n % channel_groups:
        raise FieldTypeError(
            f"channel_groups={channel_groups} must divide the numbers of fields, {in_type.n} and {out_type.n}"
        )
