"""What follows a convolution, by the type of its fields."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from equiconv.groups import FieldType
from equiconv.layers import FieldBatchNorm, FourierActivation, GroupPool, NormPool, Pointwise


def normalization(field_type: FieldType) -> nn.Module:
    """Return batch normalization: the stock one for fields whose entries are permuted."""
    if field_type.representation.is_regular:
        return nn.BatchNorm3d(field_type.n)
    return FieldBatchNorm(field_type)


def activation(field_type: FieldType, function: Callable[[Tensor], Tensor] = F.relu) -> nn.Module:
    """Return the nonlinearity: on every entry if these are permuted, else on samples of the function on the group."""
    if field_type.representation.is_permutation:
        return Pointwise(field_type, function)
    return FourierActivation(field_type, function)


def invariants(field_type: FieldType, mode: str) -> nn.Module:
    """Return pooling over the group, ``"max"`` or ``"mean"``, to one invariant for each field.

    Of a function on a continuous group, which has its maximum between the samples, the norm stands for it.
    """
    if mode == "max" and not field_type.representation.is_permutation:
        return NormPool(field_type)
    return GroupPool(field_type, mode=mode)
