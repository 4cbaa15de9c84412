"""Rows of studies: what their kernels are made of, and how they are drawn."""

import cmath
import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmarks.networks import BASES
from benchmarks.studies import Row, Study
from benchmarks.studies.row import INITIALIZATIONS
from benchmarks.studies.table import costs, summarize
from benchmarks.training import Recipe
from equiconv import EquiconvError, GroupConv2d
from equiconv.bases import Harmonics, Pixels
from equiconv.models import ChannelPooledCNN

SMALL = {"depth": 10, "widen": 0.4}


def convs(row):
    torch.manual_seed(0)
    return [each for each in row.network(3, 10).modules() if isinstance(each, GroupConv2d)]


def gaussian_rings(side, widths, faded=False):
    """Return plain rings with frequencies up to pi r, ``(functions, pixels)``, cosine and sine together of norm 1."""
    functions = []
    for ring, width in enumerate(widths):
        for frequency in range(math.floor(math.pi * ring) + 1):
            parts = torch.zeros(2 if frequency else 1, side, side, dtype=torch.float64)
            for i, j in itertools.product(range(side), repeat=2):
                z = complex(j - side // 2, side // 2 - i)
                if frequency and z == 0:
                    continue
                wave = cmath.rect(math.exp(-(((abs(z) - ring) / width) ** 2) / 2), frequency * cmath.phase(z))
                wave *= 1 - (2 * abs(z) / (side + 1)) ** 2 if faded else 1
                parts[:, i, j] = torch.tensor([wave.real, wave.imag])[: len(parts)]
            functions.append((parts / (parts.square().sum() / len(parts)).sqrt()).flatten(1))
    return torch.cat(functions)


STEEP = [  # name, side, widths of the rings at 0, 1, 2
    *(("steep", 1, (0.005,)), ("steep", 3, (0.005, 0.4)), ("steep", 5, (0.005, 0.6, 0.4))),
    *(("steep-0.45", side, (0.45,) * (side // 2 + 1)) for side in (1, 3, 5)),
]


@pytest.mark.parametrize(("name", "side", "widths"), STEEP)
def test_steep_kernels_are_plain_rings_of_norm_one(name, side, widths):
    basis = BASES[name]((side, side))
    found, plain = torch.from_numpy(basis.samples()), gaussian_rings(side, widths)
    count = {1: 1, 3: 8, 5: 21}[side]
    assert len(found) == len(plain) == count
    assert same_span(found, plain, count)
    parts = found.split([2 if frequency else 1 for frequency in basis.waves])
    assert [float(part.square().sum() / len(part)) for part in parts] == pytest.approx([1] * len(parts))
    if side > 1:
        assert not same_span(found, gaussian_rings(side, widths, faded=True), count)


def same_span(a, b, rank):
    return all(torch.linalg.matrix_rank(each, rtol=1e-6) == rank for each in (a, b, torch.cat([a, b])))


def test_a_basis_has_a_name():
    for name, width in (("steep", 0.4), ("steep-0.45", 0.45)):
        bases = [conv.basis for conv in convs(Row("a", "Flip", {**SMALL, "basis": name}, "wide-resnet16-8"))]
        assert all(isinstance(basis, Harmonics) for basis in bases)
        assert {basis.frequencies for basis in bases} == {(0,), (0, 3), (0, 3, 6)}
        assert {basis.widths[-1] for basis in bases if len(basis.widths) > 1} == {width}
    plain = Row("a", "Flip", {**SMALL, "basis": "pixels"}, "wide-resnet16-8")
    assert all(isinstance(conv.basis, Pixels) for conv in convs(plain))
    with pytest.raises(EquiconvError, match=rf"basis is one of {', '.join(BASES)}; got 'rings'"):
        convs(Row("a", "P4", {"width": 2, "basis": "rings"}))


def test_kernels_are_drawn_as_the_row_says():
    rows = [Row("a", "P4M", SMALL, "wide-resnet16-8", init) for init in (None, "he-normal", "delta-orthogonal")]
    assert len({str(row.key) for row in rows}) == 3
    for row in rows:
        around = [_around_the_center(conv.kernel()) for conv in convs(row) if conv.window.kernel != (1, 1)]
        assert all(value < 1e-6 for value in around) == (row.init == "delta-orthogonal")
    usual, he = (convs(row)[0].kernel() for row in rows[:2])
    assert not torch.equal(usual, he)
    assert len({str(row.network(3, 10).head.bias.any()) for row in rows}) == 2


def _around_the_center(kernel):
    middle = kernel.shape[-1] // 2
    rest = kernel.detach().clone()
    rest[..., middle, middle] = 0
    return float(rest.abs().max())


def test_what_a_network_costs_is_measured_without_drawing_its_kernels(monkeypatch):
    row = Row("a", "P4M", {**SMALL, "exact": False}, "wide-resnet16-8", "delta-orthogonal")
    study = Study("s", "s", "digits", 16, 3, 1, Recipe(1), (row,))
    plain = costs(replace(row, init=None), study, 10)
    monkeypatch.setitem(INITIALIZATIONS, "delta-orthogonal", None)
    with pytest.raises(TypeError):
        row.network(3, 10)
    assert costs(row, study, 10) == plain


def test_normal_coefficients_of_the_steerable_network():
    options = {"width": 0.3, "basis": "e2cnn"}
    row = Row("a", "Cyclic(8)", options, "steerable-cnn-small", "he-normal")
    usual, he = convs(replace(row, init=None)), convs(row)
    assert len(he) == 6
    for a, b in zip(usual[1:], he[1:], strict=True):
        uniform, normal = (conv.weight.detach() * math.sqrt(conv.fan_in) for conv in (a, b))
        assert uniform.abs().max() <= 1 + 1e-5
        assert normal.abs().max() > 2.5
        assert normal.std().item() == pytest.approx(1, rel=0.1)
        assert a.bias.any()
        assert not b.bias.any()
    head = row.network(1, 10).head
    assert all(layer.bias.any() for layer in head if isinstance(layer, nn.Linear))


def test_a_network_that_cannot_be_drawn_so_is_told():
    with pytest.raises(EquiconvError, match=r"init is one of delta-orthogonal, he-normal; got 'zero'"):
        Row("a", "P4M", SMALL, "wide-resnet16-8", "zero").network(3, 10)
    with pytest.raises(EquiconvError, match="init is for networks that have initialize; CNN has not"):
        Row("a", "P4", {"width": 2}, init="he-normal").network(3, 10)


ORDINARY = Row("a", options={"orders": (4, 2, 1), "width": 22}, model="cnn-basic")


def test_a_row_may_have_no_group():
    net = ORDINARY.network(3, 5)
    assert isinstance(net, ChannelPooledCNN)
    assert net(torch.rand(2, 3, 28, 28)).shape == (2, 5)
    assert ORDINARY.groups == "none"
    assert Row("a", ("P4", "Trivial"), {"width": 2}).groups == "P4, Trivial"
    ORDINARY.check()
    wider = replace(ORDINARY, options={"orders": 4, "width": 24})
    assert str(wider.key) != str(ORDINARY.key) == str(replace(ORDINARY, name="b").key)
    with pytest.raises(EquiconvError, match="init is for networks that have initialize; ChannelPooledCNN has not"):
        replace(ORDINARY, init="he-normal").network(3, 5)


def test_an_ordinary_network_costs_what_its_convolutions_do():
    study = Study("s", "s", "digits", 28, 1, 1, Recipe(1), (ORDINARY,))
    found, net = costs(ORDINARY, study, 10), ORDINARY.network(1, 10)
    widths = (22, 33, 44, 44, 66, 88)
    pixels = (24 * 24, 24 * 24, 12 * 12, 12 * 12, 6 * 6, 2 * 2)
    sides = (7, 5, 5, 5, 5, 5)
    work = zip((1, *widths), widths, pixels, sides, strict=False)
    expected = sum(before * after * area * side**2 for before, after, area, side in work)
    assert found["macs"] == expected + 32 * 128 + 128 * 10
    assert found["parameters"] == sum(parameter.numel() for parameter in net.parameters())
    assert found["peak_memory"] > 4 * found["parameters"]
    row = summarize(ORDINARY, study, [], found)
    assert (row["model"], row["group"]) == ("cnn-basic", "none")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (Row("a", "P4", {"orders": 4}, "vgg"), "'vgg' is an ordinary network, without a group: leave it out; got 'P4'"),
        (Row("a", None, {"width": 2}), "'cnn' needs a group"),
        (Row("a", "P4", model="vgg16"), "the networks are cnn, .*; got 'vgg16'"),
    ],
)
def test_rows_say_a_group_where_the_network_has_one(row, message):
    with pytest.raises(EquiconvError, match=message):
        row.check()
    with pytest.raises(EquiconvError):
        row.network(3, 10)
