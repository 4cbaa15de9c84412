"""The transposed convolution."""

from torch import Tensor

from equiconv.bases import Basis
from equiconv.errors import ExactnessError, ShapeError
from equiconv.groups.field_type import FieldType
from equiconv.groups.representation import Representation
from equiconv.layers.convolution import Convolution
from equiconv.layers.window import Size, check_equal, pair

__all__ = ["GroupConvTranspose2d"]


class GroupConvTranspose2d(Convolution):
    """Enlarge fields by a transposed convolution with an equivariant kernel.

    It has the parameters of ``GroupConv2d``, and with stride 1 computes the same, with padding
    ``dilation * (kernel_size - 1) - padding`` there. With larger strides the pixels of the input are that far apart.

    Equivariance:
        Exact on the pixel grid: ``conv(in_type.transform(x, g)) == out_type.transform(conv(x), g)`` for the elements
        that send pixels to pixels, in other groups too. Other angles are poor with a stride, since neighboring outputs
        meet different pixels of the kernel: between regular fields of ``Cyclic(8)``, with stride 2, kernels of 3x3
        pixels have an error of 0.8, 5x5 an error of 0.5, and 7x7 an error of 0.3. There take ``Upsample`` and
        ``GroupConv2d``: with 5x5, an error of 0.003.

    Args:
        in_type: the field type of the input; a bare representation is one field.
        out_type: the field type of the output, on the same group.
        kernel_size: rows and columns of the kernel; even and rectangular where the group maps the window to itself.
        stride: the distance of the input's pixels in the output.
        padding: pixels cut off on each side.
        output_padding: pixels added below and on the right, fewer than stride or dilation; 0 on axes that the group
            reverses.
        dilation: distance of the kernel's pixels.
        bias: learn a bias for each invariant direction of each output field.
        channel_groups: split the fields into this many blocks that do not see each other.
        factorization: None, ``"g"`` or ``"gc"``, as in ``GroupConv2d``.
        basis: ``"pixels"``, ``"harmonics"``, a ``SpatialBasis`` or ``"auto"``, as in ``GroupConv2d``.
        exact: refuse settings that lose equivariance; False lets them pass.
        execution: how the same function is computed, as in ``GroupConv2d``.

    Shapes:
        Input: a tensor of ``in_type``, ``(B, n, d, H, W)``, or ``(B, n*d, H, W)`` if it is flat (images, invariants).
        Output: a tensor of ``out_type`` with H' = (H - 1) stride - 2 padding + dilation (kernel - 1) + output_padding
        + 1. Kernel 4, stride 2, padding 1 doubles the size.

    Initialization:
        That of ``GroupConv2d`` with fan_in = n_in / channel_groups * d_in * s / (stride rows * stride columns), the
        number of products that an output is the sum of: an output has the same variance, in the mean over the plane.

    Raises:
        FieldTypeError: as ``GroupConv2d``.
        ShapeError: if a size cannot be used, or the group does not map the kernel's window to itself.
        ExactnessError: if the settings would lose equivariance.

    Example:
        >>> import torch
        >>> from equiconv.groups import P4
        >>> up = GroupConvTranspose2d(2 * P4().regular, 3 * P4().regular, 4, stride=2, padding=1)
        >>> up(torch.zeros(1, 2, 4, 8, 8)).shape
        torch.Size([1, 3, 4, 16, 16])

    Source:
        Weiler and Cesa, General E(2)-Equivariant Steerable CNNs (NeurIPS 2019), section 2.4, for the kernel.
    """

    def __init__(
        self,
        in_type: FieldType | Representation,
        out_type: FieldType | Representation,
        kernel_size: Size,
        *,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        dilation: Size = 1,
        bias: bool = True,
        channel_groups: int = 1,
        factorization: str | None = None,
        basis: Basis = "auto",
        exact: bool = True,
        execution: str = "auto",
    ) -> None:
        super().__init__(
            in_type,
            out_type,
            kernel_size,
            stride=stride,
            padding=pair(padding, "padding", 0),
            dilation=dilation,
            bias=bias,
            channel_groups=channel_groups,
            factorization=factorization,
            basis=basis,
            exact=exact,
            execution=execution,
        )
        self.output_padding = self._checked(output_padding)

    @property
    def density(self) -> float:
        """The part of the kernel's pixels that meet a pixel of the input: one of each stride."""
        rows, columns = self.window.stride
        return 1 / (rows * columns)

    @property
    def shrinkage(self) -> float:
        """The number of pixels of the input for each pixel of the output."""
        return self.density

    def _checked(self, output_padding: Size) -> tuple[int, int]:
        """Return the pair, or raise if it is too large or loses equivariance."""
        more, window, group = pair(output_padding, "output_padding", 0), self.window, self.in_type.group
        if any(m >= max(steps) for m, *steps in zip(more, window.stride, window.dilation, strict=True)):
            raise ShapeError(
                f"output_padding is smaller than stride {window.stride} or dilation {window.dilation}; got {more}"
            )
        if window.exact and any(m and reverses for m, reverses in zip(more, window.reverses, strict=True)):
            raise ExactnessError(
                f"output_padding={more} adds pixels at one end only, and {group!r} reverses that axis; choose kernel "
                "and padding for the size you want, such as kernel 4, stride 2, padding 1, or pass exact=False"
            )
        check_equal(group, more, "output_padding", window.exact)
        return more

    def slide(self, x: Tensor, kernel: Tensor, bias: Tensor | None, channel_groups: int) -> Tensor:
        """Spread ``x`` (b, i, h, w) by a kernel ``(o, i / channel_groups, kh, kw)``; return ``(b, o, h', w')``."""
        blocks = kernel.unflatten(0, (channel_groups, -1)).transpose(1, 2)  # (groups, i / groups, o / groups, kh, kw)
        turned = blocks.flatten(0, 1).flip((-2, -1))  # from output minus input to input minus output
        return self.window.spread(x, turned, bias, self.output_padding, channel_groups)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return (
            f"{self.in_type!r}, {self.out_type!r}, {self.window!r}, output_padding={self.output_padding}, "
            f"bias={self.has_bias}, channel_groups={self.channel_groups}, factorization={self.factorization!r}, "
            f"basis={self.basis!r}, exact={self.window.exact}, execution={self.execution!r}"
        )
