"""Kernels between sums, pair by pair of their summands: the space, the variance, what cannot be reached, the size."""

import copy
import cProfile
import pstats
from functools import reduce
from operator import add

import numpy as np
import pytest
import torch

import equiconv
from equiconv.bases import Harmonics, Pixels
from equiconv.errors import FieldTypeError
from equiconv.groups import P4, P4M, SO2, Cyclic, Dihedral, HueShift, Representation, irreps
from equiconv.init import delta_orthogonal_, he_normal_
from equiconv.kernels import OrbitPipeline, SolvedPipeline, TiedPipeline
from equiconv.layers import GroupConv2d
from equiconv.sums import LARGEST, SumPipeline, kernel_pipeline
from equiconv.testing import assert_equivariant

GROUPS = [P4(), P4M(), Cyclic(8), HueShift(3) * P4(), SO2(3)]


def direct_sum(kinds):
    """Return a long sum, made at once."""
    rho = irreps.direct_sum([kind.rho for kind in kinds])
    return Representation(kinds[0].group, rho, name="a long sum", summands=tuple(kinds))


def summands(group):
    """Return representations of all kinds; the first comes twice, so that entries are not in the order of the kinds."""
    if isinstance(group, type(SO2(3))):
        kinds = [group.trivial, group.vector, *group.irreps[2:], group.vector + group.trivial]
    else:
        half = P4M().subgroup([4]) if group == P4M() else group.subgroup([group.order // 2])
        kinds = [group.irreps[-1], group.trivial, group.vector, group.image, group.quotient([group.order // 2])]
        kinds += [half.irreps[-1].induce(group), *([group.regular] if group.order < 10 else [])]
    return [*kinds, kinds[0]]


def basis_for(group, size=3):
    return Harmonics((size, size)) if group in (Cyclic(8), SO2(3)) else Pixels((size, size))


def pair(group):
    """Return both pipelines between the sum of all kinds and its reverse, in double precision."""
    kinds = summands(group)
    ends = reduce(add, kinds), reduce(add, kinds[::-1])
    return ends, [make(*ends, basis_for(group)).double() for make in (SumPipeline, SolvedPipeline)]


def kernels(pipeline):
    """Return the kernel of each coefficient, ``(c, g, f*k*k)``."""
    (count,) = pipeline.coefficient_shape
    made = pipeline.expand(torch.eye(count, dtype=torch.float64)[None])  # (g, c*f, k, k)
    return made.unflatten(1, (count, -1)).transpose(0, 1).flatten(2)


def assert_same_space(joined, whole):
    """Assert that as many independent kernels span what the kernels of the whole span."""
    assert joined.coefficient_shape == whole.coefficient_shape
    ours, theirs = (kernels(each).flatten(1).T for each in (joined, whole))
    q, r = torch.linalg.qr(ours)
    assert r.diagonal().abs().min() > 1e-6 * r.diagonal().abs().max()
    assert (theirs - q @ (q.T @ theirs)).abs().max() < 1e-10


@pytest.mark.parametrize("group", GROUPS, ids=repr)
def test_the_same_space_as_of_the_whole(group):
    _, (joined, whole) = pair(group)
    assert joined.rows is not None
    assert joined.columns is not None
    assert_same_space(joined, whole)


@pytest.mark.parametrize("broken", ["swapped", "elsewhere", "unsorted", "lost"])
def test_broken_joins_have_another_space(broken):
    group = Cyclic(8)
    kinds = group.trivial + group.irrep(3) + group.irrep(1) + group.trivial
    joined, whole = (make(kinds, kinds, Harmonics((3, 3))).double() for make in (SumPipeline, SolvedPipeline))
    assert_same_space(joined, whole)
    assert not {(0, 1), (1, 0)} & set(joined.places)  # no kernels of frequency 3
    if broken == "swapped":
        here, there = joined.places.index((1, 2)), joined.places.index((2, 1))
        joined.parts[here], joined.parts[there] = joined.parts[there], joined.parts[here]
    elif broken == "elsewhere":
        joined.places[joined.places.index((2, 0))] = (1, 0)
    elif broken == "unsorted":
        joined.columns = None
    else:
        joined.parts[0].drawn = joined.parts[0].drawn * 0
    with pytest.raises(AssertionError):
        assert_same_space(joined, whole)


def variances(pipeline, ends):
    """Return the mean variance of each summand of the output, for coefficients and an input of variance 1."""
    entries = kernels(pipeline).square().sum((0, 2))  # (g,)
    return torch.stack([part.mean() for part in entries.split(ends[0].sizes)])


@pytest.mark.parametrize("group", GROUPS, ids=repr)
def test_every_summand_has_the_variance_of_free_coefficients(group):
    ends, (joined, whole) = pair(group)
    expected = torch.full((len(ends[0].summands),), ends[1].dim * basis_for(group).size, dtype=torch.float64)
    turned = 0.05 if group == Cyclic(8) else 1e-10  # the norms of moved harmonics differ on the pixels
    for pipeline in (joined, whole):
        torch.testing.assert_close(variances(pipeline, ends), expected, rtol=turned, atol=0)


def test_pairs_without_kernels_take_no_variance():
    group = SO2(5)
    kinds = reduce(add, [group.irrep(k) for k in (0, 1, 4, 5)])
    joined = SumPipeline(kinds, kinds, Harmonics((3, 3))).double()
    assert 4 < len(joined.places) < 16
    expected = torch.full((4,), kinds.dim * Harmonics((3, 3)).size, dtype=torch.float64)
    torch.testing.assert_close(variances(joined, (kinds, kinds)), expected, rtol=1e-10, atol=0)
    joined.scales = [1.0] * len(joined.scales)
    assert (variances(joined, (kinds, kinds)) < 0.8 * expected).all()


@pytest.mark.parametrize("size", [1, 3])
def test_a_summand_that_no_kernel_reaches_is_refused(size, monkeypatch):
    group = SO2(6)
    source, target = group.trivial + group.irrep(1), group.trivial + group.irrep(6) + group.trivial
    basis = Harmonics((size, size))
    assert SumPipeline(target, source, basis).unreached == (group.irrep(6),)
    assert SolvedPipeline(target, source, basis).unreached == (group.irrep(6),)
    for largest in (LARGEST, 0):  # at once, and pair by pair
        monkeypatch.setattr("equiconv.sums.LARGEST", largest)
        with pytest.raises(FieldTypeError, match=rf"no {size}x{size} kernel maps .* to SO2\(6\)\.irrep\(6\)"):
            kernel_pipeline(target, source, basis)


def test_which_sums_go_pair_by_pair():
    group, pixels = P4M(), Pixels((3, 3))
    short = group.trivial + group.quotient([1])
    assert isinstance(kernel_pipeline(short, short, pixels), TiedPipeline)
    assert isinstance(kernel_pipeline(short, group.vector, pixels), SolvedPipeline)
    mixed = group.regular + group.regular + group.vector
    assert (mixed.dim**2 * 9) ** 2 > LARGEST
    joined = kernel_pipeline(mixed, mixed, pixels)
    assert isinstance(joined, SumPipeline)
    assert [type(part) for part in joined.parts] == [OrbitPipeline, OrbitPipeline, SolvedPipeline, SolvedPipeline]
    assert isinstance(kernel_pipeline(group.regular, mixed, pixels), OrbitPipeline)
    many = direct_sum([group.regular] * 41 + [group.trivial])
    assert isinstance(kernel_pipeline(many, many, pixels), TiedPipeline)
    assert isinstance(kernel_pipeline(many, many, Pixels((5, 5))), SumPipeline)


def unlike(group):
    """Return a sum of unlike summands, neither sorted nor of kernels between all of them, that is not short."""
    return reduce(add, [group.trivial, group.irreps[-1], group.regular, group.trivial, group.regular])


LAYERS = [(P4M(), 3), (Cyclic(8), 5), (HueShift(3) * P4(), 3)]


@pytest.mark.parametrize(("group", "size"), LAYERS, ids=repr)
def test_layers_are_equivariant(group, size):
    kind = 2 * unlike(group)
    conv = GroupConv2d(kind, kind, size, channel_groups=2).double()
    assert isinstance(conv.pipeline, SumPipeline)
    exact = [P4()] if group == Cyclic(8) else []
    ends = [end.restrict(*exact) if exact else end for end in (conv.in_type, conv.out_type)]
    assert_equivariant(conv, *ends)
    conv.pipeline.columns = None
    with pytest.raises(AssertionError):
        assert_equivariant(conv, *ends)


def test_initializations():
    kind = 3 * unlike(P4M())
    torch.manual_seed(0)
    conv = delta_orthogonal_(GroupConv2d(kind, kind, 3, bias=False).double())
    assert isinstance(conv.pipeline, SumPipeline)
    kernel = conv.kernel().detach()
    torch.testing.assert_close(kernel[:, :, 1, 1] @ kernel[:, :, 1, 1].T, torch.eye(kind.channels).double())
    assert kernel.square().sum().item() == pytest.approx(kind.channels)
    sizes = [he_normal_(conv, gain=2.0).kernel().square().sum((1, 2, 3)).mean().item() for _ in range(20)]
    assert np.mean(sizes) == pytest.approx(4, rel=0.05)


def test_precisions_devices_copies_and_files(tmp_path):
    kind = 1 * unlike(P4M())
    conv = GroupConv2d(kind, kind, 3)
    x = torch.randn(1, *kind.shape, 7, 7)
    with torch.device("meta"):
        made = GroupConv2d(kind, kind, 3)
    made.load_state_dict(conv.state_dict(), assign=True)
    equiconv.save(conv, tmp_path / "conv.safetensors")
    for other in (made, copy.deepcopy(conv), equiconv.load(tmp_path / "conv.safetensors")):
        assert torch.equal(other(x), conv(x))
    fine = copy.deepcopy(conv).double()
    assert all(table.dtype in (torch.float64, torch.int64) for table in fine.pipeline.buffers())
    torch.testing.assert_close(fine(x.double()).float(), conv(x), rtol=1e-4, atol=1e-5)


def test_graphs_and_ensembles():
    kind = 2 * unlike(P4M())
    conv = GroupConv2d(kind, kind, 3)
    x = torch.randn(2, *kind.shape, 5, 5)
    torch.compiler.reset()
    for graph in (torch.export.export(conv, (x,)).module(), torch.compile(conv, fullgraph=True, backend="eager")):
        torch.testing.assert_close(graph(x), conv(x))
    weights = torch.stack([conv.weight, 2 * conv.weight]).detach()
    made = torch.func.vmap(conv.pipeline.expand)(weights)
    torch.testing.assert_close(made[1], 2 * conv.kernel())


@pytest.mark.parametrize("group", [Cyclic(8), Cyclic(16), Dihedral(4)], ids=repr)
def test_building_a_long_sum_is_quick_and_takes_little_memory(group):
    """Counted, not timed: one small table for each pair of unlike summands, however many of each there are."""
    tables, calls = [], []
    for count in (7, 14):
        kind = 1 * direct_sum([group.regular] * count + [group.irreps[1]] * 5)
        profile = cProfile.Profile()
        profile.enable()
        conv = GroupConv2d(kind, kind, 7)
        profile.disable()
        calls.append(pstats.Stats(profile).total_calls)
        tables.append(sum(table.numel() for table in conv.pipeline.parts.buffers()))
        assert conv.weight.numel() > 9000
    assert tables[0] == tables[1] < 150_000
    assert max(calls) < 60_000
    whole = kind.fiber**4 * conv.basis.size * 49 / group.order
    assert whole > 1e4 * tables[1]  # what a table between the sums would have
