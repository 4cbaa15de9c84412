"""The one convolution."""

from torch import Tensor

from equiconv.bases import Basis
from equiconv.errors import ShapeError
from equiconv.groups.field_type import FieldType
from equiconv.groups.representation import Representation
from equiconv.layers.convolution import Convolution
from equiconv.layers.window import PADDING_MODES, Size

__all__ = ["GroupConv2d"]


class GroupConv2d(Convolution):
    """Convolve fields so that the output moves as the input does.

    The two field types say what it is: from an image it lifts to the group, between regular fields it is a group
    convolution, between other fields a steerable convolution.

    Equivariance:
        Exact on the pixel grid: ``conv(in_type.transform(x, g)) == out_type.transform(conv(x), g)`` for the elements
        that send pixels to pixels, in other groups too. Other angles are approximate, since an image is only known on
        its pixels: between regular fields of ``Cyclic(8)``, kernels of 5x5 pixels have an error of 0.006. Strides that
        do not fit the image symmetrically raise ExactnessError. For a group that shifts colors along a color model, the
        layer that takes images moves these instead of its kernel, exactly where the shift is.

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
        basis: what the kernel is made of: ``"pixels"``, ``"harmonics"``, ``"e2cnn"``, the harmonics of
            ``Harmonics.e2cnn``; or ``"auto"``: pixels if the group keeps the pixel grid, else harmonics; or a
            ``SpatialBasis``, or what makes one of a kernel size, such as ``Derivatives``.
        exact: refuse settings that lose equivariance; False lets them pass.
        execution: how the same function is computed; it may also be set later. ``"dense"``: one ordinary convolution.
            ``"fourier"``: one for each irrep of the factors that move colors only, or of the group if kernels are 1x1,
            between regular fields; 4 of 9 multiplications for ``HueShift(3)``. ``"steered"``: the functions of the
            basis first, then 1x1 convolutions for each irrep, between regular fields; 12 of 64 multiplications for
            ``P4M()``. ``"separable"``: a factorized kernel part by part. ``"auto"``: whichever is expected to be the
            fastest for the input at hand; ``plan_for`` tells which.

    Shapes:
        Input: a tensor of ``in_type``, ``(B, n, d, H, W)``, or ``(B, n*d, H, W)`` if it is flat (images, invariants).
        Output: a tensor of ``out_type`` with H' = (H + 2 padding - dilation (kernel - 1) - 1) // stride + 1.

    Initialization:
        With fan_in = n_in / channel_groups * d_in * s, s being the size of the basis (kh * kw pixels), coefficients and
        bias are uniform on +-1/sqrt(fan_in), of variance 1 / (3 fan_in): an output has the variance that ``nn.Conv2d``
        gives it. Factorized: the spatial part has variance 1 / s, the pointwise part s / (3 fan_in), both uniform.

    Raises:
        FieldTypeError: if the types are of two groups, the multiplicities cannot be split into ``channel_groups``, the
            factorization or execution is unknown or does not fit, or no kernel maps one type to the other.
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

    density = 1.0

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
        execution: str = "auto",
    ) -> None:
        if padding_mode not in PADDING_MODES:
            raise ShapeError(f"padding_mode is one of {', '.join(PADDING_MODES)}; got {padding_mode!r}")
        super().__init__(
            in_type,
            out_type,
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            bias=bias,
            channel_groups=channel_groups,
            factorization=factorization,
            basis=basis,
            exact=exact,
            execution=execution,
        )
        self.padding_mode = padding_mode

    @property
    def shrinkage(self) -> float:
        """The number of pixels of the input for each pixel of the output."""
        rows, columns = self.window.stride
        return rows * columns

    def slide(self, x: Tensor, kernel: Tensor, bias: Tensor | None, channel_groups: int) -> Tensor:
        """Slide a kernel ``(o, i / channel_groups, kh, kw)`` over ``x`` (b, i, h, w); return ``(b, o, h', w')``."""
        return self.window.convolve(x, kernel, bias, self.padding_mode, channel_groups)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return (
            f"{self.in_type!r}, {self.out_type!r}, {self.window!r}, padding_mode={self.padding_mode!r}, "
            f"bias={self.has_bias}, channel_groups={self.channel_groups}, factorization={self.factorization!r}, "
            f"basis={self.basis!r}, exact={self.window.exact}, execution={self.execution!r}"
        )
