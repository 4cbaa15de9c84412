"""Modules of e2cnn beside what they become: drawn, run, compared."""

import warnings

import pytest
import torch

from equiconv.interop.e2cnn import fields_from_e2cnn, fields_to_e2cnn, from_e2cnn, repair

repair()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    group = pytest.importorskip("e2cnn.group", reason="e2cnn is not installed")
    from e2cnn import gspaces
    from e2cnn import nn as enn

SPACES = {
    "C4": gspaces.Rot2dOnR2(4),
    "C8": gspaces.Rot2dOnR2(8),
    "D3": gspaces.FlipRot2dOnR2(3),
    "D4": gspaces.FlipRot2dOnR2(4),
    "O2": gspaces.FlipRot2dOnR2(-1, maximum_frequency=3),
    "SO2": gspaces.Rot2dOnR2(-1, maximum_frequency=3),
    "mirror": gspaces.Flip2dOnR2(),
    "trivial": gspaces.TrivialOnR2(),
}
IMAGES = enn.FieldType(SPACES["C4"], [SPACES["C4"].trivial_repr])
FIELDS = enn.FieldType(SPACES["C4"], [SPACES["C4"].regular_repr] * 2)
MIXED = enn.FieldType(SPACES["C4"], [SPACES["C4"].irrep(1), SPACES["C4"].trivial_repr, SPACES["C4"].regular_repr])


def part(space, subgroup, *irrep):
    """Return the representation that an irrep of a subgroup induces."""
    return space.induced_repr(subgroup, space.fibergroup.subgroup(subgroup)[0].irrep(*irrep))


def types():
    """Return mixtures of representations, by name."""
    c8, d4, so2, o2 = (SPACES[name] for name in ("C8", "D4", "SO2", "O2"))
    rotations = (None, -1)
    pair = group.directsum([so2.irrep(1), so2.irrep(2)], name="irrep_1 and irrep_2")
    lists = {
        "regular": (c8, [c8.regular_repr] * 3),
        "mixed": (c8, [c8.regular_repr, c8.trivial_repr, c8.quotient_repr(2), c8.regular_repr, c8.trivial_repr]),
        "quotients": (d4, [d4.quotient_repr(i) for i in ((0, 2), (None, 4), (1, 1))] + [d4.regular_repr]),
        "irreps": (so2, [so2.irrep(1), so2.irrep(2), so2.irrep(1), so2.irrep(3)]),
        "sums": (so2, [pair] * 2 + [so2.irrep(1)] * 2),
        "O2": (o2, [o2.irrep(1, 1), o2.irrep(1, 0), o2.irrep(1, 2)] * 2),
        "induced": (o2, [part(o2, rotations, 1), part(o2, rotations, 2), part(o2, rotations, 1)]),
        "signs": (d4, [part(d4, (1, 1), 1)] * 2 + [part(d4, (None, 4), 1)]),
    }
    return {name: enn.FieldType(*value) for name, value in lists.items()}


TYPES = types()


def drawn(module, seed=0):
    """Give the norms of a module scales, shifts and statistics that are not those of fresh ones."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = 0.3 * torch.randn(parameter.shape, generator=generator)
            if parameter.requires_grad and not name.endswith("weights") and parameter.squeeze().dim() < 2:
                parameter.copy_(1 + noise if "weight" in name else noise)
        for name, buffer in module.named_buffers():
            if "running_var" in name:
                buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
            if "running_mean" in name:
                buffer.copy_(torch.randn(buffer.shape, generator=generator))
    module.train()
    return module.eval()  # now e2cnn expands its kernels


def inputs(module, size=9, seed=1):
    """Return tensors of e2cnn for a module, with their types."""
    kinds = module.in_type if isinstance(module.in_type, tuple) else (module.in_type,)
    generator = torch.Generator().manual_seed(seed)
    return [(torch.randn(2, kind.size, size, size, generator=generator), kind) for kind in kinds]


def difference(module, ours, size=9, carry=fields_from_e2cnn):
    """Return the largest difference of what the two compute, relative to the largest output."""
    tensors = inputs(module, size)
    with torch.no_grad():
        expected = module(*[enn.GeometricTensor(x.clone(), kind) for x, kind in tensors])
        found = fields_to_e2cnn(ours(*[carry(x, kind) for x, kind in tensors]), expected.type)
    assert found.shape == expected.tensor.shape
    assert expected.tensor.abs().max() > 1e-3
    return ((found - expected.tensor).abs().max() / expected.tensor.abs().max()).item()


def check(module, size=9):
    """Assert that a module of e2cnn and what it becomes agree, and return the latter."""
    drawn(module)
    ours = from_e2cnn(module)
    assert difference(module, ours, size) < 1e-5
    return ours
