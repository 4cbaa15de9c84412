"""Layers that work on the fiber: subgroups, vectors, normalization, branches; against independent code."""

import copy

import pytest
import torch
from samples import CONVOLUTIONS, GRID, LAYERS, OFF_GRID, SHAPES, first_factor, mixed
from test_representations import rebuilt
from torch import nn

import equiconv
import equiconv.bases
import equiconv.layers as layers
from equiconv.errors import FieldTypeError, GroupError, ShapeError
from equiconv.groups import P4, P4M, Cyclic, Dihedral, Flip, HueShift, Trivial
from equiconv.layers import (
    AdaptivePool,
    Antialiased,
    BlurPool,
    Branches,
    DiskMask,
    FieldBatchNorm,
    FieldGroupNorm,
    GatedActivation,
    GroupConv2d,
    GroupConvTranspose2d,
    GroupPool,
    NormPool,
    Pointwise,
    Restrict,
    SpatialPool,
    SubgroupPool,
    Upsample,
    VectorFieldActivation,
)
from equiconv.testing import assert_equivariant

COLORED = HueShift(3) * P4M()


@pytest.mark.parametrize("mode", ["max", "mean"])
@pytest.mark.parametrize("group", [*GRID, *OFF_GRID], ids=repr)
def test_subgroup_pool_is_its_definition(group, mode):
    subgroups = [[], first_factor(group), list(group.generators[-1:]), list(group.generators)]
    for which in subgroups:
        layer = SubgroupPool(2 * group.regular, which, mode=mode)
        part = group.subgroup(which)
        rest = [g for g in range(group.order) if g == min(group.table[h, g] for h in part.elements)]
        x = torch.randn(2, 2, group.order, 3, 3)

        def window(g, x=x, rest=rest):
            values = torch.stack([x[:, :, group.table[g, u]] for u in rest])
            return values.amax(0) if mode == "max" else values.mean(0)

        for i, h in enumerate(part.elements):
            low_pass = torch.stack([window(group.table[h, group.inverse[u]]) for u in rest]).mean(0)
            torch.testing.assert_close(layer(x)[:, :, i], low_pass)
        assert layer.out_type == 2 * part.source.regular
        if group.keeps_grid:
            assert_equivariant(layer, size=(4, 4))


def test_subgroup_pool_removes_what_would_alias():
    group = Cyclic(8)
    alternating = torch.tensor([1.0, -1.0]).repeat(4).view(1, 1, 8, 1, 1)
    part = list(group.subgroup(Cyclic(4)).elements)
    assert alternating[:, :, part].eq(1).all()  # sampled alone it is the constant 1
    assert SubgroupPool(group.regular, Cyclic(4), mode="mean")(alternating).abs().max() == 0
    x = torch.randn(1, 1, 8, 2, 2)
    filtered = (x.roll(1, 2) + 2 * x + x.roll(-1, 2)) / 4
    torch.testing.assert_close(SubgroupPool(group.regular, Cyclic(4), mode="mean")(x), filtered[:, :, ::2])


def test_down_to_a_smaller_group_and_on():
    group, part = COLORED, HueShift(3) * P4()
    net = nn.Sequential(
        GroupConv2d(group.image, 4 * group.regular, 3),
        SubgroupPool(4 * group.regular, part),
        GroupConv2d(4 * part.regular, 2 * part.regular, 3),
        Restrict(2 * part.regular, HueShift(3)),
        GroupConv2d(2 * part.regular.restrict(HueShift(3)), 2 * HueShift(3).regular, 3),
    )
    assert_equivariant(net[:3], group.image, 2 * part.regular)
    assert_equivariant(net, group.image, 2 * HueShift(3).regular)


def test_restrict_keeps_the_data():
    x = torch.randn(2, 2, 8, 3, 3)
    layer = Restrict(2 * P4M().regular, P4())
    assert torch.equal(layer(x), x)
    assert (layer.in_type, layer.out_type) == (2 * P4M().regular, (2 * P4M().regular).restrict(P4()))
    image = Restrict(COLORED.image, P4M())
    assert image.out_type.shape == (3,)
    assert_equivariant(image)


@pytest.mark.parametrize("group", [Cyclic(8), P4M(), Dihedral(3), Flip(0.3), HueShift(3) * Cyclic(4)], ids=repr)
def test_vectors_point_where_the_best_element_points(group):
    x = torch.randn(2, 3, group.order, 4, 4, dtype=torch.float64) - 0.5
    y = VectorFieldActivation(3 * group.regular).double()(x)
    best, values = x.argmax(2), x.amax(2).relu()
    torch.testing.assert_close(y.norm(dim=2), values)
    for g in range(group.order):
        arrow = torch.tensor(group.plane[g] @ [1.0, 0.0])
        here = (best == g) & (values > 0)
        torch.testing.assert_close(y.movedim(2, -1)[here], values[here][:, None] * arrow)


def test_vectors_of_equal_responses():
    layer = VectorFieldActivation(2 * P4().regular)
    x = torch.randint(-1, 3, (2, 2, 4, 9, 9)).float()  # many ties
    as_whole_numbers = nn.Sequential(Pointwise(2 * P4().regular, torch.round), layer)
    assert_equivariant(as_whole_numbers, 2 * P4().regular, 2 * P4().vector)
    assert layer(x).isfinite().all()
    x.requires_grad_()
    layer(x).sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("blocks", [1, 2, 6])
@pytest.mark.parametrize("group", [P4M(), HueShift(3), Trivial()], ids=repr)
def test_group_norm_is_the_stock_one_where_that_is_exact(group, blocks):
    x = torch.randn(3, 6, group.order, 5, 4) * 3 + 1
    stock = nn.GroupNorm(blocks, 6 * group.order, affine=False)
    ours = FieldGroupNorm(6 * group.regular, channel_groups=blocks)
    torch.testing.assert_close(ours(x), stock(x.flatten(1, 2)).view_as(x), rtol=1e-4, atol=1e-5)
    flat = FieldGroupNorm(6 * group.trivial, channel_groups=blocks)
    torch.testing.assert_close(flat(x[:, :, 0]), nn.GroupNorm(blocks, 6)(x[:, :, 0]), rtol=1e-4, atol=1e-5)


def test_group_norm_normalizes_each_sample_and_summand():
    group = P4M()
    kind = 6 * (group.trivial + group.irrep(2) + group.regular)
    norm = FieldGroupNorm(kind, channel_groups=3)
    x = torch.randn(4, 6, 11, 9, 9) * torch.linspace(1, 9, 11)[:, None, None] * torch.arange(1, 5).view(4, 1, 1, 1, 1)
    x = x + 2
    y = norm(x)
    for part in y.unflatten(1, (3, 2)).split((1, 2, 8), 3):
        torch.testing.assert_close(part.square().mean((2, 3, 4, 5)), torch.ones(4, 3), rtol=0.01, atol=0)
    torch.testing.assert_close(y[:, :, 0].unflatten(1, (3, 2)).mean((2, 3, 4)), torch.zeros(4, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(norm(x[1:2]), y[1:2])  # a sample does not see the others
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    assert_equivariant(norm)
    assert norm.weight.shape == (6, 3)
    assert norm.bias.shape == (6, 2)


def test_autocast_normalizes_each_sample_in_full_precision():
    norm = FieldGroupNorm(4 * P4().regular)
    x = (torch.randn(2, 4, 4, 9, 9) * 0.1 + 30).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        y = norm(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), norm(x.float()), rtol=0.01, atol=0.01)


def test_branches():
    group = P4M()
    parts = [
        nn.Sequential(GroupConv2d(2 * group.regular, 2 * group.regular, 3), nn.ReLU()),
        GroupConv2d(2 * group.image, 2 * group.vector, 3),
        GroupConv2d(2 * group.vector, 2 * group.trivial, 3),
    ]
    parts[0].in_type = parts[0].out_type = 2 * group.regular
    layer = Branches(*parts)
    assert layer.in_type == 2 * (group.regular + group.image + group.vector)
    assert layer.out_type == 2 * (group.regular + group.vector + group.trivial)
    assert_equivariant(layer)
    x = torch.randn(2, 2, 13, 5, 5)
    y = layer(x)
    assert torch.equal(y[:, :, :8], parts[0](x[:, :, :8]))
    assert torch.equal(y[:, :, 8:10], parts[1](x[:, :, 8:11].flatten(1, 2)))
    assert torch.equal(y[:, :, 10], parts[2](x[:, :, 11:]))
    alone = Branches(Pointwise(2 * group.regular))
    assert alone.in_type == 2 * group.regular


KIND = 2 * P4().regular
MISTAKES = [
    (lambda: SubgroupPool(KIND, P4(), mode="sum"), FieldTypeError, '"max" or "mean"'),
    (lambda: SubgroupPool(2 * P4().vector, P4()), FieldTypeError, "regular fields"),
    (lambda: SubgroupPool(KIND, HueShift(3)), GroupError, "not a subgroup"),
    (lambda: SubgroupPool(KIND, [2])(torch.zeros(1, 8, 3, 3)), ShapeError, "got"),
    (lambda: Restrict(KIND, HueShift(3)), GroupError, "not a subgroup"),
    (lambda: Restrict(KIND, [2])(torch.zeros(1, 8, 3, 3)), ShapeError, "got"),
    (lambda: VectorFieldActivation(2 * P4().vector), FieldTypeError, "regular fields"),
    (lambda: VectorFieldActivation(2 * HueShift(3).regular), FieldTypeError, "does not move the plane"),
    (lambda: FieldGroupNorm(KIND, channel_groups=3), FieldTypeError, "must divide"),
    (lambda: FieldGroupNorm(KIND, channel_groups=0), FieldTypeError, "integer >= 1"),
    (lambda: FieldGroupNorm(KIND, eps=0), FieldTypeError, "0 < eps"),
    (lambda: Branches(), FieldTypeError, "takes layers"),
    (lambda: Branches(nn.ReLU()), FieldTypeError, "takes layers"),
    (lambda: Branches(Pointwise(KIND), Pointwise(3 * P4().regular)), FieldTypeError, "equal numbers"),
    (lambda: Branches(Pointwise(KIND), Pointwise(2 * P4M().regular)), FieldTypeError, "one group"),
    (lambda: Branches(NormPool(2 * mixed(P4())), GroupPool(KIND)), FieldTypeError, "equal numbers"),
    (
        lambda: Branches(GroupConv2d(KIND, KIND, 3), Pointwise(KIND))(torch.zeros(1, 2, 8, 5, 5)),
        ShapeError,
        "maps of one size",
    ),
]


@pytest.mark.parametrize(("make", "error", "message"), MISTAKES)
def test_mistakes_are_told(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    "layer",
    [
        GroupConvTranspose2d(KIND, KIND, 3, stride=2, padding=1, output_padding=1, factorization="g", exact=False),
        Upsample(KIND, scale=(2, 2), mode="nearest"),
        Upsample(KIND, size=16, exact=False),
        SpatialPool(2 * P4M().vector, 3, stride=1, mode="norm"),
        AdaptivePool(KIND, 3, mode="max"),
        BlurPool(KIND, sigma=0.5, stride=1, padding_mode="circular"),
        SubgroupPool(2 * COLORED.regular, HueShift(3), mode="mean"),
        SubgroupPool(2 * P4M().regular, [4]),
        Restrict(2 * P4M().vector, P4()),
        DiskMask(KIND, margin=0.1, sigma=1.0),
        VectorFieldActivation(KIND),
        FieldBatchNorm(KIND, momentum=0.2),
        FieldGroupNorm(KIND, channel_groups=2, affine=False),
        Branches(Pointwise(KIND), GatedActivation(2 * P4().vector)),
        Antialiased(VectorFieldActivation(KIND), factor=3, radius=2, beta=5.0),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_repr_rebuilds(layer):
    modules = (equiconv.groups, equiconv.bases, layers)
    names = {name: getattr(module, name) for module in modules for name in module.__all__}
    again = eval(repr(layer), {"__builtins__": {}}, names | {"relu": torch.relu})
    assert repr(again) == repr(layer)
    again.load_state_dict(layer.state_dict())
    x = torch.randn(2, *layer.in_type.shape, 8, 8)
    assert torch.equal(again.eval()(x), layer.eval()(x))
    assert (rebuilt(layer.in_type), rebuilt(layer.out_type)) == (layer.in_type, layer.out_type)


@pytest.mark.parametrize("name", [*CONVOLUTIONS, *LAYERS])
def test_exported_for_every_batch(name):
    module = (CONVOLUTIONS | LAYERS)[name](HueShift(4) * P4()).eval()
    x = torch.randn(3, *module.in_type.shape, *SHAPES.get(name, (8, 7)))
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(copy.deepcopy(module), (x,), dynamic_shapes=({0: batch},), strict=False)
    torch.testing.assert_close(program.module()(x[:2]), module(x[:2]))


def test_exported_for_every_size():
    sides = {3: torch.export.Dim("height", min=4, max=64), 4: torch.export.Dim("width", min=4, max=64)}
    x = torch.randn(2, 2, 4, 8, 7)
    for layer in (DiskMask(KIND), Antialiased(Pointwise(KIND)), Upsample(KIND, scale=2), FieldGroupNorm(KIND)):
        program = torch.export.export(layer.eval(), (x,), dynamic_shapes=(sides,), strict=True)
        more = torch.randn(2, 2, 4, 9, 12)
        torch.testing.assert_close(program.module()(more), layer(more))
