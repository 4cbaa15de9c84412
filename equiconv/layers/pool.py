"""Pooling over the group and over the plane."""

from collections.abc import Iterable

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from equiconv.errors import ExactnessError, FieldTypeError
from equiconv.groups.field_type import FieldType, as_type
from equiconv.groups.group import Group
from equiconv.groups.representation import Representation
from equiconv.layers.layer import FieldLayer
from equiconv.layers.window import Size, Window

__all__ = ["GroupPool", "SpatialPool"]


class GroupPool(FieldLayer):
    """Pool every field over the group, or over the cosets of a subgroup.

    Equivariance:
        Over the whole group: ``pool(in_type.transform(x, g))`` is ``pool(x)`` with its pixels moved by g. Over a
        subgroup H: fields on the cosets gH, which move as ``group.quotient(H)``. Exact for every group.

    Args:
        in_type: fields of permutation representations for the whole group, regular fields for a subgroup.
        over: the subgroup, in any form that ``group.subgroup`` takes (a factor of the group, such as ``HueShift(3)``,
            or elements that generate it); None for the whole group.
        mode: ``"max"`` or ``"mean"``.

    Shapes:
        Input: ``(B, n, d, H, W)``. Output: ``(B, n, H, W)`` over the whole group, else ``(B, n, cosets, H, W)``.

    After pooling over a factor the other factors are left: ``pool.out_type.restrict(P4M())`` is then
    ``n * P4M().regular``, and the next layer can be one on ``P4M()``.

    Raises:
        FieldTypeError: if the fields cannot be pooled so, or the mode is unknown.
        GroupError: if ``over`` is not a subgroup.

    Example:
        >>> from equiconv.groups import HueShift, P4M
        >>> group = HueShift(3) * P4M()
        >>> GroupPool(8 * group.regular).out_type == 8 * group.trivial
        True
        >>> GroupPool(8 * group.regular, over=HueShift(3)).out_type.restrict(P4M()) == 8 * P4M().regular
        True

    Source:
        Cohen and Welling, Group Equivariant Convolutional Networks (ICML 2016), section 6.3 (coset pooling).
    """

    members: Tensor

    def __init__(
        self,
        in_type: FieldType | Representation,
        *,
        over: Group | Iterable[int] | None = None,
        mode: str = "max",
    ) -> None:
        in_type = as_type(in_type)
        if mode not in ("max", "mean"):
            raise FieldTypeError(f'GroupPool: mode is "max" or "mean"; got {mode!r}')
        group, representation = in_type.group, in_type.representation
        if over is None:
            if not representation.is_permutation:
                raise FieldTypeError(
                    f"GroupPool pools fields whose entries are permuted, such as regular or quotient; got {in_type!r}"
                )
            super().__init__(in_type, in_type.n * group.trivial)
            self.over = None
        else:
            if not representation.is_regular:
                raise FieldTypeError(f"GroupPool over a subgroup needs regular fields; got {in_type!r}")
            self.over = group.subgroup(over)
            super().__init__(in_type, in_type.n * group.quotient(self.over))
            self.add_table("members", np.array(self.over.cosets).T)  # (|H|, cosets)
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        """Pool a tensor of ``in_type``; return a tensor of ``out_type``."""
        fields = self.in_type.fields(x)  # (b, n, d, h, w)
        whole = self.over is None
        if not whole:
            self.settle(x.device)
            fields = fields[:, :, self.members]  # (b, n, |H|, cosets, h, w)
        pooled = fields.amax(2, keepdim=whole) if self.mode == "max" else fields.mean(2, keepdim=whole)
        return self.laid_out(pooled, x)

    def extra_repr(self) -> str:
        """Return the arguments."""
        over = None if self.over is None else self.over.which
        return f"{self.in_type!r}, over={over!r}, mode={self.mode!r}"


class SpatialPool(FieldLayer):
    """Pool every entry of the fields over windows of the plane.

    Equivariance:
        ``pool(in_type.transform(x, g)) == in_type.transform(pool(x), g)``: exact for groups that keep the pixel grid,
        where the windows lie symmetrically on the image; ExactnessError is raised where they do not. On even sizes
        2x2 windows with stride 2 are exact.

    Args:
        in_type: any field type for ``"mean"``; fields of permutation representations for ``"max"``.
        kernel_size: rows and columns of the window.
        stride: steps of the window in pixels; None takes ``kernel_size``.
        padding: pixels added on each side, which never win a maximum and count as zeros in a mean.
        mode: ``"max"`` or ``"mean"``.
        exact: refuse settings that lose equivariance; False lets them pass.

    Raises:
        FieldTypeError: if the maximum of these fields is not equivariant, or the mode is unknown.
        ShapeError: if a size cannot be used.
        ExactnessError: if the settings or (in ``forward``) the image size would lose equivariance.

    Example:
        >>> import torch
        >>> from equiconv.groups import P4
        >>> SpatialPool(4 * P4().regular, 2)(torch.zeros(1, 4, 4, 8, 8)).shape
        torch.Size([1, 4, 4, 4, 4])
    """

    def __init__(
        self,
        in_type: FieldType | Representation,
        kernel_size: Size,
        *,
        stride: Size | None = None,
        padding: Size = 0,
        mode: str = "max",
        exact: bool = True,
    ) -> None:
        super().__init__(in_type, in_type)
        if mode not in ("max", "mean"):
            raise FieldTypeError(f'SpatialPool: mode is "max" or "mean"; got {mode!r}')
        if mode == "max" and not self.in_type.representation.is_permutation:
            raise FieldTypeError(
                f"the maximum of each entry is equivariant only if entries are permuted; {self.in_type!r} mixes them: "
                'use mode="mean"'
            )
        steps = kernel_size if stride is None else stride
        self.mode = mode
        self.window = Window(self.in_type.group, kernel_size, stride=steps, padding=padding, dilation=1, exact=exact)
        self.window.check_pool()
        if exact and not self.in_type.group.keeps_grid:
            raise ExactnessError(
                f"{self.in_type.group!r} sends pixels between pixels, so pooling them is only approximately "
                "equivariant; pass exact=False to accept that"
            )

    def forward(self, x: Tensor) -> Tensor:
        """Pool a tensor of ``in_type``; return a tensor of the same type."""
        x = self.in_type.flatten(x)  # (b, n*d, h, w)
        self.window.check_size(x.shape[-2], x.shape[-1])
        pool = F.max_pool2d if self.mode == "max" else F.avg_pool2d
        (above, _), (left, _) = self.window.padding
        return self.out_type.unflatten(pool(x, self.window.kernel, self.window.stride, (above, left)))

    def extra_repr(self) -> str:
        """Return the arguments."""
        window = self.window
        padding = tuple(before for before, _ in window.padding)
        return (
            f"{self.in_type!r}, {window.kernel}, stride={window.stride}, padding={padding}, mode={self.mode!r}, "
            f"exact={window.exact}"
        )
