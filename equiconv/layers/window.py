"""The geometry of a sliding window, and when it is symmetric enough for a group."""

from torch import Tensor
from torch.nn import functional as F

from equiconv.errors import ExactnessError, ShapeError
from equiconv.groups.group import Group
from equiconv.groups.values import integer
from equiconv.layers.layer import in_format_of

Size = int | tuple[int, int]

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def pair(value: Size, name: str, least: int) -> tuple[int, int]:
    """Return ``(rows, columns)``, or raise ShapeError unless the value is one or two integers >= ``least``."""
    parts = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    whole = [size for part in parts if (size := integer(part)) is not None and size >= least]
    if len(parts) != 2 or len(whole) != 2:
        raise ShapeError(f"{name} is an integer >= {least}, or two of them (rows, columns); got {value!r}")
    return whole[0], whole[1]


def reversed_axes(group: Group) -> tuple[bool, bool]:
    """Tell of (rows, columns) whether an element reverses them."""
    back = group.plane * [[1, -1], [-1, 1]] < -1e-9  # (order, 2, 2): of (x, y); rows run down, y up
    return bool(back[:, 1].any()), bool(back[:, 0].any())


def exchanges_axes(group: Group) -> bool:
    """Tell whether an element brings rows to columns, in whole or in part."""
    return bool((abs(group.plane[:, 0, 1]) > 1e-9).any())


def check_equal(group: Group, sizes: object, name: str, exact: bool) -> None:
    """Raise ExactnessError if the group exchanges the axes, and the pair ``sizes`` is not the same for both."""
    if exact and exchanges_axes(group) and isinstance(sizes, tuple) and sizes[0] != sizes[1]:
        raise ExactnessError(
            f"{group!r} exchanges rows and columns, so {name} must be the same for both; got {sizes}; "
            "or pass exact=False"
        )


class Window:
    """Place a window of ``kernel`` rows and columns on an image, with stride, padding and dilation.

    A group that reverses an axis needs the window positions to be symmetric about the middle of that axis. That holds
    if the padding is the same on both ends and the last position ends at the border:
    ``(size + 2 padding - dilation (kernel - 1) - 1) % stride == 0``. A group that exchanges the axes needs all settings
    to be the same for both.

    Args:
        group: the group whose symmetry is to be kept.
        kernel, stride, padding, dilation: integers, or pairs (rows, columns); padding also ``"same"``.
        exact: raise ExactnessError where symmetry would be lost; False lets it pass.
    """

    def __init__(
        self, group: Group, kernel: Size, *, stride: Size, padding: Size | str, dilation: Size, exact: bool
    ) -> None:
        self.kernel = pair(kernel, "kernel_size", 1)
        self.stride = pair(stride, "stride", 1)
        self.dilation = pair(dilation, "dilation", 1)
        self.padding = self._ends(padding)
        self.exact = exact
        self.reverses, self.exchanges = reversed_axes(group), exchanges_axes(group)
        self._check_symmetry(group)

    def _ends(self, padding: Size | str) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return the pixels added (above, below), (left, right)."""
        if isinstance(padding, str):
            if padding != "same":
                raise ShapeError(f'padding is an integer, a pair, or "same"; got {padding!r}')
            if self.stride != (1, 1):
                raise ShapeError(f'padding="same" needs stride 1; got stride {self.stride}')
            rows, columns = (d * (k - 1) for d, k in zip(self.dilation, self.kernel, strict=True))
            return (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)
        rows, columns = pair(padding, "padding", 0)
        return (rows, rows), (columns, columns)

    def _check_symmetry(self, group: Group) -> None:
        for ends, reverses in zip(self.padding, self.reverses, strict=True):
            if self.exact and reverses and ends[0] != ends[1]:
                raise ExactnessError(
                    f'padding="same" with the even kernel {self.kernel} pads one end more than the other, and '
                    f"{group!r} reverses that axis; use an odd kernel, a number for padding, or exact=False"
                )
        for name in ("stride", "padding", "dilation"):
            check_equal(group, getattr(self, name), name, self.exact)

    def check_pool(self) -> None:
        """Raise unless the group maps the window to itself, and the padding is at most half of it."""
        if self.exact and self.exchanges and self.kernel[0] != self.kernel[1]:
            raise ExactnessError(f"the group exchanges rows and columns: pool square windows; got {self.kernel}")
        if any(2 * ends[0] > kernel for ends, kernel in zip(self.padding, self.kernel, strict=True)):
            raise ShapeError(f"pooling pads at most half of the window {self.kernel}; got padding {self.padding}")

    def check_size(self, height: int, width: int) -> None:
        """Raise unless the window positions on an image of this size are symmetric."""
        left_over = []
        for size, kernel, stride, dilation, ends in zip(
            (height, width), self.kernel, self.stride, self.dilation, self.padding, strict=True
        ):
            room = size + sum(ends) - dilation * (kernel - 1) - 1
            if room < 0:
                raise ShapeError(
                    f"a {height}x{width} image is smaller than the window: kernel {self.kernel}, dilation "
                    f"{self.dilation}, padding {self.padding}; use a smaller kernel or more padding"
                )
            left_over.append(room % stride)
        if self.exact and any(reverses and rest for rest, reverses in zip(left_over, self.reverses, strict=True)):
            raise ExactnessError(
                f"a {height}x{width} image leaves {left_over[0]} rows and {left_over[1]} columns over beyond the last "
                f"window (kernel {self.kernel}, stride {self.stride}, padding {self.padding}, dilation "
                f"{self.dilation}): the windows of a turned or mirrored image lie elsewhere, and equivariance is lost. "
                "Use sizes with (size + 2 padding - dilation (kernel - 1) - 1) % stride == 0, such as odd sizes for "
                "kernel 3, padding 1, stride 2, or even sizes for kernel 2, or kernel 4 with padding 1; or exact=False"
            )

    def convolve(self, x: Tensor, kernel: Tensor, bias: Tensor | None, mode: str, channel_groups: int) -> Tensor:
        """Convolve ``x`` (B, C, H, W) at the positions of the window; ``mode`` is one of ``PADDING_MODES``."""
        self.check_size(x.shape[-2], x.shape[-1])
        (above, below), (left, right) = self.padding
        padding = (above, left)
        if mode != "zeros" or above != below or left != right:
            x, padding = self._pad(x, mode), (0, 0)
        return F.conv2d(x, kernel, bias, self.stride, padding, self.dilation, channel_groups)

    def spread(
        self, x: Tensor, kernel: Tensor, bias: Tensor | None, output_padding: tuple[int, int], channel_groups: int
    ) -> Tensor:
        """Add the kernel (C_in, C_out, kh, kw) at the positions of the window, times ``x`` (B, C_in, H, W) there."""
        height, width = (
            stride * (size - 1) + dilation * (kernel - 1) + 1 + more - sum(ends)
            for size, kernel, stride, dilation, ends, more in zip(
                x.shape[-2:], self.kernel, self.stride, self.dilation, self.padding, output_padding, strict=True
            )
        )
        if height < 1 or width < 1:
            raise ShapeError(
                f"nothing is left of the transposed convolution of a {x.shape[-2]}x{x.shape[-1]} image: kernel "
                f"{self.kernel}, stride {self.stride}, padding {self.padding}; use less padding"
            )
        padding = (self.padding[0][0], self.padding[1][0])
        return F.conv_transpose2d(x, kernel, bias, self.stride, padding, output_padding, channel_groups, self.dilation)

    def _pad(self, x: Tensor, mode: str) -> Tensor:
        (above, below), (left, right) = self.padding
        height, width = x.shape[-2:]
        limit = {"reflect": -1, "circular": 0}.get(mode)
        if limit is not None and (max(above, below) > height + limit or max(left, right) > width + limit):
            raise ShapeError(
                f'padding_mode="{mode}" cannot add {self.padding} pixels to a {height}x{width} image; use less padding'
            )
        padded = F.pad(x, (left, right, above, below), mode="constant" if mode == "zeros" else mode)
        return in_format_of(padded, x)

    @property
    def shown_padding(self) -> tuple[int, int] | str:
        """The padding as an argument that gives it."""
        (above, below), (left, right) = self.padding
        return (above, left) if (above, left) == (below, right) else "same"

    def __repr__(self) -> str:
        return f"{self.kernel}, stride={self.stride}, padding={self.shown_padding!r}, dilation={self.dilation}"
