"""Enlarging the plane by interpolation."""

import math

from torch import Tensor
from torch.nn import functional as F

from equiconv.errors import ExactnessError, ShapeError
from equiconv.groups.field_type import FieldType
from equiconv.groups.representation import Representation
from equiconv.groups.values import is_number
from equiconv.layers.layer import FieldLayer, check_flags, in_format_of
from equiconv.layers.window import Size, check_equal, pair, reversed_axes

__all__ = ["Upsample"]

MODES = {"bilinear": "bilinear", "bicubic": "bicubic", "nearest": "nearest-exact"}  # ours: PyTorch's
LARGEST = 1e4


class Upsample(FieldLayer):
    """Enlarge the plane by interpolation.

    The corners of the image stay the corners of the image (``align_corners=False``), and beyond the outermost pixels
    the image is continued by them.

    Equivariance:
        Exact on the pixel grid: ``up(in_type.transform(x, g)) == in_type.transform(up(x), g)`` on every size. Other
        angles are approximate: regular fields of ``Cyclic(8)``, made twice as large, have an error of 0.004.
        ``"nearest"`` is exact where no new pixel lies halfway between two old ones on an axis that the group reverses,
        as 3 new pixels on 2 old ones do; whole scales are always exact.

    Args:
        in_type: any field type.
        scale: how many times as large, a number >= 1 or two of them (rows, columns); H' = floor(scale * H).
        size: instead of ``scale``, the rows and columns of the result, not fewer than before.
        mode: ``"bilinear"``, ``"bicubic"`` or ``"nearest"``.
        exact: refuse settings that lose equivariance; False lets them pass.

    Shapes:
        Input: a tensor of ``in_type``, ``(B, n, d, H, W)``. Output: the same with H' and W'.

    Raises:
        ShapeError: unless one of scale and size is given, and enlarges; or the mode is unknown.
        ExactnessError: if the settings or (in ``forward``) the image size would lose equivariance.

    Example:
        >>> import torch
        >>> from equiconv.groups import P4
        >>> Upsample(2 * P4().regular, scale=2)(torch.zeros(1, 2, 4, 7, 7)).shape
        torch.Size([1, 2, 4, 14, 14])
    """

    def __init__(
        self,
        in_type: FieldType | Representation,
        *,
        scale: float | tuple[float, float] | None = None,
        size: Size | None = None,
        mode: str = "bilinear",
        exact: bool = True,
    ) -> None:
        super().__init__(in_type, in_type)
        group = self.in_type.group
        if (scale is None) == (size is None):
            raise ShapeError(f"Upsample takes either scale or size; got scale={scale!r} and size={size!r}")
        if mode not in MODES:
            raise ShapeError(f"Upsample: mode is one of {', '.join(MODES)}; got {mode!r}")
        self.scale = None if scale is None else _scales(scale)
        self.size = None if size is None else pair(size, "size", 1)
        check_flags("Upsample", exact=exact)
        self.mode, self.exact = mode, exact
        self.reverses = reversed_axes(group)
        check_equal(group, self.scale, "scale", exact)
        check_equal(group, self.size, "size", exact)
        if exact and mode == "nearest" and not group.keeps_grid:
            raise ExactnessError(
                f'{group!r} sends pixels between pixels, where the nearest one jumps; use mode="bilinear", or pass '
                "exact=False"
            )

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge a tensor of ``in_type``; return a tensor of the same type."""
        x = self.in_type.flatten(x)  # (b, n*d, h, w)
        size = self._enlarged(x.shape[-2], x.shape[-1])
        corners = None if self.mode == "nearest" else False
        y = F.interpolate(x, size, mode=MODES[self.mode], align_corners=corners)
        return self.out_type.unflatten(in_format_of(y, x))

    def _enlarged(self, height: int, width: int) -> tuple[int, int]:
        """Return the rows and columns of the result, or raise unless they are larger and symmetric."""
        old = (height, width)
        if self.scale is not None:
            new = tuple(
                times * n if isinstance(times, int) else math.floor(times * n + 1e-9)
                for times, n in zip(self.scale, old, strict=True)
            )
        else:
            new = self.size or old
        if new[0] < height or new[1] < width:
            raise ShapeError(
                f"Upsample enlarges; size={self.size} is smaller than the {height}x{width} image: use a larger size, "
                "or SpatialPool or BlurPool"
            )
        halfway = (
            self.exact
            and self.mode == "nearest"
            and any(reverses and _meets_halfway(n, m) for reverses, n, m in zip(self.reverses, old, new, strict=True))
        )
        if halfway:
            raise ExactnessError(
                f'mode="nearest" from {height}x{width} to {new[0]}x{new[1]} pixels: some of the new ones lie halfway '
                'between two old ones, and the group reverses that axis; use a whole scale, mode="bilinear", or '
                "exact=False"
            )
        return new[0], new[1]

    def extra_repr(self) -> str:
        """Return the arguments."""
        how = f"size={self.size}" if self.scale is None else f"scale={self.scale}"
        return f"{self.in_type!r}, {how}, mode={self.mode!r}, exact={self.exact}"


def _scales(scale: float | tuple[float, float]) -> tuple[float, float]:
    parts = tuple(scale) if isinstance(scale, (tuple, list)) else (scale, scale)
    if len(parts) != 2 or not all(is_number(part, 1, LARGEST) for part in parts):
        raise ShapeError(f"scale is a number >= 1, or two of them (rows, columns); got {scale!r}")
    rows, columns = (int(part) if part == int(part) else part for part in parts)
    return rows, columns


def _meets_halfway(old: int, new: int) -> bool:
    """Tell whether the center of one of ``new`` pixels falls on the border between two of ``old`` pixels."""
    while old % 2 == 0 and new % 2 == 0:
        old, new = old // 2, new // 2
    return old % 2 == 0  # (2 p + 1) old / (2 new) is then a whole number for some pixel p
