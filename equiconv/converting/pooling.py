"""Pooling whose windows lie symmetrically on images of every size."""

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

from equiconv.errors import FieldTypeError, ShapeError
from equiconv.groups import FieldType, Representation
from equiconv.layers.layer import FieldLayer, check_flags, in_format_of
from equiconv.layers.window import check_equal

__all__ = ["SymmetricMean", "SymmetricPool", "Windows"]

Pair = tuple[int, int]


class Windows(NamedTuple):
    """Say where windows lie on an image: PyTorch's arguments, each for rows and columns.

    Args:
        kernel: their size.
        stride: their steps.
        padding: pixels added on each side.
        dilation: the distance of their pixels.
        ceil_mode: have one more window where pixels are left over.
        count_padding: count the added pixels in a mean.
    """

    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    ceil_mode: bool = False
    count_padding: bool = True

    def rooms(self, plane: Pair) -> Pair:
        """Return how far the first window can move."""
        rows, columns = (
            size + 2 * padding - dilation * (kernel - 1) - 1
            for size, kernel, padding, dilation in zip(plane, self.kernel, self.padding, self.dilation, strict=True)
        )
        return rows, columns

    def fit(self, plane: Pair) -> bool:
        """Tell whether the last windows end at the border, so that they lie symmetrically."""
        return all(room % stride == 0 for room, stride in zip(self.rooms(plane), self.stride, strict=True))

    def number(self, plane: Pair) -> Pair:
        """Return the number of windows, as PyTorch counts them."""
        rows, columns = (
            self._count(room, *rest)
            for room, *rest in zip(self.rooms(plane), self.stride, plane, self.padding, strict=True)
        )
        return rows, columns

    def _count(self, room: int, stride: int, size: int, padding: int) -> int:
        count = room // stride + 1
        one_more = self.ceil_mode and room % stride and count * stride < size + padding
        return count + 1 if one_more else count


class SymmetricPool(FieldLayer):
    """Pool the fields over windows of the plane, which are moved where they would not lie symmetrically.

    Where the last window ends at the border, this is PyTorch's pooling. Else it has as many windows, window i of m on
    an axis of H pixels reaching from floor(i H / m) to ceil((i + 1) H / m): a 3x3 pooling with stride 2 and padding 1
    is itself on odd sizes, and has windows of 2x2 pixels on even ones.

    Equivariance:
        ``pool(in_type.transform(x, g)) == in_type.transform(pool(x), g)``: exact for groups that keep the pixel grid
        and every image size; other angles are approximate.

    Args:
        in_type: any field type for ``"mean"``; fields of permutation representations for ``"max"``.
        windows: where the windows lie.
        mode: ``"max"`` or ``"mean"``.
        exact: move windows and refuse settings that lose equivariance; False leaves all windows where they are.

    Raises:
        FieldTypeError: if the maximum of these fields is not equivariant, or the mode is unknown.
        ExactnessError: if the group exchanges rows and columns, and the windows are not the same for both.

    Example:
        >>> import torch
        >>> from equiconv.groups import P4
        >>> pool = SymmetricPool(4 * P4().regular, Windows((3, 3), (2, 2), (1, 1)))
        >>> pool(torch.zeros(1, 4, 4, 8, 8)).shape
        torch.Size([1, 4, 4, 4, 4])
    """

    def __init__(
        self, in_type: FieldType | Representation, windows: Windows, *, mode: str = "max", exact: bool = True
    ) -> None:
        super().__init__(in_type, in_type)
        check_flags("SymmetricPool", exact=exact)
        if mode not in ("max", "mean"):
            raise FieldTypeError(f'SymmetricPool: mode is "max" or "mean"; got {mode!r}')
        if mode == "max" and not self.in_type.representation.is_permutation:
            raise FieldTypeError(f'{self.in_type!r} mixes its entries, so maxima are not equivariant: use mode="mean"')
        for name in ("kernel", "stride", "padding", "dilation"):
            check_equal(self.in_type.group, getattr(windows, name), name, exact)
        self.windows, self.mode, self.exact = windows, mode, exact
        self.moves = exact and self.in_type.group.moves_plane

    def forward(self, x: Tensor) -> Tensor:
        """Pool a tensor of ``in_type``; return a tensor of the same type."""
        flat, windows = self.in_type.flatten(x), self.windows  # (b, n*d, h, w)
        plane = (flat.shape[-2], flat.shape[-1])
        if self.moves and not windows.fit(plane):
            pooled = pool_to(flat, windows.number(plane), self.mode)
        elif self.mode == "max":
            pooled = F.max_pool2d(flat, *windows[:-1])
        else:
            kernel, stride, padding, _, ceil_mode, count_padding = windows
            pooled = F.avg_pool2d(flat, kernel, stride, padding, ceil_mode, count_padding)
        return self.out_type.unflatten(in_format_of(pooled, flat))

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.in_type!r}, {self.windows!r}, mode={self.mode!r}, exact={self.exact}"


class SymmetricMean(FieldLayer):
    """Shrink the plane by means over windows that lie symmetrically: what stands for the stride of a convolution.

    Equivariance:
        ``mean(in_type.transform(x, g)) == in_type.transform(mean(x), g)``: exact for groups that keep the pixel grid
        and every image size; other angles are approximate.

    Args:
        in_type: any field type.
        stride: how many times smaller rows and columns get.
        edge: pixels that a convolution takes away afterwards, on both ends together.

    Shapes:
        Output: H' = ceil((H - edge) / stride) + edge.

    Raises:
        ExactnessError: if the group exchanges rows and columns, and the arguments are not the same for both.

    Example:
        >>> import torch
        >>> from equiconv.groups import P4
        >>> SymmetricMean(4 * P4().regular, (2, 2))(torch.zeros(1, 4, 4, 7, 7)).shape
        torch.Size([1, 4, 4, 4, 4])
    """

    def __init__(self, in_type: FieldType | Representation, stride: Pair, *, edge: Pair = (0, 0)) -> None:
        super().__init__(in_type, in_type)
        check_equal(self.in_type.group, stride, "stride", True)
        check_equal(self.in_type.group, edge, "edge", True)
        self.stride, self.edge = stride, edge

    def forward(self, x: Tensor) -> Tensor:
        """Shrink a tensor of ``in_type``; return a tensor of the same type."""
        flat = self.in_type.flatten(x)  # (b, n*d, h, w)
        rows, columns = (
            -((edge - size) // stride) + edge
            for size, stride, edge in zip(flat.shape[-2:], self.stride, self.edge, strict=True)
        )
        return self.out_type.unflatten(in_format_of(pool_to(flat, (rows, columns), "mean"), flat))

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.in_type!r}, {self.stride}, edge={self.edge}"


def pool_to(x: Tensor, sizes: Pair, mode: str) -> Tensor:
    """Pool ``x`` (b, c, h, w) over as many windows as the sizes say: ``(b, c, *sizes)``.

    Windows of one size, or of one size but for the borders, are slid; it is faster, and the same.
    """
    if min(sizes) < 1:
        raise ShapeError(f"maps of {x.shape[-2]}x{x.shape[-1]} pixels are smaller than one window: use larger images")
    slid = [_slid(size, count) for size, count in zip(x.shape[-2:], sizes, strict=True)]
    if None in slid:
        pool = F.adaptive_max_pool2d if mode == "max" else F.adaptive_avg_pool2d
        return pool(x, sizes)
    kernel, stride, padding = zip(*slid, strict=True)
    if mode == "max":
        return F.max_pool2d(x, kernel, stride, padding)
    return F.avg_pool2d(x, kernel, stride, padding, count_include_pad=False)


def _slid(size: int, count: int) -> tuple[int, int, int] | None:
    """Return kernel, stride and padding of the windows of adaptive pooling on an axis; None if they are irregular."""
    if size % count == 0:
        return size // count, size // count, 0
    return (3, 2, 1) if size == 2 * count - 1 else None
