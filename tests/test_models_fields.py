"""The published steerable networks, and the kinds of fields that they are made of."""

from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from samples import check_copies

import equiconv.groups
from equiconv.bases import Harmonics
from equiconv.errors import ExactnessError, FieldTypeError, GroupError, ShapeError
from equiconv.groups import O2, P4, P4M, SO2, Cyclic, Dihedral, HueShift, Trivial
from equiconv.layers import Branches, GatedActivation, GroupConv2d, NormActivation
from equiconv.models import (
    STEERABLE_LARGE,
    STEERABLE_SMALL,
    SteerableArchitecture,
    SteerableCNN,
    SteerableLayer,
    create,
)
from equiconv.models.blocks import StrongestPool, normalization
from equiconv.models.fields import count_kernels
from equiconv.testing import assert_equivariant

H = HueShift(3)
PAGE = Path(__file__).parent.parent / "docs" / "models.md"
SMALL, LARGE = "steerable-cnn-small", "steerable-cnn-large"


def made(name, group, fields="regular", **options):
    with torch.device("meta"):
        return create(name, group, fields=fields, basis="e2cnn", **options)


def parameters(net):
    return sum(parameter.numel() for parameter in net.parameters())


def convolutions(net):
    return [module for module in net.modules() if isinstance(module, GroupConv2d)]


REGULAR = {  # dimension of a regular field -> fields of layers 2, 3 and 4, 5; parameters
    1: (96, 128, 192, 744_890),
    2: (68, 91, 136, 812_638),
    3: (55, 74, 111, 855_960),
    4: (48, 64, 96, 896_138),
    5: (43, 57, 86, 929_865),
    6: (39, 52, 78, 956_793),
    7: (36, 48, 73, 990_449),
    8: (34, 45, 68, 1_019_010),
    9: (32, 43, 64, 1_053_927),
    10: (30, 40, 61, 1_064_619),
    12: (28, 37, 55, 1_115_793),
    16: (24, 32, 48, 1_199_858),
    24: (20, 26, 39, 1_332_663),
    40: (15, 20, 30, 1_528_121),
}


@pytest.mark.parametrize("n", REGULAR)
def test_published_sizes_of_the_comparison_of_groups(n):
    net = made(SMALL, Dihedral(n // 2) if n in (10, 40) else Cyclic(n) if n > 1 else Trivial())
    second, third, fifth, expected = REGULAR[n]
    assert [conv.out_type.n for conv in convolutions(net)] == [16, second, third, third, fifth, 64]
    assert parameters(net) == expected


@cache
def network(code):
    with torch.device("meta"):
        return eval(code, {**vars(equiconv.groups), "create": create})


LARGEST = {  # weights of the convolutions
    'create("steerable-cnn", Cyclic(8), basis="e2cnn")': [432, 101_376, 202_752, 405_504, 811_008, 540_672],
    'create("steerable-cnn-large", Cyclic(16), basis="e2cnn")': [744, 221_184, 331_776, 373_248, 663_552, 1_081_344],
    'create("steerable-cnn-large", [Dihedral(16)] * 5 + [Cyclic(16)], basis="e2cnn")': [
        *(496, 202_752, 316_800, 360_000, 648_000, 1_520_640)
    ],
    'create("steerable-cnn-large", Cyclic(16), fields=("quotient", 8, 4), basis="e2cnn")': [
        *(796, 208_640, 312_960, 375_552, 688_512, 1_130_624)
    ],
}


@pytest.mark.parametrize("code", LARGEST)
def test_published_weights_of_each_layer(code):
    assert [conv.weight.numel() for conv in convolutions(network(code))] == LARGEST[code]


@pytest.mark.parametrize(
    ("group", "fields", "expected"),
    [
        (Cyclic(4), "quotient", 843_516),
        (Cyclic(6), ("quotient", 2, 3), 971_963),
        (Dihedral(16), "scalar", 1_475_007),
        (SO2(3), "irreps", 1_139_431),
    ],
)
def test_published_sizes_of_the_comparison_of_fields(group, fields, expected):
    assert parameters(made(SMALL, group, fields)) == expected


def test_published_networks_also_count_what_does_nothing():
    """A bias of each gate, beside that of the convolution; and fields that no kernel makes of invariant images."""
    gated = convolutions(net := made(SMALL, SO2(3), "gated"))
    biases = 3 * sum(conv.out_type.n for conv in gated[:-1])
    assert parameters(net) + biases == 1_133_990
    first, second = convolutions(net := made(SMALL, O2(1), "irreps"))[:2]
    signs = O2(1).irrep(1)
    assert signs not in first.out_type.representation.summands
    weights = count_kernels(second.out_type.representation, signs, Harmonics.e2cnn((5, 5)))
    assert parameters(net) + first.out_type.n * (second.out_type.n * weights + 2) == 1_113_166


def listed():
    lines = [line for line in PAGE.read_text().splitlines() if '| `create("steerable' in line]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("row", listed(), ids=lambda row: row[1])
def test_the_page_of_the_models_has_their_sizes(row):
    published_as, code, here, published = row
    assert f"{parameters(network(code)):,}" == here
    assert (here == published) == (published_as != "gated_conv" and " O2(1)" not in code)


def test_kernels_are_counted_without_solving_for_them():
    for out_rep, in_rep in pairwise([SO2(2).irrep(0) + SO2(2).irrep(2), SO2(2).irrep(1), SO2(2).regular]):
        conv = GroupConv2d(in_rep, out_rep, 5, basis="harmonics")
        assert count_kernels(out_rep, in_rep, conv.basis) == conv.weight.numel()


CASES = [
    (SMALL, Cyclic(8), "quotient", P4()),
    (SMALL, HueShift(2) * P4(), "quotient", HueShift(2) * P4()),
    (SMALL, Dihedral(8), "scalar", P4M()),
    (SMALL, H * Cyclic(8), "regular", H * P4()),
    (SMALL, HueShift(2) * P4(), "irreps", HueShift(2) * P4()),
    (SMALL, O2(1), "irreps", P4M()),
    (SMALL, O2(1), "gated", P4M()),
    (SMALL, SO2(2), "squashed", P4()),
    (SMALL, SO2(2), "regular", P4()),
    (LARGE, P4(), "gated", P4()),
    (SMALL, H * SO2(1), "gated", H * P4()),
    (LARGE, Cyclic(8), "regular", P4()),
    (LARGE, H, "irreps", H),
]


@pytest.mark.parametrize(("name", "group", "fields", "part"), CASES, ids=repr)
def test_logits_are_invariant(name, group, fields, part):
    net = create(name, group, width=0.08, fields=fields, in_channels=3, classes=4).eval()
    assert_equivariant(net, net.in_type.restrict(part), net.out_type.restrict(part), size=(28, 28))


def test_vectors_are_invariant_where_no_two_directions_are_equal():
    """Of opposite kernels, and at the center, several elements may respond alike; their mean is taken."""
    net = create(SMALL, H * Cyclic(8), width=0.08, fields="vector", in_channels=3).double().eval()
    x = torch.rand(2, 3, 28, 28, dtype=torch.double)
    assert torch.allclose(net(x), net(torch.rot90(x, 1, (-2, -1)).roll(1, 1)), rtol=1e-6)


def test_groups_get_smaller():
    net = create(LARGE, [Dihedral(8)] * 5 + [Cyclic(8)], width=0.1).eval()
    assert net.out_type.group == Cyclic(8)
    assert_equivariant(net, net.in_type.restrict(P4()), net.out_type.restrict(P4()), size=(28, 28))
    mixed = create(SMALL, [O2(2)] * 3 + [Cyclic(8)] * 3, width=0.1, fields="irreps").eval()
    assert_equivariant(mixed, mixed.in_type.restrict(P4()), mixed.out_type.restrict(P4()), size=(28, 28))


def test_spatial_sizes_and_layers():
    small, large = (create(name, SO2(1), width=0.1, fields="gated").eval() for name in (SMALL, LARGE))
    for net, expected in ((small, [24, 24, 12, 12, 6, 2]), (large, [20, 20, 10, 10, 5, 1])):
        sizes = []
        for conv in convolutions(net):
            conv.register_forward_hook(lambda m, x, y, sizes=sizes: sizes.append(y.shape[-1]))
        assert net(torch.rand(2, 1, 28, 28)).shape == (2, 10)
        assert sizes == expected
    kinds = [type(module) for module in large.head]
    assert kinds.count(torch.nn.Linear) == 3
    assert kinds.count(torch.nn.Dropout) == 3
    assert torch.nn.Dropout not in map(type, small.head)
    assert sum(isinstance(module, GatedActivation) for module in small.modules()) == 5
    assert not any(isinstance(module, NormActivation) for module in small.modules())


def test_fields_of_a_unit_have_statistics_of_their_own():
    net = create(SMALL, Cyclic(8), width=0.1, fields="quotient")
    kind = convolutions(net)[0].out_type
    norm = normalization(kind)
    assert norm.weight.shape == (kind.n, 5 + 2 + 2 + 2)
    assert net.head[0].in_features == convolutions(net)[-1].out_type.n * 11


def test_pooling_keeps_the_longest_vectors_and_the_largest_invariants():
    unit = SO2(1).trivial + SO2(1).irrep(1)
    pool = StrongestPool(1 * unit, 2)
    assert isinstance(pool.pool, Branches)
    x = torch.tensor([[1.0, -2.0, 0.5, -4.0], [3.0, 0.0, 0.0, 0.0], [0.0, -4.0, 0.0, 1.0]]).view(1, 1, 3, 2, 2)
    assert pool(x).flatten().tolist() == [1.0, 0.0, -4.0]
    with pytest.raises(ExactnessError, match="21x21"):
        pool(torch.zeros(1, 1, 3, 21, 21))


def test_sizes_that_lose_equivariance():
    x = torch.rand(1, 1, 30, 30)
    with pytest.raises(ExactnessError, match="13x13 image"):
        create(SMALL, Cyclic(8), width=0.1).eval()(x)
    assert create(SMALL, Cyclic(8), width=0.1, exact=False).eval()(x).shape == (1, 10)


def test_architectures_of_your_own():
    same = SteerableLayer(6, 3, 1)
    layers = (SteerableLayer(4, 5, 2, pool=2), same, same)
    architecture = SteerableArchitecture(layers, hidden=0, bias=False, plane="mean", pool="mean")
    net = SteerableCNN(P4(), architecture=architecture).eval()
    assert [conv.out_type.n for conv in convolutions(net)] == [8, 12, 12]
    assert all(conv.out_type.representation.is_regular for conv in convolutions(net))
    assert all(conv.bias is None for conv in convolutions(net))
    assert len(net.head) == 1
    assert_equivariant(net, size=(8, 8))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: create(SMALL, P4(), fields="waves"), FieldTypeError, "fields are 'regular', .*; got 'waves'"),
        (lambda: create(SMALL, P4(), fields=()), FieldTypeError, r"fields are .*; got \(\)"),
        (lambda: create(SMALL, P4(), fields=("regular", 2)), FieldTypeError, 'only the fields "quotient" have numbers'),
        (lambda: create(SMALL, P4(), fields=("quotient", 2)), FieldTypeError, "have numbers, and two"),
        (lambda: create(SMALL, Cyclic(6), fields="quotient"), GroupError, "Cyclic"),
        (lambda: create(SMALL, SO2(2), fields="quotient"), FieldTypeError, "need a finite group"),
        (lambda: create(SMALL, HueShift(3), in_channels=3, fields="vector"), FieldTypeError, "does not move the plane"),
        (lambda: create(SMALL, P4(), dropout=2), FieldTypeError, "probability"),
        (lambda: create(SMALL, P4(), plane_pool="mean"), FieldTypeError, "plane_pool is 'blur' or 'max'"),
        (lambda: create(SMALL, P4(), hidden=-1), ShapeError, "hidden"),
        (lambda: create(SMALL, P4(), stem="large"), Exception, "options of 'steerable-cnn-small' are .*plane_pool"),
        (lambda: SteerableCNN(P4(), exact=1), FieldTypeError, "exact is True or False"),
        (lambda: SteerableCNN(P4(), architecture="small"), FieldTypeError, "such as STEERABLE; got 'small'"),
        (lambda: SteerableArchitecture(()), ShapeError, "at least one"),
        (lambda: SteerableLayer(8, 0), ShapeError, "kernel_size of a layer"),
        (lambda: SteerableLayer(8, 5, pool=0), ShapeError, "pool of a layer"),
        (lambda: SteerableLayer(8, 5, matched=1), FieldTypeError, "matched"),
        (lambda: create(SMALL, P4()).eval()(torch.rand(1, 1, 5, 5)), ShapeError, "smaller than the window"),
    ],
)
def test_mistakes_are_told(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_copies_and_states():
    check_copies(lambda: create(SMALL, Cyclic(8), width=0.05, fields="quotient"), 1, 28, 28)


def test_the_two_architectures():
    assert [layer.kernel_size for layer in STEERABLE_LARGE.layers] == [9, 7, 7, 7, 7, 5]
    assert [layer.matched for layer in STEERABLE_SMALL.layers] == [False, True, True, True, True, False]
