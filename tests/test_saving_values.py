"""Every kind of argument in a file."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from saved import OWN, Net, Quarter, Sizes, assert_same, saved
from torch import nn
from torch.nn import functional as F

import equiconv
from equiconv.bases import Derivatives, Harmonics, Pixels
from equiconv.errors import SavingError
from equiconv.groups import O2, P4, P4M, SO2, Cyclic, Dihedral, Flip, HueShift, Representation
from equiconv.groups.field_type import as_type
from equiconv.groups.laws import permutation_matrices
from equiconv.interop import CEConv2d, GroupCosetAvgPool, GroupCosetMaxPool, ceconv, sepgroupy
from equiconv.interop.e2cnn.layers import Both, FixedMask, Gates, OnPlane, PixelDropout, squashed
from equiconv.layers import (
    FieldBatchNorm,
    FieldDropout,
    GroupConv2d,
    NormActivation,
    Pointwise,
)

COLORED = HueShift(3) * P4M()
REPRESENTATIONS = {
    "trivial": P4().trivial,
    "image": COLORED.image,
    "vector": Flip(0.3).vector,
    "irrep": Dihedral(6).irrep(3),
    "continuous": O2(2).regular,
    "irrep of a continuous group": SO2(3).irrep(2),
    "colored continuous": (HueShift(3) * SO2(2)).regular,
    "sum": P4M().trivial + P4M().irrep(4) + P4M().regular,
    "outer product": HueShift(3).regular * P4().irrep(1),
    "quotient": P4M().quotient([4]),
    "named quotient": COLORED.quotient(HueShift(3)),
    "spheres": O2(2).quotient(Flip(0)),
    "induced": P4M().subgroup([1]).irreps[-1].induce(P4M()),
    "restricted": SO2(3).regular.restrict(Cyclic(8)),
    "restricted sum": (P4M().irrep(4) + P4M().regular).restrict([1]),
    "under": HueShift(3).regular.under(HueShift(3) * P4()),
    "of blocks": Cyclic(2).irrep(1).induce(P4()).of_blocks,
    "subgroup": P4M().subgroup(Cyclic(4)).regular,
    "by matrices": Representation(P4(), P4().irrep(1).rho[[0, 3, 2, 1]]),
    "by permutations": Representation(
        P4(), permutation_matrices(np.array([[0, 1], [1, 0]] * 2)), name="swap", flat=True
    ),
}


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_representation(name, tmp_path):
    rep = REPRESENTATIONS[name]
    norm, dropout = FieldBatchNorm(2 * rep), FieldDropout(3 * (rep + rep), 0.25)
    loaded = saved(nn.Sequential(norm, dropout), tmp_path)
    for a, b in ((norm.in_type, loaded[0].in_type), (dropout.in_type, loaded[1].in_type)):
        assert a == b
        assert repr(a) == repr(b)
        assert np.array_equal(a.representation.rho, b.representation.rho)
        assert a.representation.blocks == b.representation.blocks
        for x, y in zip(a.representation.summands, b.representation.summands, strict=True):
            assert np.array_equal(x.rho, y.rho)
        assert a.group.factors == b.group.factors
        assert repr(a.group) == repr(b.group)


BASES = [
    "auto",
    "harmonics",
    "e2cnn",
    Pixels((3, 3)),
    Harmonics((3, 3), rings=[0, 1], widths=(0.5, 0.6), frequencies=(0, 2), decay=1, fading=False),
    Harmonics.complete((3, 3)),
    Derivatives((3, 3), max_order=1, smoothing=0.7),
    Derivatives,
    Harmonics.e2cnn,
    Harmonics.complete,
    partial(Harmonics, decay=0.0, max_frequency=1),
]


@pytest.mark.parametrize("basis", BASES, ids=str)
def test_basis(basis, tmp_path):
    conv = GroupConv2d(P4().image, 2 * P4().regular, 3, basis=basis).double()
    loaded = saved(conv, tmp_path)
    assert_same(conv, loaded, torch.randn(1, 3, 6, 6, dtype=torch.float64))
    assert repr(loaded.basis) == repr(conv.basis)


FUNCTIONS = [
    torch.relu,
    F.relu,
    F.elu,
    torch.tanh,
    F.tanh,
    torch.sigmoid,
    F.silu,
    partial(F.leaky_relu, negative_slope=0.1),
]


def shown(function):
    """Return a name without addresses, which differ between processes."""
    return getattr(function, "__name__", type(function).__name__)


@pytest.mark.parametrize("function", [*FUNCTIONS, nn.PReLU(), nn.Softplus(beta=2.0)], ids=shown)
def test_function(function, tmp_path):
    layer = Pointwise(2 * P4().regular, function)
    assert_same(layer, saved(layer, tmp_path), torch.randn(1, 2, 4, 3, 3))


def test_every_listed_name_is_found():
    from equiconv.saving.names import Names, classes, functions

    names = Names()
    for name, kind in classes().items():
        assert names.the_class(names.of_class(kind)) is kind, name
    for name, function in functions().items():
        assert names.the_function(names.of_function(function)) == function, name
    assert {name for name in equiconv.layers.__all__ if isinstance(getattr(equiconv.layers, name), type)} <= {
        name.rpartition(".")[2] for name in classes()
    }


def test_stock_modules_and_containers(tmp_path):
    net = nn.Sequential(
        nn.Conv2d(3, 4, (3, 2), padding="same", bias=False, padding_mode="circular"),
        nn.BatchNorm2d(4, eps=1e-3, momentum=None),
        nn.ModuleDict({"x": nn.ModuleList([nn.ELU(0.5), nn.Identity()]), "y": nn.LeakyReLU(0.2, inplace=True)}),
        nn.Sequential(nn.MaxPool2d(2, ceil_mode=True), nn.AdaptiveAvgPool2d((None, 2)), nn.Flatten(2)),
        nn.Linear(8, 3, bias=True),
        nn.LayerNorm((3,), bias=False),
        nn.GroupNorm(2, 4),
        nn.Upsample(scale_factor=2.0),
        nn.ConvTranspose2d(2, 2, 3, output_padding=(0, 1), stride=2),
        nn.Softmax(-1),
    )
    loaded = saved(net, tmp_path)
    assert_same(net, loaded)
    assert loaded[1].momentum is None


def test_layers_of_other_libraries(tmp_path):
    net = nn.Sequential(
        CEConv2d(1, 3, 3, 4, 3),
        ceconv.GroupMaxPool2d(2),
        CEConv2d(3, 3, 4, 2, 1),
        sepgroupy.GroupMaxPool2d(2, ceil_mode=True),
        nn.ModuleList([GroupCosetMaxPool(), GroupCosetAvgPool()]),
    )
    loaded = saved(net, tmp_path)
    assert_same(net, loaded)
    x = torch.randn(1, 3, 14, 14)
    for pool, other in zip(net[-1], loaded[-1], strict=True):
        assert torch.equal(pool(net[:-1](x)), other(loaded[:-1](x)))


def test_small_layers_of_e2cnn(tmp_path):
    kind = 2 * P4().irrep(1)
    gates = Gates(
        as_type(P4().trivial + P4().irrep(1)),
        as_type(P4().irrep(1)),
        np.array([1, 2]),
        gate=np.zeros(2, int),
        owner=np.zeros(2, int),
        biases=1,
    )
    layers = [OnPlane(kind, nn.AvgPool2d(2)), FixedMask(kind, np.eye(5)), PixelDropout(kind, 0.2), gates]
    layers += [Both(nn.Identity(), nn.Identity(), NormActivation(kind, squashed))]
    for layer in layers:
        loaded = saved(layer, tmp_path)
        assert_same(layer, loaded)
        assert all(torch.equal(loaded.get_buffer(name), value) for name, value in layer.named_buffers())


def test_own_classes(tmp_path):
    options = {"a": [1, (2.5, None)], "b": {"c": -math.inf}}
    net = Net(Quarter(P4().table, 2), Sizes(2, (1, 2)), nn.ReLU(), nn.Linear(2, 2), options=options)
    options["a"].append(3)  # changed behind its back
    with pytest.raises(SavingError, match="options is"):
        saved(net, tmp_path)
    options["a"].pop()
    loaded = saved(net, tmp_path, known=OWN)
    assert_same(net, loaded, torch.randn(2, 3, 5, 5))
    assert loaded.options == {"a": [1, (2.5, None)], "b": {"c": -math.inf}}
    assert type(loaded.lift.in_type.group) is Quarter
    assert loaded.lift.in_type.group.scale == 2
    for left_out in OWN:
        with pytest.raises(SavingError, match=rf"own\.{left_out.__name__}.*known=\[{left_out.__name__}\]"):
            equiconv.load(tmp_path / "module.safetensors", known=[each for each in OWN if each is not left_out])
    with pytest.raises(SavingError, match="known lists"):
        equiconv.load(tmp_path / "module.safetensors", known=["Net"])
