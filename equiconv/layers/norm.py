"""Normalization that keeps equivariance."""

import torch
from torch import Tensor, nn

from equiconv.errors import FieldTypeError
from equiconv.groups.field_type import FieldType
from equiconv.groups.representation import Representation
from equiconv.groups.values import is_number
from equiconv.layers.layer import FieldLayer, full_precision

__all__ = ["FieldBatchNorm"]


class FieldBatchNorm(FieldLayer):
    """Normalize the fields over the batch and the plane, whatever their representation.

    From every summand of the representation the mean of its invariant part is subtracted, and the rest divided by the
    root of its mean square per entry: one variance for each field and summand, so that a field is scaled as a whole.
    For regular fields this is ``nn.BatchNorm3d``, for invariant ones ``nn.BatchNorm2d``, which are exact there and
    faster; this layer serves all types.

    Equivariance:
        ``norm(in_type.transform(x, g)) == in_type.transform(norm(x), g)``: exact for every group and type, in training
        (all samples moved by the same g) and in evaluation.

    Args:
        in_type: any field type.
        eps: added to the variance, above 0 and at most 1.
        momentum: the weight of the newest batch in the running statistics, within [0, 1].
        affine: learn a scale for each field and summand, and a shift along each of its invariant directions.

    Raises:
        FieldTypeError: if eps or momentum are out of range.
        ShapeError: in ``forward``, if the input is not of ``in_type``.

    Example:
        >>> import torch
        >>> from equiconv.groups import Cyclic
        >>> group = Cyclic(4)
        >>> norm = FieldBatchNorm(8 * (group.irrep(0) + group.irrep(1)))
        >>> norm(torch.randn(2, 8, 3, 5, 5)).shape
        torch.Size([2, 8, 3, 5, 5])

    Source:
        Weiler and Cesa, General E(2)-Equivariant Steerable CNNs (NeurIPS 2019), section 2.6.
    """

    directions: Tensor
    coordinates: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self,
        in_type: FieldType | Representation,
        *,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
    ) -> None:
        super().__init__(in_type, in_type)
        if not is_number(eps, 0, 1) or eps == 0 or not is_number(momentum, 0, 1):
            raise FieldTypeError(
                f"FieldBatchNorm needs 0 < eps <= 1 and momentum in [0, 1]; got {eps!r} and {momentum!r}"
            )
        self.eps, self.momentum, self.affine = eps, momentum, bool(affine)
        representation, n = self.in_type.representation, self.in_type.n
        self.sizes = representation.sizes
        directions = representation.fixed  # (t, d)
        self.add_table("directions", directions)
        self.add_table("coordinates", directions / (directions**2).sum(1, keepdims=True))  # (t, d)
        self.register_buffer("running_mean", torch.zeros(n, len(directions)))
        self.register_buffer("running_var", torch.ones(n, len(self.sizes)))
        self.weight = nn.Parameter(torch.ones(n, len(self.sizes))) if affine else None
        self.bias = nn.Parameter(torch.zeros(n, len(directions))) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """Normalize a tensor of ``in_type``; return a tensor of the same type."""
        self.settle(x.device)
        fields = self.in_type.fields(x if x.dtype == torch.float64 else x.float())  # (b, n, d, h, w)
        with full_precision(x):
            mean, var = self._statistics(fields) if self.training else (self.running_mean, self.running_var)
            scale = torch.rsqrt(var.to(fields.dtype) + self.eps)  # (n, summands)
            scale = self._spread(scale if self.weight is None else scale * self.weight)  # (n, d)
            shift = -(mean.to(fields.dtype) @ self.directions.to(fields.dtype)) * scale  # (n, d)
            if self.bias is not None:
                shift = shift + self.bias @ self.directions
            y = torch.addcmul(shift[..., None, None], fields, scale[..., None, None])
        return self.out_type.like(y).to(x.dtype)

    def _statistics(self, fields: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean coordinates (n, t) and variances (n, summands) of the batch, and update the running ones."""
        count = fields.shape[0] * fields.shape[3] * fields.shape[4]
        mean = fields.mean((0, 3, 4)) @ self.coordinates.to(fields.dtype).T  # (n, t)
        centered = fields - (mean @ self.directions.to(fields.dtype))[..., None, None]
        square = centered.square().mean((0, 3, 4))  # (n, d)
        var = torch.stack([part.mean(1) for part in square.split(self.sizes, 1)], 1)  # (n, summands)
        if count:
            size = count * var.new_tensor(self.sizes)
            with torch.no_grad():
                self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
                unbiased = var * (size / (size - 1).clamp(min=1))
                self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        return mean, var

    def _spread(self, values: Tensor) -> Tensor:
        """Return values (n, summands) for every entry, (n, d)."""
        parts = [part.expand(-1, size) for part, size in zip(values.split(1, 1), self.sizes, strict=True)]
        return torch.cat(parts, 1)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.in_type!r}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}"
