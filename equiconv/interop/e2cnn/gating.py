"""The gated nonlinearities of e2cnn as ours."""

from typing import Any

import numpy as np
from torch import Tensor, nn

from equiconv.errors import EquiconvError
from equiconv.groups.laws import Ints
from equiconv.interop.e2cnn.fields import Fields
from equiconv.interop.e2cnn.layers import Both, Gates


def gated(module: Any) -> nn.Module:
    """Convert a ``GatedNonLinearity1`` or ``InducedGatedNonLinearity1``."""
    gates = _channels(module.gates_indices, module._contiguous["gate"])
    parts = getattr(module, "quotient_size", 1)
    rows = []
    next_gate = 0
    for key in module._order:
        source = _channels(getattr(module, f"input_indices_{key}"), module._contiguous[key])
        target = _channels(getattr(module, f"output_indices_{key}"), module._contiguous[key])
        rows.append(_rows(source, target, gates.reshape(-1, parts)[next_gate:], module._nfields[key], next_gate))
        next_gate += module._nfields[key]
    if not module.drop_gates:
        rows.append(np.stack([gates, np.full_like(gates, -1), gates, np.arange(len(gates)) // parts], 1))
    return _layer(np.concatenate(rows), Fields(module.in_type), Fields(module.out_type), module.bias)


def gated_apart(module: Any) -> nn.Module:
    """Convert a ``GatedNonLinearity2``, whose gates are a tensor of their own."""
    count = len(module.in_type[0])
    joint = Fields(module.in_type[0] + module.in_type[1])
    rows = []
    next_gate = 0
    for key in module._order:
        own = _channels(getattr(module, f"indices_{key}"), module._contiguous[key])
        gates = np.arange(next_gate, count)[:, None]
        rows.append(_rows(own + count, own, gates, module._nfields[key], next_gate))
        next_gate += module._nfields[key]
    layer = _layer(np.concatenate(rows), joint, Fields(module.out_type), module.bias)
    first, second = (Fields(part).leaving() for part in module.in_type)
    return Both(first, second, nn.Sequential(joint.entering(), layer))


def _channels(indices: Tensor, contiguous: bool) -> Ints:
    """Return the channels that a buffer of e2cnn means: from the first to before the last, or each of them."""
    values = indices.cpu().numpy()
    return np.arange(*values) if contiguous else values


def _rows(source: Ints, target: Ints, gates: Ints, count: int, first: int) -> Ints:
    """Return (output channel, its source, its gate, the gate's number) for fields of one size, ``(channels, 4)``.

    Args:
        source: channels of the input, field after field.
        target: channels of the output.
        gates: the channels that gate the parts of each field, ``(fields or more, parts)``.
        count: how many fields there are.
        first: the number of their first gate.
    """
    size = len(source) // count
    by_entry = np.repeat(gates[:count], size // gates.shape[1], axis=1)  # (fields, entries)
    numbers = np.repeat(np.arange(first, first + count), size)
    return np.stack([target, source, by_entry.ravel(), numbers], 1)


def _layer(rows: Ints, fields: Fields, out: Fields, bias: Tensor) -> Gates:
    """Return the layer in our order of channels."""
    by_target = rows[np.argsort(rows[:, 0])]
    theirs = abs(out.matrix.toarray())  # (ours, e2cnn's)
    gate, owner = by_target[theirs.argmax(1), 2], by_target[theirs.argmax(1), 3]
    if not all((by_target[row > 1e-6, 2] == g).all() for row, g in zip(theirs, gate, strict=True)):
        raise EquiconvError("a gate of e2cnn acts on a part of a field that equiconv's basis mixes with others")
    field_of = np.repeat(np.arange(len(fields.sizes)), fields.sizes)  # of e2cnn's channels of the input
    starts = np.cumsum([0, *out.sizes[:-1]])
    places = {place: channel for channel, place in enumerate(fields.entries)}
    sources = [by_target[starts[field], 1] for field, _ in out.entries]
    source = [
        -1 if channel < 0 else places[int(field_of[channel]), entry]
        for channel, (_, entry) in zip(sources, out.entries, strict=True)
    ]
    ours = abs(fields.matrix.toarray()).argmax(0)  # our channel of each gate
    layer = Gates(fields.type, out.type, np.array(source), gate=ours[gate], owner=owner, biases=bias.numel())
    layer.bias = nn.Parameter(bias.detach().clone().flatten())
    return layer
