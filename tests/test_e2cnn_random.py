"""Chains of e2cnn's layers with random types and settings agree with what they become."""

import random

import e2cnn_pairs as pairs
import pytest
import torch

pytestmark = pytest.mark.filterwarnings("ignore")  # e2cnn warns wherever it goes
enn, gspaces = pairs.enn, pairs.gspaces

SPACES = [space for name, space in pairs.SPACES.items() if name != "trivial"] + [gspaces.FlipRot2dOnR2(8)]
COUNT = 2 * len(SPACES)


def field_lists(space, rng):
    """Return two lists of representations at random, and whether their entries are permuted or mixed, or both occur."""
    group = space.fibergroup
    nontrivial = [r for r in group.irreps.values() if not r.is_trivial() and r.attributes.get("frequency", 0) < 3]
    permuted = [space.trivial_repr] + ([space.regular_repr] * 2 if group.order() > 1 else [])
    if isinstance(space, gspaces.Rot2dOnR2) and group.order() > 2:
        permuted.append(space.quotient_repr(2))
    families = {"permuted": permuted, "mixed": nontrivial, "both": permuted + nontrivial}
    family = rng.choice([name for name, kinds in families.items() if kinds])
    source = [*families[family], space.trivial_repr]
    rng.shuffle(source)
    return source, [rng.choice(families[family]) for _ in range(rng.randint(2, 5))], family


def random_chain(seed):
    """Return convolution, norm, nonlinearity, pooling, convolution, with settings drawn at random."""
    rng = random.Random(seed)
    space = SPACES[seed % len(SPACES)]
    source, hidden, family = field_lists(space, rng)
    first, kind = enn.FieldType(space, source), enn.FieldType(space, hidden)
    size = rng.choice([3, 3, 5])
    settings = {
        "padding": rng.choice([0, 1, size // 2]),
        "stride": rng.choice([1, 1, 2]),
        "dilation": rng.choice([1, 1, 2]),
        "bias": rng.random() < 0.7,
        "padding_mode": rng.choice(["zeros", "circular", "reflect"]),
    }
    chain = [enn.R2Conv(first, kind, size, recompute=True, **settings)]
    if family == "permuted":
        chain += [enn.InnerBatchNorm(kind), rng.choice([enn.ReLU, enn.ELU])(kind)]
        chain += [enn.PointwiseMaxPool(kind, rng.choice([2, 3]), 2, 1)]
    else:
        chain += [enn.NormBatchNorm(kind)] if family == "mixed" else []
        chain += [enn.NormNonLinearity(kind, "n_sigmoid"), enn.NormMaxPool(kind, 2)]
    chain.append(enn.R2Conv(kind, kind, 3, padding=1, recompute=True))
    chain.append(enn.PointwiseAvgPoolAntialiased(kind, rng.choice([0.5, 0.8]), 1))
    return enn.SequentialModule(*chain), family, settings


@pytest.mark.parametrize("seed", range(COUNT))
def test_random_configurations(seed):
    module, _, _ = random_chain(seed)
    ours = pairs.check(module, size=15)
    with torch.no_grad():
        for parameter in ours[0].parameters():
            parameter += 0.1
    assert pairs.difference(module, ours, 15) > 1e-3


def test_random_configurations_differ():
    modules, families, settings = zip(*(random_chain(seed) for seed in range(COUNT)), strict=True)
    assert len({repr(module.in_type) for module in modules}) == COUNT
    assert set(families) == {"permuted", "mixed", "both"}
    assert len({repr(chosen) for chosen in settings}) > COUNT // 2
