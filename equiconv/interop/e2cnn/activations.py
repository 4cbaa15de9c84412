"""The nonlinearities and dropouts of e2cnn as ours."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equiconv.errors import EquiconvError
from equiconv.groups.laws import Ints
from equiconv.interop.e2cnn.fields import Fields
from equiconv.interop.e2cnn.kinds import part_size
from equiconv.interop.e2cnn.layers import PixelDropout, squashed
from equiconv.interop.e2cnn.names import e2cnn_name
from equiconv.layers import NormActivation, Pointwise, VectorFieldActivation
from equiconv.layers.parts import Parts

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "elu": F.elu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}


def relu(module: Any) -> nn.Module:
    """Convert a ``ReLU``."""
    return Pointwise(Fields(module.in_type).type, F.relu)


def elu(module: Any) -> nn.Module:
    """Convert an ``ELU``."""
    function = F.elu if module.alpha == 1 else partial(F.elu, alpha=module.alpha)
    return Pointwise(Fields(module.in_type).type, function)


def pointwise(module: Any) -> nn.Module:
    """Convert a ``PointwiseNonLinearity``."""
    return Pointwise(Fields(module.in_type).type, FUNCTIONS[module._function.__name__])


def by_norm(module: Any) -> nn.Module:
    """Convert a ``NormNonLinearity`` or ``InducedNormNonLinearity``."""
    fields = Fields(module.in_type)
    induced = e2cnn_name(module) == "InducedNormNonLinearity"
    name = getattr(module._function, "__name__", "")
    function = FUNCTIONS.get(name, squashed)
    biased = module.log_bias is not None
    parts, kept = ("blocks", fields.type) if induced else ("summands", fields.whole)
    if induced:
        check_blocks(module.in_type, fields)
    layer = NormActivation(kept, function, parts=parts, bias=biased)
    if layer.bias is None:
        return layer
    theirs = module.in_type.representations
    sizes = [(r.size, part_size(r)) for r in theirs] if induced else fields.sizes
    bias = np.empty(len(fields.sizes))
    bias[fields.by_size(sizes)] = module.log_bias.detach().double().exp().flatten().cpu().numpy()
    values = fields.ordered(bias)  # (n, kinds)
    slots = _slots(fields, parts)
    orbits = Parts(kept.representation, parts).orbits
    with torch.no_grad():
        layer.bias[:, torch.from_numpy(orbits)] = torch.from_numpy(values[:, slots]).to(layer.bias.dtype)
    return layer


def check_blocks(theirs: Any, fields: Fields) -> None:
    """Raise unless our blocks are the parts that e2cnn takes."""
    for kind, place in zip(fields.unit, fields.places[0], strict=True):
        size = part_size(theirs.representations[place])
        blocks = kind.representation.blocks
        parts = abs(kind.change).reshape(len(kind.change), -1, size or 1).max(2) > 1e-6  # (entries, e2cnn's parts)
        if any(len(block) != size or parts[list(block)].any(0).sum() != 1 for block in blocks):
            raise EquiconvError(f"{kind.representation!r} has no blocks of {size} entries, as e2cnn takes them")


def _slots(fields: Fields, parts: str) -> Ints:
    """Return the kind, within the unit, that each part belongs to."""
    counts = [len(kind.representation.blocks) if parts == "blocks" else 1 for kind in fields.unit]
    return np.repeat(np.arange(len(counts)), counts)


def vectors(module: Any) -> nn.Module:
    """Convert a ``VectorFieldNonLinearity``."""
    layer = VectorFieldActivation(Fields(module.in_type).type)
    out = Fields(module.out_type)
    if layer.out_type != out.type or not np.allclose(out.matrix.toarray(), np.eye(out.matrix.shape[0])):
        raise EquiconvError(f"VectorFieldNonLinearity of {layer.in_type!r} does not make vectors of the plane")
    return layer


def field_dropout(module: Any) -> nn.Module:
    """Convert a ``FieldDropout``, which drops fields at single pixels."""
    return PixelDropout(Fields(module.in_type).whole, module.p)


def point_dropout(module: Any) -> nn.Module:
    """Convert a ``PointwiseDropout``."""
    return nn.Dropout(module.p)
