"""Normalization that keeps equivariance."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch import distributed as dist

from equiconv.errors import FieldTypeError
from equiconv.groups.field_type import FieldType
from equiconv.groups.representation import Representation
from equiconv.groups.values import is_number
from equiconv.layers.convolution import check_channel_groups
from equiconv.layers.layer import FieldLayer, check_flags, full_precision
from equiconv.layers.processes import BatchMean, SharedBatchMean

__all__ = ["FieldBatchNorm", "FieldGroupNorm", "synchronize_batch_norms"]


class FieldNorm(FieldLayer, ABC):
    """Subtract means along the invariant directions of the fields, and divide by a root mean square per summand."""

    directions: Tensor
    coordinates: Tensor

    def __init__(self, in_type: FieldType | Representation, eps: float, affine: bool) -> None:
        super().__init__(in_type, in_type)
        if not is_number(eps, 0, 1) or eps == 0:
            raise FieldTypeError(f"{type(self).__name__} needs 0 < eps <= 1; got {eps!r}")
        check_flags(type(self).__name__, affine=affine)
        self.eps, self.affine = eps, affine
        representation, n = self.in_type.representation, self.in_type.n
        self.sizes = representation.sizes
        directions = representation.fixed  # (t, d)
        self.add_table("directions", directions)
        self.add_table("coordinates", directions / (directions**2).sum(1, keepdims=True))  # (t, d)
        self.weight = nn.Parameter(torch.ones(n, len(self.sizes))) if affine else None
        self.bias = nn.Parameter(torch.zeros(n, len(directions))) if affine else None

    @abstractmethod
    def statistics(self, fields: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean coordinates (b or 1, n, t) and variances (b or 1, n, summands)."""

    def moments(self, fields: Tensor, mean_of: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Return the statistics of these fields (b, n, d, h, w) alone.

        Args:
            fields: the fields.
            mean_of: the mean over what has its statistics in common, ``(b or 1, n, d)``.
        """
        mean = mean_of(fields) @ self.coordinates.to(fields.dtype).T  # (b or 1, n, t)
        centered = fields - (mean @ self.directions.to(fields.dtype))[..., None, None]
        square = mean_of(centered.square())  # (b or 1, n, d)
        return mean, torch.stack([part.mean(2) for part in square.split(self.sizes, 2)], 2)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize a tensor of ``in_type``; return a tensor of the same type."""
        self.settle(x.device)
        fields = self.in_type.fields(x if x.dtype == torch.float64 else x.float())  # (b, n, d, h, w)
        with full_precision(x):
            mean, var = self.statistics(fields)
            scale = torch.rsqrt(var.to(fields.dtype) + self.eps)  # (b or 1, n, summands)
            scale = self._spread(scale if self.weight is None else scale * self.weight)  # (b or 1, n, d)
            shift = -(mean.to(fields.dtype) @ self.directions.to(fields.dtype)) * scale  # (b or 1, n, d)
            if self.bias is not None:
                shift = shift + self.bias @ self.directions
            y = torch.addcmul(shift[..., None, None], fields, scale[..., None, None])
        return self.laid_out(y, x).to(x.dtype)

    def _spread(self, values: Tensor) -> Tensor:
        """Return values (b or 1, n, summands) for every entry, (b or 1, n, d)."""
        parts = [part.expand(-1, -1, size) for part, size in zip(values.split(1, 2), self.sizes, strict=True)]
        return torch.cat(parts, 2)


class FieldBatchNorm(FieldNorm):
    """Normalize the fields over the batch and the plane, whatever their representation.

    From every summand of the representation the mean of its invariant part is subtracted, and the rest divided by the
    root of its mean square per entry: one variance for each field and summand, so that a field is scaled as a whole.
    For regular fields this is ``nn.BatchNorm3d``, for invariant ones ``nn.BatchNorm2d``, which are exact there and
    faster; this layer serves all types.

    Equivariance:
        Exact on the pixel grid: ``norm(in_type.transform(x, g)) == in_type.transform(norm(x), g)``, in training (all
        samples moved by the same g) and in evaluation. At other angles the corners that leave the image change the
        statistics: in training, regular fields of ``Cyclic(8)`` have an error of 0.12. In evaluation there is none,
        since all pixels are treated alike.

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

    running_mean: Tensor
    running_var: Tensor
    _process_group: "dist.ProcessGroup | None"

    def __init__(
        self,
        in_type: FieldType | Representation,
        *,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
    ) -> None:
        super().__init__(in_type, eps, affine)
        if not is_number(momentum, 0, 1):
            raise FieldTypeError(f"FieldBatchNorm needs momentum within [0, 1]; got {momentum!r}")
        self.momentum = momentum
        self._synchronized, self._process_group = False, None
        self.register_buffer("running_mean", torch.zeros(self.in_type.n, len(self.directions)))
        self.register_buffer("running_var", torch.ones(self.in_type.n, len(self.sizes)))

    @property
    def synchronized(self) -> bool:
        """Whether ``synchronize_batch_norms`` let the layer see the batches of all processes."""
        return self._synchronized

    def synchronize(self, process_group: "dist.ProcessGroup | None" = None) -> None:
        """Take the statistics over the batches of all processes.

        Args:
            process_group: those that share; None takes all.
        """
        self._synchronized, self._process_group = True, process_group

    def statistics(self, fields: Tensor) -> tuple[Tensor, Tensor]:
        """Return those of the batch in training, and update the running ones, which are returned in evaluation."""
        if not self.training:
            return self.running_mean[None], self.running_var[None]
        together = self._synchronized and dist.is_available() and dist.is_initialized()
        mean_of = SharedBatchMean(self._process_group) if together else BatchMean()
        mean, var = self.moments(fields, mean_of)
        self._update(mean[0], var[0], mean_of.count)
        return mean, var

    def _update(self, mean: Tensor, var: Tensor, count: Tensor | int) -> None:
        if isinstance(count, int) and not count:
            return  # an empty batch
        size = count * var.new_tensor(self.sizes)
        with torch.no_grad():
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            unbiased = var * (size / (size - 1).clamp(min=1))
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.in_type!r}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}"


class FieldGroupNorm(FieldNorm):
    """Normalize the fields of each sample over blocks of fields and the plane, whatever their representation.

    As ``FieldBatchNorm``, but for every sample alone, and with statistics that the fields of a block share: layer
    normalization with one block, instance normalization with as many blocks as fields. For regular and invariant fields
    this is ``nn.GroupNorm`` on the flat tensor, but for its scale and shift.

    Equivariance:
        Exact on the pixel grid: ``norm(in_type.transform(x, g)) == in_type.transform(norm(x), g)``, for every sample
        alone. At other angles the corners that leave the image change the statistics: regular fields of ``Cyclic(8)``
        have an error of 0.12.

    Args:
        in_type: any field type.
        channel_groups: the number of blocks; it divides the number of fields.
        eps: added to the variance, above 0 and at most 1.
        affine: learn a scale for each field and summand, and a shift along each of its invariant directions.

    Raises:
        FieldTypeError: if eps is out of range, or the fields cannot be split into so many blocks.
        ShapeError: in ``forward``, if the input is not of ``in_type``.

    Example:
        >>> import torch
        >>> from equiconv.groups import Cyclic
        >>> norm = FieldGroupNorm(8 * Cyclic(4).irrep(1), channel_groups=2)
        >>> norm(torch.randn(2, 8, 2, 5, 5)).shape
        torch.Size([2, 8, 2, 5, 5])

    Source:
        Wu and He, Group Normalization (ECCV 2018), with the statistics of Weiler and Cesa (NeurIPS 2019), section 2.6.
    """

    def __init__(
        self,
        in_type: FieldType | Representation,
        *,
        channel_groups: int = 1,
        eps: float = 1e-5,
        affine: bool = True,
    ) -> None:
        super().__init__(in_type, eps, affine)
        check_channel_groups(channel_groups, self.in_type.n)
        self.channel_groups = channel_groups

    def _mean_of(self, fields: Tensor) -> Tensor:
        """Return the mean over the plane and the fields of each block, ``(b, n, d)``."""
        blocks = fields.mean((3, 4)).unflatten(1, (self.channel_groups, -1))  # (b, blocks, n / blocks, d)
        return blocks.mean(2, keepdim=True).expand_as(blocks).flatten(1, 2)

    def statistics(self, fields: Tensor) -> tuple[Tensor, Tensor]:
        """Return those of each sample."""
        return self.moments(fields, self._mean_of)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.in_type!r}, channel_groups={self.channel_groups}, eps={self.eps}, affine={self.affine}"


def synchronize_batch_norms(module: nn.Module, process_group: "dist.ProcessGroup | None" = None) -> nn.Module:
    """Let the batch norms of a network see the batches of all processes, instead of the one of their own.

    ``FieldBatchNorm`` layers are told so in place, on every device; PyTorch's own batch norms, which regular fields
    have, are replaced by ``nn.SyncBatchNorm``, which needs a GPU in training. Call it before the network is wrapped by
    ``DistributedDataParallel``, and use what it returns. Without processes nothing changes.

    Equivariance:
        As its layers: the statistics are means over more images.

    Args:
        module: any module.
        process_group: the processes that share; None takes all.

    Returns:
        The module, or its replacement if it is itself one of PyTorch's batch norms.

    Raises:
        FieldTypeError: if it is not a module.

    Example:
        >>> from equiconv.groups import Cyclic
        >>> from equiconv.layers import FieldBatchNorm, synchronize_batch_norms
        >>> norm = FieldBatchNorm(4 * Cyclic(4).irrep(1))
        >>> synchronize_batch_norms(norm).synchronized
        True
    """
    if not isinstance(module, nn.Module):
        raise FieldTypeError(f"synchronize_batch_norms takes a module, such as a network; got {module!r}")
    for part in module.modules():
        if isinstance(part, FieldBatchNorm):
            part.synchronize(process_group)
    return nn.SyncBatchNorm.convert_sync_batchnorm(module, process_group)
