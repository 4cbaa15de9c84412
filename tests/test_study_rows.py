"""Rows of studies: what their kernels are made of, and how they are drawn."""

import pytest
import torch

from benchmarks.networks import BASES
from benchmarks.studies import Row
from equiconv import EquiconvError, GroupConv2d
from equiconv.bases import Harmonics, Pixels

SMALL = {"depth": 10, "widen": 0.4}


def convs(row):
    torch.manual_seed(0)
    return [each for each in row.network(3, 10).modules() if isinstance(each, GroupConv2d)]


def test_a_basis_has_a_name():
    for name, width in (("steep", 0.6), ("steep-0.45", 0.45)):
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


def test_a_network_that_cannot_be_drawn_so_is_told():
    with pytest.raises(EquiconvError, match=r"init is one of delta-orthogonal, he-normal; got 'zero'"):
        Row("a", "P4M", SMALL, "wide-resnet16-8", "zero").network(3, 10)
    with pytest.raises(EquiconvError, match="init is for networks that have initialize; CNN has not"):
        Row("a", "P4", {"width": 2}, init="he-normal").network(3, 10)
