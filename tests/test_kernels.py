"""The pipeline that ties entries: it has every kernel, and is used where everything is permuted."""

import numpy as np
import pytest
import torch
from samples import GRID, halves

from equiconv.bases import Harmonics, Pixels
from equiconv.groups import P4M
from equiconv.kernels import OrbitPipeline, SolvedPipeline, TiedPipeline, kernel_pipeline
from equiconv.layers import GroupConv2d
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


def test_a_large_window_takes_an_index_and_no_matrix():
    conv = GroupConv2d(2 * P4M().regular, P4M().quotient([4]), 31, padding=15)
    assert conv.pipeline.source.numel() == 4 * 8 * 31**2
    assert_equivariant(conv)
