"""The batch norms of e2cnn as ours."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from equiconv.errors import EquiconvError
from equiconv.groups import FieldType
from equiconv.groups.laws import Floats
from equiconv.interop.e2cnn.fields import Fields
from equiconv.interop.e2cnn.kinds import Kind, part_size
from equiconv.interop.e2cnn.names import e2cnn_name
from equiconv.layers import FieldBatchNorm


def inner(module: Any) -> nn.Module:
    """Convert an ``InnerBatchNorm``: PyTorch's own for fields of one kind, else one statistic for each field."""
    fields = Fields(module.in_type)
    if len(fields.unit) == 1:
        return _stock(module, fields)
    if any(len(kind.whole.fixed) != 1 for kind in fields.unit) or not module.track_running_stats:
        raise EquiconvError(
            "InnerBatchNorm on fields of several kinds has an equal only if their entries are sent to one another, and "
            "with track_running_stats=True"
        )
    first = next(norm for norm in module.children() if isinstance(norm, nn.BatchNorm3d))
    norm = _field_norm(fields.whole, first.eps, first.momentum, module.affine)
    order = fields.by_size()
    for name in ("weight", "bias", "running_mean", "running_var"):
        parts = [getattr(getattr(module, f"batch_norm_[{size}]"), name) for size in sorted(set(fields.sizes))]
        if parts[0] is not None:
            _fill(getattr(norm, name), fields, order, torch.cat(parts))
    return norm


def _stock(module: Any, fields: Fields) -> nn.Module:
    """Return PyTorch's batch norm, with the parameters of e2cnn's only one."""
    (theirs,) = (child for child in module.children() if isinstance(child, nn.BatchNorm3d))
    make = nn.BatchNorm2d if fields.type.flat else nn.BatchNorm3d
    norm = make(
        fields.n,
        eps=theirs.eps,
        momentum=theirs.momentum,
        affine=theirs.affine,
        track_running_stats=theirs.track_running_stats,
    )
    norm.load_state_dict(theirs.state_dict())
    return norm


def by_norm(module: Any) -> nn.Module:
    """Convert a ``NormBatchNorm`` or ``InducedNormBatchNorm``: the mean square of a field, and no mean."""
    fields = Fields(module.in_type)
    norm = _field_norm(fields.whole, module.eps, module.momentum, module.affine)
    induced = e2cnn_name(module) == "InducedNormBatchNorm"
    labels = [(r.size, part_size(r)) if induced else r.size for r in module.in_type.representations]
    order = [i for key in module._order for i, label in enumerate(labels) if label == key]
    for name, ours in (("running_var", norm.running_var), ("weight", norm.weight)):
        if ours is not None:
            parts = [getattr(module, f"{key}_{name}").flatten() for key in module._order]
            _fill(ours, fields, order, torch.cat(parts))
    return norm


def by_irrep(module: Any) -> nn.Module:
    """Convert a ``GNormBatchNorm``: a mean square for each irrep."""
    fields = Fields(module.in_type)
    norm = _field_norm(fields.type, module.eps, module.momentum, module.affine)
    theirs = module.in_type.representations
    names = [representation.name for representation in theirs]
    rows = [names[:i].count(name) for i, name in enumerate(names)]  # e2cnn counts the fields of each name
    pairs = {"running_var": norm.running_var, "weight": norm.weight}
    means = {"running_mean": norm.running_mean, "bias": norm.bias}
    with torch.no_grad():
        for row, places in enumerate(fields.places):
            column = fixed = 0
            for kind, field in zip(fields.unit, places, strict=True):
                for number, trivial, sign in _irreps(kind, theirs[field]):
                    _copy(pairs, module, names[field], (rows[field], number), (row, column), 1.0)
                    if trivial is not None:
                        _copy(means, module, names[field], (rows[field], trivial), (row, fixed), sign)
                        fixed += 1
                    column += 1
    return norm


def _irreps(kind: Kind, theirs: Any) -> list[tuple[int, int | None, float]]:
    """Return, for each summand of ours, the number of e2cnn's irrep; which trivial one it is, and with what sign."""
    ends = np.cumsum([theirs.group.irreps[name].size for name in theirs.irreps])
    columns = np.split(kind.change @ theirs.change_of_basis, ends[:-1], axis=1)
    trivial = [i for i, name in enumerate(theirs.irreps) if theirs.group.irreps[name].is_trivial()]
    found = []
    for part in np.split(np.arange(theirs.size), np.cumsum(kind.representation.sizes)[:-1]):
        own = [i for i, column in enumerate(columns) if np.allclose(np.delete(column, part, 0), 0, atol=1e-5)]
        if len(own) != 1 or columns[own[0]].shape[1] != len(part):
            raise EquiconvError(
                f"GNormBatchNorm scales the irreps of {theirs.name} apart, which FieldBatchNorm does for sums of "
                "irreps only"
            )
        sign = float(np.sign(columns[own[0]][part[0], 0]))
        found.append((own[0], trivial.index(own[0]) if own[0] in trivial else None, sign))
    return found


def _copy(
    ours: dict[str, Tensor | None],
    module: Any,
    name: str,
    source: tuple[int, int],
    target: tuple[int, int],
    sign: float,
) -> None:
    """Copy one number of each of e2cnn's tensors of fields of this name."""
    for what, tensor in ours.items():
        if tensor is not None:
            tensor[target] = sign * getattr(module, f"{name}_{what}")[source]


def _field_norm(in_type: FieldType, eps: float, momentum: float | None, affine: bool) -> FieldBatchNorm:
    if momentum is None:
        raise EquiconvError("momentum=None, the mean of all batches, has no equal in FieldBatchNorm; pass a number")
    return FieldBatchNorm(in_type, eps=eps, momentum=momentum, affine=affine)


def _fill(ours: Tensor, fields: Fields, order: list[int], values: Tensor) -> None:
    """Copy values that come in e2cnn's order of fields to a parameter ``(n, summands)``."""
    by_field: Floats = np.empty(len(order))
    by_field[order] = values.detach().double().cpu().numpy()
    with torch.no_grad():
        ours.copy_(torch.from_numpy(fields.ordered(by_field)))
