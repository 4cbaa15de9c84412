"""GroupConv2d: every argument has an effect, and every mistake is told."""

import pytest
import torch
from samples import SOME
from test_representations import rebuilt

import equiconv
import equiconv.bases
import equiconv.layers as layers
from equiconv.errors import EquiconvError, ExactnessError, FieldTypeError, GroupError, ShapeError
from equiconv.groups import P4, P4M, Cyclic, Dihedral, Flip, HueShift
from equiconv.layers import (
    ColorSpace,
    FieldBatchNorm,
    FieldDropout,
    FourierActivation,
    GatedActivation,
    GroupConv2d,
    GroupPool,
    NormActivation,
    NormPool,
    Pointwise,
    SpatialPool,
)
from equiconv.testing import assert_equivariant

P4_TYPES = (2 * P4().regular, 4 * P4().regular)


def moved_kernels(kernel, group, moves):
    """Return the bank of the definition, ``bank[o, g, i, h] = g . kernel[o, i, g^-1 h]``."""
    banks = [torch.stack([move(kernel[:, :, source]) for source in sources], 2) for move, sources in moves]
    return torch.stack(banks, 1)


def test_the_bank_of_p4m_is_the_definition():
    table = [  # the slices g^-1 h of row g, from the literature
        [0, 1, 2, 3, 4, 5, 6, 7],
        [3, 0, 1, 2, 5, 6, 7, 4],
        [2, 3, 0, 1, 6, 7, 4, 5],
        [1, 2, 3, 0, 7, 4, 5, 6],
        [4, 5, 6, 7, 0, 1, 2, 3],
        [5, 6, 7, 4, 3, 0, 1, 2],
        [6, 7, 4, 5, 2, 3, 0, 1],
        [7, 4, 5, 6, 1, 2, 3, 0],
    ]

    def move(g):
        return lambda k: torch.rot90(k, g % 4, (-2, -1)).flip(-2) if g > 3 else torch.rot90(k, g, (-2, -1))

    conv = GroupConv2d(2 * P4M().regular, 3 * P4M().regular, 3)
    bank = moved_kernels(conv.weight.view(3, 2, 8, 3, 3), P4M(), [(move(g), row) for g, row in enumerate(table)])
    assert torch.equal(conv.kernel(), bank.reshape(24, 16, 3, 3))


@pytest.mark.parametrize("factorization", ["g", "gc"])
@pytest.mark.parametrize("group", SOME, ids=repr)
def test_factorized_kernels_are_products(group, factorization):
    conv = GroupConv2d(2 * group.regular, 3 * group.regular, 3, factorization=factorization)
    free = GroupConv2d(2 * group.regular, 3 * group.regular, 3)
    spatial = conv.spatial if factorization == "g" else conv.spatial[:, None].expand(3, 2, 9)
    with torch.no_grad():
        free.weight.copy_(torch.einsum("oif,ois->oifs", conv.pointwise, spatial))
        free.bias.copy_(conv.bias)
    x = torch.randn(2, 2, group.order, 6, 6)
    torch.testing.assert_close(conv(x), free(x))
    count = sum(p.numel() for p in conv.parameters())
    assert count == 6 * group.order + (54 if factorization == "g" else 27) + 3


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({"stride": 2}, {"stride": 1}),
        ({"padding": 2}, {"padding": 1}),
        ({"dilation": 2}, {"dilation": 1}),
        ({"padding": 2, "padding_mode": "reflect"}, {"padding": 2}),
        ({"padding": 2, "padding_mode": "replicate"}, {"padding": 2}),
        ({"padding": 2, "padding_mode": "circular"}, {"padding": 2}),
        ({"bias": False}, {}),
        ({"channel_groups": 2}, {}),
        ({"factorization": "g"}, {}),
        ({"factorization": "gc"}, {}),
        ({"padding": "same"}, {}),
    ],
    ids=str,
)
def test_every_argument_has_an_effect(options, changed):
    x = torch.randn(2, 2, 4, 9, 9)
    outputs = []
    for chosen in (options, changed):
        torch.manual_seed(0)
        outputs.append(GroupConv2d(*P4_TYPES, 3, **chosen)(x))
    a, b = outputs
    assert a.shape != b.shape or (a - b).abs().max() > 1e-3


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_against_the_ordinary_convolution(mode):
    conv = GroupConv2d(*P4_TYPES, (3, 3), stride=2, padding=2, dilation=1, padding_mode=mode, channel_groups=2)
    plain = torch.nn.Conv2d(8, 16, 3, stride=2, padding=2, padding_mode=mode, groups=2)
    with torch.no_grad():
        plain.weight.copy_(conv.kernel())
        plain.bias.copy_(conv.expanded_bias())
    x = torch.randn(2, 2, 4, 9, 11)
    torch.testing.assert_close(conv(x).flatten(1, 2), plain(x.flatten(1, 2)))


MISTAKES = [
    (lambda: GroupConv2d(P4().regular, P4M().regular, 3), FieldTypeError, "restrict"),
    (lambda: GroupConv2d(P4(), 2 * P4().regular, 3), FieldTypeError, "expected a field type"),
    (lambda: GroupConv2d(*P4_TYPES, 0), ShapeError, "kernel_size is an integer >= 1"),
    (lambda: GroupConv2d(*P4_TYPES, (3, 3, 3)), ShapeError, "kernel_size"),
    (lambda: GroupConv2d(*P4_TYPES, 3.0), ShapeError, "kernel_size"),
    (lambda: GroupConv2d(*P4_TYPES, 3, stride=0), ShapeError, "stride is an integer >= 1"),
    (lambda: GroupConv2d(*P4_TYPES, 3, padding=-1), ShapeError, "padding is an integer >= 0"),
    (lambda: GroupConv2d(*P4_TYPES, 3, padding="valid"), ShapeError, '"same"'),
    (lambda: GroupConv2d(*P4_TYPES, 3, padding="same", stride=2), ShapeError, "needs stride 1"),
    (lambda: GroupConv2d(*P4_TYPES, 3, dilation=0), ShapeError, "dilation"),
    (lambda: GroupConv2d(*P4_TYPES, 3, padding_mode="mirror"), ShapeError, "padding_mode is one of zeros"),
    (lambda: GroupConv2d(*P4_TYPES, 3, channel_groups=3), FieldTypeError, "must divide"),
    (lambda: GroupConv2d(*P4_TYPES, 3, channel_groups=0), FieldTypeError, "integer >= 1"),
    (lambda: GroupConv2d(*P4_TYPES, 3, factorization="c"), FieldTypeError, 'None, "g" or "gc"'),
    (lambda: GroupConv2d(P4().regular, P4().irrep(1), 3, factorization="g"), FieldTypeError, "regular out_type"),
    (lambda: GroupConv2d(P4().trivial, P4().irrep(1), 1), FieldTypeError, "no 1x1 kernel"),
    (lambda: GroupConv2d(HueShift(3).trivial, HueShift(3).irrep(1), 9), FieldTypeError, "only zero is equivariant"),
    (lambda: GroupConv2d(*P4_TYPES, 3)(torch.zeros(1, 8, 5, 5)), ShapeError, r"\(B, 2, 4, H, W\)"),
    (lambda: GroupConv2d(P4().image, P4_TYPES[0], 3)(torch.zeros(3, 5, 5)), ShapeError, r"\(B, 3, H, W\)"),
    (lambda: GroupConv2d(P4().image, P4_TYPES[0], 5)(torch.zeros(1, 3, 4, 4)), ShapeError, "smaller than the window"),
    (
        lambda: GroupConv2d(P4().image, P4_TYPES[0], 5, padding=4, padding_mode="reflect")(torch.zeros(1, 3, 4, 4)),
        ShapeError,
        "cannot add",
    ),
    (
        lambda: GroupConv2d(P4().image, P4_TYPES[0], 5, padding=5, padding_mode="circular")(torch.zeros(1, 3, 4, 4)),
        ShapeError,
        "cannot add",
    ),
    (lambda: GroupPool(2 * P4().vector), FieldTypeError, "permuted"),
    (lambda: GroupPool(2 * P4().irrep(1), over=[2]), FieldTypeError, "regular fields"),
    (lambda: GroupPool(2 * P4().regular, mode="sum"), FieldTypeError, '"max" or "mean"'),
    (lambda: GroupPool(2 * P4().regular, over=HueShift(3)), GroupError, "not a subgroup"),
    (lambda: SpatialPool(2 * P4().vector, 2), FieldTypeError, 'mode="mean"'),
    (lambda: SpatialPool(2 * P4().regular, 2, mode="min"), FieldTypeError, '"max" or "mean"'),
    (lambda: SpatialPool(2 * P4().regular, 2, padding=2), ShapeError, "half of the window"),
    (lambda: SpatialPool(2 * P4().regular, 2)(torch.zeros(1, 2, 4, 7, 7)), ExactnessError, "7x7 image leaves 1 rows"),
    (lambda: SpatialPool(2 * P4().regular, 2, stride=0), ShapeError, "stride"),
    (lambda: FieldBatchNorm(2 * P4().regular, eps=0), FieldTypeError, "0 < eps"),
    (lambda: FieldBatchNorm(2 * P4().regular, momentum=2), FieldTypeError, "momentum"),
    (lambda: FieldBatchNorm(2 * P4().regular)(torch.zeros(1, 8, 3, 3)), ShapeError, "got"),
    (lambda: FieldDropout(2 * P4().regular, 1.5), FieldTypeError, "probability"),
    (lambda: FieldDropout(2 * P4().regular, "a"), FieldTypeError, "probability"),
    (lambda: FieldBatchNorm(2 * P4().regular, eps=float("inf")), FieldTypeError, "0 < eps"),
    (lambda: FieldBatchNorm(2 * P4().regular, momentum=None), FieldTypeError, "momentum"),
    (lambda: SpatialPool(2 * P4().regular, (2, 3), stride=1), ExactnessError, "square windows"),
    (lambda: SpatialPool(2 * Cyclic(8).regular, 3, stride=2), ExactnessError, "exact=False"),
    (lambda: GroupPool(2 * P4().regular, over=2), GroupError, "list of elements"),
    (lambda: GroupConv2d(*P4_TYPES, 3, bias="no"), FieldTypeError, "True or False"),
    (lambda: GroupConv2d(P4().trivial, P4().trivial + P4().irrep(1), 1), FieldTypeError, r"no 1x1.*irrep\(1\)"),
    (lambda: Pointwise(2 * P4().vector), FieldTypeError, "mixes the entries"),
    (lambda: Pointwise(2 * HueShift(4).image), FieldTypeError, "mixes the entries"),
    (lambda: Pointwise(2 * P4().regular, "relu"), FieldTypeError, "function of a tensor"),
    (lambda: Pointwise(2 * P4().regular)(torch.zeros(1, 8, 3, 3)), ShapeError, "got"),
    (lambda: NormActivation(P4().vector, "relu"), FieldTypeError, "function of a tensor"),
    (lambda: FourierActivation(P4().vector, 3), FieldTypeError, "function"),
    (lambda: FourierActivation(P4().vector + P4().vector), FieldTypeError, "no room for more"),
    (lambda: GatedActivation(P4()), FieldTypeError, "expected a field type"),
    (lambda: NormPool(2 * P4().vector)(torch.zeros(1, 4, 3, 3)), ShapeError, "got"),
    (lambda: ColorSpace(3 * HueShift(3).trivial), FieldTypeError, "images"),
]


@pytest.mark.parametrize(("make", "error", "message"), MISTAKES)
def test_mistakes_are_told(make, error, message):
    with pytest.raises(error, match=message) as caught:
        make()
    assert isinstance(caught.value, EquiconvError)
    assert isinstance(caught.value, ValueError)


def test_bias_follows_the_invariant_directions():
    group = P4M()
    for rep, count in ((group.regular, 1), (group.irrep(2), 0), (group.trivial + group.irrep(2) + group.regular, 2)):
        conv = GroupConv2d(group.regular, 5 * rep, 3)
        assert (conv.bias is None) == (count == 0)
        if count:
            assert conv.bias.shape == (5, count)
            torch.nn.init.constant_(conv.bias, 2.0)
            assert_equivariant(conv)
    regular = GroupConv2d(group.image, 2 * group.regular, 3)
    assert torch.equal(regular.expanded_bias(), regular.bias.repeat_interleave(8))
    assert GroupConv2d(group.image, 2 * group.regular, 3, bias=False).bias is None


def test_a_learned_color_space_is_exact_for_the_shifts_it_learned():
    group = HueShift(4)
    space, lift = ColorSpace(group.image), GroupConv2d(group.image, 2 * group.regular, 3)
    net = torch.nn.Sequential(space, lift)
    assert_equivariant(net, group.image, 2 * group.regular)
    torch.nn.init.normal_(space.weight)
    matrix = space.weight.detach().double()
    shifts = [
        torch.linalg.solve(matrix, torch.tensor(color.tolist(), dtype=torch.float64) @ matrix) for color in group.color
    ]

    def learned(x, g):
        return torch.einsum("ij,...jhw->...ihw", shifts[g], x) if x.shape[-3] == 3 else x

    assert_equivariant(net, group.image, 2 * group.regular, move=learned)
    with pytest.raises(AssertionError):
        assert_equivariant(net, group.image, 2 * group.regular)


@pytest.mark.parametrize(
    "layer",
    [
        GroupConv2d(*P4_TYPES, 3, padding="same", channel_groups=2),
        GroupConv2d(*P4_TYPES, 4, stride=2, padding=1, bias=False, factorization="gc", exact=False),
        GroupPool(2 * (HueShift(3) * P4()).regular, over=P4(), mode="mean"),
        GroupPool(2 * P4M().regular),
        SpatialPool(2 * P4M().regular, 3, stride=2, padding=1),
        FieldBatchNorm(2 * P4M().vector, affine=False),
        FieldDropout(2 * P4M().vector, 0.3),
        ColorSpace(2 * P4M().image),
        GatedActivation(2 * P4M().vector),
        NormPool(2 * P4M().vector),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_repr_rebuilds(layer):
    modules = (equiconv.groups, equiconv.bases, layers)
    names = {name: getattr(module, name) for module in modules for name in module.__all__}
    again = eval(repr(layer), {"__builtins__": {}}, names)
    assert repr(again) == repr(layer)
    again.load_state_dict(layer.state_dict())
    x = torch.randn(2, *layer.in_type.shape, 8, 8)
    if not isinstance(layer, SpatialPool):
        assert torch.equal(again.eval()(x), layer.eval()(x))


def test_public_names():
    assert len(equiconv.__all__) <= 25
    assert all(hasattr(equiconv, name) for name in equiconv.__all__)
    assert rebuilt(2 * P4().regular) == 2 * P4().regular


def test_equal_groups_that_number_their_irreps_differently():
    for a, b in ((Dihedral(2), Flip(0) * Cyclic(2)), (HueShift(3) * P4(), (HueShift(3) * P4()).subgroup([1, 4]))):
        assert a == b
        for irrep in b.irreps:
            assert_equivariant(GroupConv2d(2 * a.regular, 2 * irrep, 3))
