"""The pipelines that tie entries, and that go pair by pair: they have every kernel, and where they are used."""

import numpy as np
import pytest
import torch
from samples import GRID, halves

from equiconv.bases import Harmonics, Pixels
from equiconv.groups import P4, P4M, Cyclic
from equiconv.init import delta_orthogonal_
from equiconv.kernels import OrbitPipeline, SolvedPipeline, TiedPipeline
from equiconv.layers import GroupConv2d
from equiconv.sums import SumPipeline, kernel_pipeline
from equiconv.testing import assert_equivariant


@pytest.mark.parametrize("group", GRID, ids=repr)
def test_one_coefficient_for_each_kernel_that_the_group_leaves_alone(group):
    basis = Pixels((3, 3))
    target = group.trivial + halves(group) + group.regular
    pipeline = kernel_pipeline(target, group.regular, basis)
    assert isinstance(pipeline, TiedPipeline)
    (count,) = pipeline.coefficient_shape
    kernels = pipeline.act(torch.eye(count)[:, None]).flatten(1)  # (c, entries)
    assert kernels.sum(0).eq(1).all()  # every entry has one coefficient
    plane = np.trace(basis.action(group), axis1=1, axis2=2)
    assert count == round(float((target.character * group.regular.character * plane).mean()))  # of the invariants


def test_which_pipeline():
    group, pixels = P4M(), Pixels((3, 3))
    assert isinstance(kernel_pipeline(group.regular, group.regular, pixels), OrbitPipeline)
    assert isinstance(kernel_pipeline(group.quotient([1]), group.regular, pixels), TiedPipeline)
    assert isinstance(kernel_pipeline(group.quotient([1]), group.vector, pixels), SolvedPipeline)
    assert isinstance(kernel_pipeline(group.vector, group.regular, pixels), SolvedPipeline)
    assert isinstance(kernel_pipeline(group.trivial, group.regular, Harmonics((3, 3))), SolvedPipeline)


TURNS = Cyclic(8)
UNIT = TURNS.regular + TURNS.quotient(P4()) + TURNS.quotient(P4()) + TURNS.trivial


@pytest.mark.parametrize(("target", "source"), [(UNIT, UNIT), (UNIT, TURNS.regular), (TURNS.trivial, UNIT)], ids=repr)
def test_pair_by_pair_there_are_the_same_kernels(target, source):
    basis = Harmonics((3, 3))
    kernels = []
    for pipeline in (SumPipeline(target, source, basis), SolvedPipeline(target, source, basis)):
        (count,) = pipeline.coefficient_shape
        kernels.append(pipeline.double().expand(torch.eye(count, dtype=torch.double)[:, None]).view(count, -1))
    ranks = [torch.linalg.matrix_rank(each).item() for each in (*kernels, torch.cat(kernels))]
    assert ranks == [len(kernels[0])] * 3


def test_pair_by_pair_every_field_has_coefficients_and_a_variance_of_its_own():
    torch.manual_seed(0)
    conv = GroupConv2d(2 * UNIT, 3 * UNIT, 5, padding=2, bias=False).double()
    assert conv.weight[0, 0].numel() == SolvedPipeline(UNIT, UNIT, conv.basis).coefficient_shape[0]
    assert_equivariant(conv, conv.in_type.restrict(P4()), conv.out_type.restrict(P4()))
    variances = []
    for _ in range(200):
        conv.reset_parameters()
        sums = conv.kernel().square().sum((1, 2, 3)).view(3, -1).detach()
        variances.append([part.mean() for part in sums.split(UNIT.sizes, 1)])
    assert torch.tensor(variances).mean(0).tolist() == pytest.approx([1 / 3] * len(UNIT.sizes), rel=0.1)
    center = delta_orthogonal_(GroupConv2d(2 * UNIT, 2 * UNIT, 5).double()).kernel()[:, :, 2, 2]
    assert torch.allclose(center @ center.T, torch.eye(2 * UNIT.dim, dtype=torch.double), atol=1e-6)


def test_a_large_window_takes_an_index_and_no_matrix():
    conv = GroupConv2d(2 * P4M().regular, P4M().quotient([4]), 31, padding=15)
    assert conv.pipeline.source.numel() == 4 * 8 * 31**2
    assert_equivariant(conv)
