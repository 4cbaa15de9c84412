"""Every module of e2cnn, and what it becomes, compute the same."""

import math

import e2cnn_pairs as pairs
import pytest
import torch

from equiconv.errors import EquiconvError
from equiconv.groups import Dihedral
from equiconv.interop.e2cnn import from_e2cnn
from equiconv.layers import GroupConv2d, GroupConvTranspose2d
from equiconv.testing import assert_equivariant

pytestmark = pytest.mark.filterwarnings("ignore")  # e2cnn warns wherever it goes
enn, SPACES, TYPES = pairs.enn, pairs.SPACES, pairs.TYPES

PERMUTED = ["regular", "mixed", "quotients"]
OTHERS = ["sums", "O2"]
INDUCED = ["induced", "signs"]

POINTWISE = {
    "bn": lambda t: enn.InnerBatchNorm(t, eps=1e-3),
    "relu": enn.ReLU,
    "elu": lambda t: enn.ELU(t, alpha=0.5),
    "sigmoid": lambda t: enn.PointwiseNonLinearity(t, "p_sigmoid"),
    "tanh": lambda t: enn.PointwiseNonLinearity(t, "p_tanh"),
    "p_elu": lambda t: enn.PointwiseNonLinearity(t, "p_elu"),
    "max": lambda t: enn.PointwiseMaxPool(t, 3, 2, 1),
    "max up": lambda t: enn.PointwiseMaxPool(t, 2, 2, dilation=2, ceil_mode=True),
    "blurred max": lambda t: enn.PointwiseMaxPoolAntialiased(t, 3, 2, 1),
    "adaptive max": lambda t: enn.PointwiseAdaptiveMaxPool(t, 4),
    "adaptive mean": lambda t: enn.PointwiseAdaptiveAvgPool(t, (4, 5)),
    "group": enn.GroupPooling,
    "dropout": lambda t: enn.PointwiseDropout(t, 0.3),
}
ANY = {
    "mean": lambda t: enn.PointwiseAvgPool(t, 3, 2, 1),
    "mean up": lambda t: enn.PointwiseAvgPool(t, 2, 2, ceil_mode=True),
    "blurred mean": lambda t: enn.PointwiseAvgPoolAntialiased(t, 0.66, 2),
    "longest": lambda t: enn.NormMaxPool(t, 2),
    "norms": enn.NormPool,
    "dropout": lambda t: enn.FieldDropout(t, 0.3),
    "mask": lambda t: enn.MaskModule(t, 9, margin=1),
    "double": lambda t: enn.R2Upsampling(t, 2),
    "nearest": lambda t: enn.R2Upsampling(t, 2, mode="nearest"),
    "sized": lambda t: enn.R2Upsampling(t, size=13),
    "corners": lambda t: enn.R2Upsampling(t, 2, align_corners=True),
    "shuffled": lambda t: enn.ReshuffleModule(t, list(range(len(t)))[::-1]),
    "identity": enn.IdentityModule,
    "norm relu": enn.NormNonLinearity,
    "norm sigmoid": lambda t: enn.NormNonLinearity(t, "n_sigmoid"),
    "squash": lambda t: enn.NormNonLinearity(t, "squash", bias=False),
}
WITH_PARTS = {
    "induced norm": enn.InducedNormNonLinearity,
    "induced squash": lambda t: enn.InducedNormNonLinearity(t, "squash", bias=False),
    "induced bn": enn.InducedNormBatchNorm,
    "induced pool": enn.InducedNormPool,
}


def cases():
    yield from ((name, make, kind) for name, make in POINTWISE.items() for kind in PERMUTED)
    yield from ((name, make, kind) for name, make in ANY.items() for kind in ["mixed", *OTHERS])
    yield from ((name, make, kind) for name, make in WITH_PARTS.items() for kind in INDUCED)
    yield from (("norm bn", enn.NormBatchNorm, kind) for kind in ["irreps", *OTHERS])
    yield from (("irrep bn", enn.GNormBatchNorm, kind) for kind in ("irreps", "sums", "O2"))


@pytest.mark.parametrize(
    ("name", "make", "kind"), list(cases()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_single_layers(name, make, kind):
    pairs.check(make(TYPES[kind]))


@pytest.mark.parametrize("keep", [False, True])
def test_gates(keep):
    c8, d4, o2 = SPACES["C8"], SPACES["D4"], SPACES["O2"]
    gates = [c8.trivial_repr] * 4
    fields = [c8.regular_repr, c8.irrep(1), c8.irrep(2), c8.regular_repr]  # e2cnn pairs the smallest first
    pairs.check(enn.GatedNonLinearity1(enn.FieldType(c8, gates + fields), drop_gates=not keep))
    mixed = [d4.trivial_repr, d4.irrep(1, 1), d4.irrep(1, 1), d4.trivial_repr, d4.irrep(1, 0), d4.trivial_repr]
    labels = ["gated" if representation.size > 1 else "gate" for representation in mixed]
    labels[4] = "gated"
    pairs.check(enn.GatedNonLinearity1(enn.FieldType(d4, mixed), gates=labels, drop_gates=not keep))
    pairs.check(enn.GatedNonLinearity2((enn.FieldType(c8, gates), enn.FieldType(c8, fields))))
    gate = [pairs.part(o2, (None, -1), 0)] * 3
    induced = enn.FieldType(o2, gate + list(TYPES["induced"].representations))
    pairs.check(enn.InducedGatedNonLinearity1(induced, drop_gates=not keep))


def test_vectors():
    pairs.check(enn.VectorFieldNonLinearity(TYPES["regular"]))


@pytest.mark.parametrize("which", [(None, 4), (None, 2), (None, 1), (0, 2), (1, 2), (1, 1)])
def test_subgroups(which):
    d4 = SPACES["D4"]
    several = [d4.regular_repr, d4.irrep(1, 1), d4.irrep(1, 2), d4.trivial_repr, d4.quotient_repr((0, 2))]
    restricted = enn.RestrictionModule(enn.FieldType(d4, several), which)
    pairs.check(restricted)
    pairs.check(enn.DisentangleModule(restricted.out_type))
    regular = enn.RestrictionModule(enn.FieldType(d4, [d4.regular_repr] * 2), which).out_type
    pairs.check(enn.R2Conv(regular, regular, 3, recompute=True))
    pairs.check(enn.InnerBatchNorm(regular))  # one statistic for all orbits of a field
    pairs.check(enn.GroupPooling(regular))


@pytest.mark.parametrize("which", [(None, 4), (None, -1), (0.3, 1), (0.3, 4)])
def test_subgroups_of_a_continuous_group(which):
    restricted = enn.RestrictionModule(TYPES["O2"], which)
    pairs.check(restricted)
    pairs.check(enn.R2Conv(restricted.out_type, restricted.out_type, 3, recompute=True))


@pytest.mark.parametrize(("name", "which"), [("induced", (None, -1)), ("signs", (0, 2)), ("signs", (None, 4))])
def test_restricted_induced_fields(name, which):
    kind = enn.RestrictionModule(TYPES[name], which).out_type
    for make in (enn.NormNonLinearity, enn.InducedNormNonLinearity, enn.InducedNormBatchNorm, enn.InducedNormPool):
        try:
            module = make(kind)
        except AssertionError:  # e2cnn knows invariant parts in it
            continue
        pairs.check(module)


def regular_and_others(space):
    irreps = list(space.fibergroup.irreps.values())
    found = [irreps[0], irreps[-1], irreps[min(2, len(irreps) - 1)]]
    return found + ([space.regular_repr] if space.fibergroup.order() > 1 else [])


@pytest.mark.parametrize("name", SPACES)
def test_convolutions(name):
    space = SPACES[name]
    kinds = regular_and_others(space)
    doubled = enn.FieldType(space, kinds + kinds)
    pairs.check(enn.R2Conv(doubled, enn.FieldType(space, kinds[:2] * 2 + kinds[:1]), 3, padding=1))
    pairs.check(enn.R2Conv(doubled, doubled, 5, padding=2, stride=2, padding_mode="reflect", groups=2))
    pairs.check(enn.R2ConvTransposed(doubled, doubled, 5, stride=2, padding=1, output_padding=1))
    alike = enn.FieldType(space, kinds[-1:] * 4)
    ours = pairs.check(enn.R2Conv(alike, alike, 5, dilation=2, groups=2), size=11)
    assert isinstance(ours, GroupConv2d)
    pairs.check(enn.R2ConvTransposed(alike, alike, 3, groups=2, dilation=2))


def test_long_sums_of_unlike_fields():
    c4 = SPACES["C4"]
    kind = enn.FieldType(c4, ([c4.regular_repr] * 3 + [c4.irrep(1)] * 5) * 2)
    for make in (enn.R2Conv, enn.R2ConvTransposed):
        module = make(kind, kind, 3, groups=2, dilation=2, stride=2)
        ours = pairs.check(module)
        assert isinstance(ours, GroupConv2d | GroupConvTranspose2d)
        assert ours.weight.numel() == module.weights.numel()
    assert_equivariant(from_e2cnn(pairs.drawn(enn.R2Conv(kind, kind, 3))).double(), tolerance=1e-9)


def test_fields_that_no_kernel_reaches_are_zero():
    space = pairs.gspaces.Rot2dOnR2(-1, maximum_frequency=5)
    frequencies = [space.irrep(k) for k in (0, 1, 4, 5)]
    scalars, several = enn.FieldType(space, [space.trivial_repr]), enn.FieldType(space, frequencies)
    ours = pairs.check(enn.R2Conv(scalars, several, 3))
    assert not ours(torch.randn(1, 1, 5, 5))[:, :, 3:].any()
    pairs.check(enn.R2Conv(several, several, 3))


@pytest.mark.parametrize(
    "settings",
    [
        {"rings": [0.0, 1.5, 2.0], "sigma": [0.1, 0.5, 0.5]},
        {"frequencies_cutoff": -3.0},
        {"frequencies_cutoff": math.pi, "sigma": 0.45},
        {"frequencies_cutoff": lambda radius: 3 * radius},
        {"maximum_offset": 0},
        {"basis_filter": lambda element: element["frequency"] == 0},
        {"frequencies_cutoff": 1.0, "dilation": 2},
    ],
)
def test_bases_of_kernels(settings):
    kind = TYPES["regular"]
    module = enn.R2Conv(kind, kind, 5, recompute=True, **settings)
    ours = pairs.check(module)
    narrower = "maximum_offset" in settings  # e2cnn's kernels are then a part of ours
    assert (ours.weight.numel() == module.weights.numel()) != narrower


@pytest.mark.parametrize("size", [1, 4, 7])
def test_sizes_of_kernels(size):
    module = enn.R2Conv(TYPES["mixed"], TYPES["regular"], size)
    assert pairs.check(module).weight.numel() == module.weights.numel()


@pytest.mark.parametrize("name", ["C4", "C8", "SO2"])
def test_differential_operators(name):
    space = SPACES[name]
    kind = enn.FieldType(space, [space.trivial_repr] * 2 + [space.irrep(1)] * 2)
    pairs.check(enn.R2Diffop(kind, kind, 3, padding=1))
    pairs.check(enn.R2Diffop(kind, kind, 5))


@pytest.mark.parametrize("name", ["D4", "mirror"])
def test_differential_operators_that_break_under_mirrors_are_refused(name):
    kind = enn.FieldType(SPACES[name], [SPACES[name].trivial_repr] * 2)
    vectors = enn.FieldType(SPACES[name], [SPACES[name].irrep(*((1, 1) if name == "D4" else (1,)))])
    module = pairs.drawn(enn.R2Diffop(kind, vectors, 3))
    with pytest.raises(EquiconvError, match=r"R2Diffop .* not equivariant under reflections"):
        from_e2cnn(module)


def test_an_axis_that_came_second_is_refused():
    first, second = (pairs.gspaces.FlipRot2dOnR2(4, axis=axis) for axis in (math.pi / 2, 0.2))
    for space in (first, second):
        kind = enn.FieldType(space, [space.trivial_repr])
        module = pairs.drawn(enn.R2Conv(kind, enn.FieldType(space, [space.regular_repr]), 3))
        if space is first:
            from_e2cnn(module)
    with pytest.raises(EquiconvError, match=r"recompute=True"):
        from_e2cnn(module)
    ours = pairs.check(enn.R2Conv(kind, enn.FieldType(second, [second.regular_repr]), 3, recompute=True))
    assert ours.in_type.group == Dihedral(4, 0.2)


def test_what_has_no_equal_is_refused_with_its_name():
    regular, space = TYPES["regular"], SPACES["C8"]
    concatenated = enn.ConcatenatedNonLinearity.__new__(enn.ConcatenatedNonLinearity)
    torch.nn.Module.__init__(concatenated)  # making one needs an old version of another package
    refused = [
        concatenated,
        enn.NormMaxPool(regular, 2, dilation=2),
        enn.InnerBatchNorm(TYPES["mixed"], track_running_stats=False),
        enn.InnerBatchNorm(TYPES["mixed"], momentum=None),
        enn.GNormBatchNorm(enn.FieldType(space, [space.regular_repr])),
        enn.BranchingModule(regular, ["a", "b", "a"]),
        enn.MergeModule([(enn.ReLU(regular), "a")]),
    ]
    for module in refused:
        with pytest.raises(EquiconvError, match=type(module).__name__):
            from_e2cnn(module)


def test_modes_and_weights_are_as_e2cnn_takes_them():
    kind = TYPES["regular"]
    module = pairs.drawn(enn.R2Conv(kind, kind, 3))
    with torch.no_grad():
        module.weights.mul_(2)  # in evaluation e2cnn goes on with what it expanded before
    assert pairs.difference(module, from_e2cnn(module)) < 1e-5
    module.train()
    ours = from_e2cnn(module)
    assert ours.training
    assert pairs.difference(module, ours) < 1e-5


def test_training_statistics():
    for kind in (TYPES["mixed"], TYPES["regular"]):
        module = pairs.drawn(enn.InnerBatchNorm(kind)).train()
        ours = from_e2cnn(module)
        for _ in range(2):
            assert pairs.difference(module, ours) < 1e-5
        assert pairs.difference(module.eval(), ours.eval()) < 1e-5


def test_a_changed_layer_does_not_agree():
    for make in (lambda t: enn.R2Conv(t, t, 3), enn.InnerBatchNorm, enn.NormNonLinearity):
        module = pairs.drawn(make(TYPES["regular"]))
        ours = from_e2cnn(module)
        with torch.no_grad():
            for parameter in ours.parameters():
                parameter[0] += 0.1
        assert pairs.difference(module, ours) > 1e-3
