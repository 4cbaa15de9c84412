"""Pooling over the plane."""

import torch
from torch import Tensor
from torch.nn import functional as F

from equiconv.errors import ExactnessError, FieldTypeError
from equiconv.groups.field_type import FieldType
from equiconv.groups.representation import Representation
from equiconv.layers.layer import FieldLayer, check_flags, in_format_of
from equiconv.layers.window import Size, Window, check_equal, pair

__all__ = ["AdaptivePool", "SpatialPool"]

MODES = ("max", "mean", "norm")


class SpatialPool(FieldLayer):
    """Pool the fields over windows of the plane.

    Equivariance:
        Exact on the pixel grid: ``pool(in_type.transform(x, g)) == in_type.transform(pool(x), g)`` where the windows
        lie symmetrically on the image; ExactnessError is raised where they do not. On even sizes 2x2 windows with
        stride 2 are exact. A longest vector has to be the only one of its length in the window. Groups with other
        angles are refused.

    Args:
        in_type: any field type for ``"mean"`` and ``"norm"``; fields of permutation representations for ``"max"``.
        kernel_size: rows and columns of the window.
        stride: steps of the window in pixels; None takes ``kernel_size``.
        padding: pixels added on each side, which never win a maximum and count as zeros in a mean.
        mode: ``"max"`` or ``"mean"`` of every entry, or ``"norm"``: of every field, summand by summand of the
            representation, the vector with the largest norm.
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

    Source:
        Weiler and Cesa, General E(2)-Equivariant Steerable CNNs (NeurIPS 2019), whose code pools by norm.
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
        _check_mode("SpatialPool", self.in_type, mode)
        check_flags("SpatialPool", exact=exact)
        steps, ends = kernel_size if stride is None else stride, pair(padding, "padding", 0)
        self.mode = mode
        self.window = Window(self.in_type.group, kernel_size, stride=steps, padding=ends, dilation=1, exact=exact)
        self.window.check_pool()
        _check_grid(self.in_type, exact)

    def forward(self, x: Tensor) -> Tensor:
        """Pool a tensor of ``in_type``; return a tensor of the same type."""
        x = self.in_type.flatten(x)  # (b, n*d, h, w)
        self.window.check_size(x.shape[-2], x.shape[-1])
        (above, _), (left, _) = self.window.padding
        place = (self.window.kernel, self.window.stride, (above, left))
        if self.mode == "norm":
            _, winners = F.max_pool2d(_squared_norms(x, self.in_type), *place, return_indices=True)
            return self.out_type.unflatten(_vectors_at(winners, x, self.in_type))
        pool = F.max_pool2d if self.mode == "max" else F.avg_pool2d
        return self.out_type.unflatten(pool(x, *place))

    def extra_repr(self) -> str:
        """Return the arguments."""
        window = self.window
        return (
            f"{self.in_type!r}, {window.kernel}, stride={window.stride}, padding={window.shown_padding!r}, "
            f"mode={self.mode!r}, exact={window.exact}"
        )


class AdaptivePool(FieldLayer):
    """Pool the fields over as many windows as the output shall have pixels, whatever the size of the image.

    Window i of the m on an axis of H pixels reaches from floor(i H / m) to ceil((i + 1) H / m), so that the windows
    are symmetric about the middle for every H and m.

    Equivariance:
        Exact on the pixel grid: ``pool(in_type.transform(x, g)) == in_type.transform(pool(x), g)`` on every image size.
        Groups that exchange rows and columns need as many of the one as of the other. Groups with other angles are
        refused.

    Args:
        in_type: any field type for ``"mean"`` and ``"norm"``; fields of permutation representations for ``"max"``.
        output_size: rows and columns of the output.
        mode: ``"max"``, ``"mean"`` or ``"norm"``, as in ``SpatialPool``.
        exact: refuse settings that lose equivariance; False lets them pass.

    Raises:
        FieldTypeError: if the maximum of these fields is not equivariant, or the mode is unknown.
        ShapeError: if the size cannot be used.
        ExactnessError: if the settings would lose equivariance.

    Example:
        >>> import torch
        >>> from equiconv.groups import P4
        >>> AdaptivePool(4 * P4().vector, 3, mode="norm")(torch.zeros(1, 4, 2, 8, 9)).shape
        torch.Size([1, 4, 2, 3, 3])
    """

    def __init__(
        self, in_type: FieldType | Representation, output_size: Size, *, mode: str = "mean", exact: bool = True
    ) -> None:
        super().__init__(in_type, in_type)
        _check_mode("AdaptivePool", self.in_type, mode)
        self.output_size, self.mode, self.exact = pair(output_size, "output_size", 1), mode, exact
        check_equal(self.in_type.group, self.output_size, "output_size", exact)
        _check_grid(self.in_type, exact)

    def forward(self, x: Tensor) -> Tensor:
        """Pool a tensor of ``in_type``; return a tensor of the same type."""
        x = self.in_type.flatten(x)  # (b, n*d, h, w)
        if self.mode == "norm":
            _, winners = F.adaptive_max_pool2d(_squared_norms(x, self.in_type), self.output_size, return_indices=True)
            return self.out_type.unflatten(_vectors_at(winners, x, self.in_type))
        pool = F.adaptive_max_pool2d if self.mode == "max" else F.adaptive_avg_pool2d
        return self.out_type.unflatten(in_format_of(pool(x, self.output_size), x))

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.in_type!r}, {self.output_size}, mode={self.mode!r}, exact={self.exact}"


def _check_mode(layer: str, in_type: FieldType, mode: str) -> None:
    if mode not in MODES:
        raise FieldTypeError(f'{layer}: mode is "max" or "mean", or "norm"; got {mode!r}')
    if mode == "max" and not in_type.representation.is_permutation:
        raise FieldTypeError(
            f"the maximum of each entry is equivariant only if entries are permuted; {in_type!r} mixes them: "
            'use mode="mean" or mode="norm"'
        )


def _check_grid(in_type: FieldType, exact: bool) -> None:
    if exact and not in_type.group.keeps_grid:
        raise ExactnessError(
            f"{in_type.group!r} sends pixels between pixels, so pooling them is only approximately equivariant; take "
            "BlurPool, or pass exact=False to accept that"
        )


def _squared_norms(x: Tensor, in_type: FieldType) -> Tensor:
    """Return the squared norm of each summand of the fields ``x`` (b, n*d, h, w), ``(b, n*summands, h, w)``."""
    fields = x.detach().unflatten(1, (in_type.n, in_type.fiber))  # (b, n, d, h, w)
    full = fields if x.dtype == torch.float64 else fields.float()  # short floats would often be equal
    parts = [part.square().sum(2) for part in full.split(in_type.representation.sizes, 2)]
    return torch.stack(parts, 2).flatten(1, 2)  # (b, n*summands, h, w)


def _vectors_at(winners: Tensor, x: Tensor, in_type: FieldType) -> Tensor:
    """Return the vectors of ``x`` (b, n*d, h, w) at the pixels (b, n*summands, h', w'), ``(b, n*d, h', w')``."""
    sizes, height, width = in_type.representation.sizes, *winners.shape[-2:]
    chosen = winners.unflatten(1, (in_type.n, len(sizes))).flatten(3).split(1, 2)  # summands of (b, n, 1, h'*w')
    index = torch.cat([part.expand(-1, -1, d, -1) for part, d in zip(chosen, sizes, strict=True)], 2).flatten(1, 2)
    return in_format_of(x.flatten(2).gather(2, index).unflatten(2, (height, width)), x)
