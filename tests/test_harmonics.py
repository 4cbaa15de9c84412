"""Harmonics: the dimensions of e2cnn, the constraint on the continuous plane, and what is exact on pixels."""

import json
import operator
from functools import cache, partial, reduce
from pathlib import Path

import numpy as np
import pytest
import torch
from samples import CONVOLUTIONS, OFF_GRID

from equiconv.bases import Derivatives, Harmonics, Pixels
from equiconv.errors import ExactnessError, FieldTypeError, ShapeError
from equiconv.groups import O2, P4, P4M, SO2, Cyclic, Dihedral, Flip, HueShift, Trivial
from equiconv.layers import GroupConv2d
from equiconv.solve import equivariant_kernels
from equiconv.testing import assert_equivariant, equivariance_error

DIMENSIONS = json.loads((Path(__file__).parent / "golden" / "e2cnn_dimensions.json").read_text())
GROUPS = [*OFF_GRID, P4M(), HueShift(3) * Cyclic(8), HueShift(4) * Dihedral(3), Trivial()]
CONTINUOUS = [SO2(), O2(2), HueShift(3) * SO2(2)]


def named_group(name):
    others = {"Flip": Flip, "C1": Trivial, "SO2": SO2, "O2": O2}
    if name in others:
        return others[name]()
    return (Cyclic if name[0] == "C" else Dihedral)(int(name[1:]))


def named_rep(group, name):
    """Return the representation that e2cnn calls so. Its mirror line is the vertical one, ours the horizontal one."""
    if isinstance(group, SO2 | O2):
        return continuous_rep(group, name)
    n = len(group.table) // 2 if isinstance(group, Dihedral) else group.order
    vertical = n // 2 if n % 2 == 0 else 0  # turn by half a turn, then flip rows: flips columns
    simple = {"trivial": lambda: group.trivial, "regular": lambda: group.regular, "irrep_1,0": lambda: group.irrep(1)}
    others = {
        "irrep1": lambda: (
            group.vector if group.order > 2 and n > 2 else group.irreps[2 if n == 2 and group.order == 4 else 1]
        ),
        "quotient_C2": lambda: group.quotient([n // 2]),
        "quotient_flip": lambda: group.quotient([n + vertical]),
        "quotient_rot": lambda: group.quotient([1]),
    }
    return (simple | others)[name]()


def continuous_rep(group, name):
    sign = isinstance(group, O2)
    if name.startswith("bandlimited"):
        kind, frequency = name.removeprefix("bandlimited_").split("_F")
        smaller = type(group)(int(frequency))
        narrow = smaller.regular if kind == "regular" else smaller.quotient(Flip())
        return sum_of([group.irrep(k) for k in narrow.decompose()[0]])
    named = {"trivial": group.irrep(0), "irrep_1,0": group.irrep(1)}
    if name == "quotient_SO2":
        return group.quotient(SO2())
    return named[name] if name in named else group.irrep(int(name.removeprefix("irrep")) + sign)


def sum_of(reps):
    return reduce(operator.add, reps)


@pytest.mark.parametrize("name", DIMENSIONS)
def test_dimensions_of_e2cnn(name):
    group = named_group(name)
    named = cache(partial(named_rep, group))
    for kernel, pairs in DIMENSIONS[name].items():
        action = Harmonics.e2cnn((int(kernel[1:]),) * 2).action(group)
        for pair, dim in pairs.items():
            source, target = map(named, pair.split("->"))
            assert len(equivariant_kernels(target, source, action)) == dim, (kernel, pair)


@pytest.mark.parametrize("group", [*GROUPS, *CONTINUOUS], ids=repr)
def test_the_constraint_on_the_continuous_plane(group):
    """K(A_g x) = rho_out(g) K(x) rho_in(g)^-1 at random points."""
    basis = Harmonics((5, 5))
    points = np.random.default_rng(0).uniform(-2.5, 2.5, (20, 2))
    for source, target in (
        (group.regular, group.irreps[-1]),
        (group.vector, group.image),
        (group.irreps[-1], group.quotient([group.generators[-1]] if group.generators else [])),
    ):
        kernels = equivariant_kernels(target, source, basis.action(group))
        values = np.einsum("bois,sp->boip", kernels, basis.evaluate(points))
        for g in range(group.order):
            moved = np.einsum("bois,sp->boip", kernels, basis.evaluate(points @ group.plane[g].T))
            expected = np.einsum("po,boiq,ri->bprq", target.rho[g], values, source.rho[g])
            np.testing.assert_allclose(moved, expected, atol=1e-10)
            if g == 1 and len(kernels) and group.moves_plane:
                assert abs(moved - values).max() > 1e-3  # not because nothing moves


@pytest.mark.parametrize("group", GROUPS, ids=repr)
def test_a_moved_kernel_is_the_kernel_at_the_points_moved_back(group):
    basis = Harmonics((5, 5))
    conv = GroupConv2d(group.regular, group.regular, 5, basis=basis).double()
    weight = conv.weight[0, 0].detach().numpy()  # (f, s)
    kernel = conv.kernel().detach().numpy().reshape(group.order, group.order, 25)
    offsets = np.arange(5) - 2
    points = np.stack([np.tile(offsets, 5), np.repeat(-offsets, 5)], -1)
    for g in range(group.order):
        values = basis.evaluate(points @ group.plane[g])  # A_g^-1 x, for rows x
        for h in range(group.order):
            source = group.table[group.inverse[g], h]
            np.testing.assert_allclose(kernel[g, h], weight[source] @ values, atol=1e-12)


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 6, 7, 9, 11])
def test_normalization(side):
    basis = Harmonics((side, side))
    samples = basis.samples()
    assert 1 <= basis.condition < 6
    gram = samples @ samples.T
    np.testing.assert_allclose(np.trace(gram), basis.size, rtol=1e-9)
    assert np.linalg.matrix_rank(gram) == basis.size
    turned = basis.action(P4()) @ samples  # cosine and sine together: no turn changes the norms
    np.testing.assert_allclose((turned**2).sum((1, 2)), basis.size, rtol=1e-9)


def test_the_usual_choice_and_that_of_e2cnn():
    usual, theirs = Harmonics((7, 7)), Harmonics.e2cnn((7, 7))
    assert usual.rings == theirs.rings == (0, 1, 2, 3)
    assert (usual.widths, usual.frequencies) == ((0.005, 0.6, 0.6, 0.6), (0, 1, 2, 4))
    assert (theirs.widths, theirs.frequencies) == ((0.005, 0.6, 0.6, 0.4), (0, 2, 3, 2))
    assert usual.size == theirs.size == 18
    assert Harmonics((7, 7), max_frequency=2).waves == tuple(m for m in usual.waves if m <= 2)


def test_fading_and_decay():
    rings = {"rings": (0, 1, 2), "widths": (0.6, 0.6, 0.6), "frequencies": (0, 1, 3)}
    plain = Harmonics((5, 5), **rings, fading=False, decay=0)
    fading = Harmonics((5, 5), **rings, decay=0)
    weaker = Harmonics((5, 5), **rings)
    border = np.abs(plain.points()).max(1) == 2
    assert (fading.samples()[:, border] ** 2).sum() < (plain.samples()[:, border] ** 2).sum()
    outside = np.array([[3.0, 0.0], [2.2, 2.2]])
    assert abs(plain.evaluate(outside)).max() > 0
    assert abs(fading.evaluate(outside)).max() == 0
    squares = [(part**2).sum() / len(part) for part in np.split(weaker.samples(), [1, 2, 3, 5, 7, 9])]
    np.testing.assert_allclose(squares, squares[0] / (1 + np.array(weaker.waves)), rtol=1e-9)


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 6, 7])
def test_complete_harmonics_span_every_kernel(side):
    basis = Harmonics.complete((side, side))
    assert np.linalg.matrix_rank(basis.samples(), 1e-3) == side**2 <= basis.size
    usual = Harmonics((side, side))
    assert side == 1 or np.linalg.matrix_rank(usual.samples(), 1e-3) < side**2


def test_rings_of_ones_own():
    basis = Harmonics((7, 7), rings=(0, 1, 2), widths=(0.7, 0.7, 0.7), frequencies=(0, 2, 3))
    assert basis.size == 1 + 5 + 7
    assert repr(eval(repr(basis))) == repr(basis)
    wide = Harmonics((7, 7), rings=(0, 1, 2), widths=(0.7, 0.7, 1.5), frequencies=(0, 2, 3))
    assert abs(wide.samples() - basis.samples()).max() > 0.01
    assert_equivariant(GroupConv2d(P4M().image, 2 * P4M().regular, 7, basis=basis))


@pytest.mark.parametrize(
    "name", [name for name in CONVOLUTIONS if name not in ("irrep to irrep", "invariant to group", "enlarging")]
)
@pytest.mark.parametrize("group", OFF_GRID, ids=repr)
def test_groups_off_the_grid(group, name):
    """Exact for the elements that keep the grid; a few percent for the others, of which a part is interpolation."""
    layer = CONVOLUTIONS[name](group)
    for part in (P4(), P4M(), Cyclic(2)):
        if group.order % 8 == 0 and isinstance(group, Cyclic) and not isinstance(part, Dihedral):
            assert_equivariant(layer, layer.in_type.restrict(part), layer.out_type.restrict(part))
    assert equivariance_error(layer, size=(41, 41)) < (0.3 if name in ("even", "strided", "1x1") else 0.12)


def test_turned_backwards_is_seen():
    group = Cyclic(8)
    conv = GroupConv2d(group.image, 2 * group.regular, 5)
    good = equivariance_error(conv, size=(41, 41))
    conv.pipeline._masters["samples"] = conv.pipeline._masters["samples"][group.inverse]
    assert equivariance_error(conv.float(), size=(41, 41)) > 5 * good


class Blunt(Harmonics):
    """Harmonics that are not zero at the center."""

    def _raw(self, points, m):
        return super()._raw(points + 1e-6, m)


def test_harmonics_that_are_finite_at_the_center_are_seen():
    broken = Blunt((5, 5), rings=(0, 1, 2), widths=(0.6, 0.6, 0.4), frequencies=(2, 2, 2))
    sound = Harmonics((5, 5), rings=(0, 1, 2), widths=(0.6, 0.6, 0.4), frequencies=(2, 2, 2))
    assert_equivariant(GroupConv2d(P4().image, 2 * P4().regular, 5, basis=sound))
    with pytest.raises(AssertionError):
        assert_equivariant(GroupConv2d(P4().image, 2 * P4().regular, 5, basis=broken))


def test_auto_takes_pixels_where_they_are_exact():
    assert isinstance(GroupConv2d(P4M().image, P4M().regular, 3).basis, Pixels)
    assert isinstance(GroupConv2d(Cyclic(8).image, Cyclic(8).regular, 3).basis, Harmonics)
    assert isinstance(GroupConv2d(P4M().image, P4M().regular, 3, basis="harmonics").basis, Harmonics)
    assert GroupConv2d(P4M().image, P4M().regular, 3, basis=Harmonics.complete).basis.size == 9
    assert isinstance(GroupConv2d(P4M().image, P4M().regular, 3, basis=Derivatives).basis, Derivatives)


def test_harmonics_of_p4m_are_exact_for_all_types():
    group = P4M()
    for source, target in (
        (group.image, group.regular),
        (group.regular, group.irrep(2)),
        (group.vector, group.regular),
    ):
        for factorization in (None, "g") if target is group.regular else (None,):
            conv = GroupConv2d(2 * source, 2 * target, 5, basis="harmonics", factorization=factorization)
            assert_equivariant(conv)


@pytest.mark.parametrize("factorization", [None, "g", "gc"])
@pytest.mark.parametrize("group", [Cyclic(8), Dihedral(3)], ids=repr)
def test_the_signal_keeps_its_size(group, factorization):
    conv = GroupConv2d(8 * group.regular, 32 * group.regular, 5, factorization=factorization, bias=False)
    sizes = []
    for _ in range(6):
        conv.reset_parameters()
        sizes.append(conv(torch.randn(4, 8, group.order, 12, 12)).square().mean().item())
    assert sum(sizes) / 6 == pytest.approx(1 / 3, rel=0.1)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Harmonics((3, 5)), ShapeError, "square"),
        (lambda: Harmonics((2, 2), rings=(0,), widths=(0.01,)), ShapeError, "no pixel"),
        (lambda: Harmonics.e2cnn((2, 2)), ShapeError, "no pixel"),
        (lambda: Harmonics((5, 5), decay=-1), ShapeError, "decay"),
        (lambda: Harmonics((5, 5), max_frequency=1.5), ShapeError, "max_frequency"),
        (lambda: Harmonics(5), ShapeError, "rows, columns"),
        (lambda: Harmonics((5, 5), rings=1), ShapeError, "lists"),
        (lambda: Harmonics((5, 5), rings="abc"), ShapeError, "lists"),
        (lambda: Harmonics((5, 5), rings=("a", "b", "c")), ShapeError, "lists of numbers"),
        (lambda: Harmonics((3, 3), rings=(0, 1), widths=(1,)), ShapeError, "one entry for each ring"),
        (lambda: Harmonics((3, 3), rings=(), widths=(), frequencies=()), ShapeError, "one entry"),
        (lambda: Harmonics((3, 3), frequencies=(0, 1.5)), ShapeError, "integers"),
        (lambda: Harmonics((3, 3), widths=(0, 1)), ShapeError, "widths"),
        (lambda: GroupConv2d(P4().image, P4().regular, 3, basis=Pixels((5, 5))), ShapeError, "kernel_size is"),
        (lambda: GroupConv2d(P4().image, P4().regular, 3, basis="waves"), FieldTypeError, '"harmonics"'),
        (lambda: GroupConv2d(P4().image, P4().regular, 3, basis=lambda size: 1), FieldTypeError, "what makes one"),
        (lambda: GroupConv2d(Cyclic(8).image, Cyclic(8).regular, 3, basis="pixels"), ExactnessError, "between pixels"),
    ],
)
def test_mistakes_are_told(make, error, message):
    with pytest.raises(error, match=message):
        make()
