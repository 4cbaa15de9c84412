"""The kernels are those of e2cnn: the same spans on the pixels."""

import subprocess
import sys
import warnings

import numpy as np
import pytest

from equiconv.bases import Harmonics
from equiconv.groups import Cyclic, Dihedral, Flip, Representation
from equiconv.interop.e2cnn import repair
from equiconv.solve import equivariant_kernels


@pytest.fixture(scope="module")
def e2cnn():
    repair()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gspaces = pytest.importorskip("e2cnn.gspaces", reason="e2cnn is not installed")
        nn = pytest.importorskip("e2cnn.nn")
    return gspaces, nn


def their_kernels(nn, source, target, size):
    """Return e2cnn's sampled basis, ``(b, d_out, d_in, k*k)``."""
    space = source.gspace
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            conv = nn.R2Conv(source, target, size, bias=False, initialize=False, recompute=True)
        except ValueError:  # e2cnn's word for: only zero is equivariant
            return np.zeros((0, target.size, source.size, size**2))
    names = source.representations[0].name, target.representations[0].name
    assert space is target.gspace
    return getattr(conv.basisexpansion, f"block_expansion_{names}").sampled_basis.double().numpy()


def same_span(a, b):
    """Tell whether the rows of a and b span one space."""
    if len(a) != len(b):
        return False
    if len(a) == 0:
        return True
    a, b = (np.linalg.qr(x.reshape(len(x), -1).T)[0] for x in (a, b))
    return bool(np.allclose(np.linalg.svd(a.T @ b, compute_uv=False), 1, atol=1e-5))


def reorder(group, n):
    """Return, for each element of e2cnn's D_n or mirror group in its order, the index of the same motion in ours.

    e2cnn lists r^a, then r^a f, f being the mirror at the vertical axis.
    """
    vertical = np.diag([-1.0, 1.0])
    turns = [group.plane[a] for a in range(n)]
    motions = turns + [turn @ vertical for turn in turns]
    return [next(g for g in range(group.order) if np.allclose(group.plane[g], m, atol=1e-9)) for m in motions]


CYCLIC = [2, 3, 4, 5, 6, 8, 12, 16]
DIHEDRAL = [2, 4, 6, 8]  # the axis of the others differs by half a step: no element is the vertical mirror


@pytest.mark.parametrize("size", [3, 5, 7])
@pytest.mark.parametrize("n", CYCLIC)
def test_cyclic(e2cnn, n, size):
    gspaces, nn = e2cnn
    space, group = gspaces.Rot2dOnR2(n), Cyclic(n)
    pairs = [(space.trivial_repr, group.trivial), (space.regular_repr, group.regular)]
    pairs += [(space.irrep(k), group.irrep(k)) for k in range(1, min(n // 2, 3) + 1)]
    if n % 2 == 0 and n > 2:
        pairs.append((space.quotient_repr(2), group.quotient([n // 2])))
    compare(nn, space, pairs, size)


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("n", DIHEDRAL)
def test_dihedral(e2cnn, n, size):
    gspaces, nn = e2cnn
    space, group = gspaces.FlipRot2dOnR2(n), Dihedral(n)
    order = reorder(group, n)
    pairs = [(space.trivial_repr, group.trivial), (space.irrep(1, 0), group.irrep(1))]
    pairs.append((space.regular_repr, permuted(group, order)))
    if n > 2:
        pairs.append((space.irrep(1, 1), in_their_frame(space, group, order)))
    compare(nn, space, pairs, size)


@pytest.mark.parametrize("size", [3, 5, 7])
def test_mirror(e2cnn, size):
    gspaces, nn = e2cnn
    space, group = gspaces.Flip2dOnR2(), Flip()
    pairs = [(space.trivial_repr, group.trivial), (space.irrep(1), group.irrep(1)), (space.regular_repr, group.regular)]
    compare(nn, space, pairs, size)


def permuted(group, order):
    """Return our regular representation with its entries in e2cnn's order."""
    return Representation(group, group.regular.rho[:, order][:, :, order])


def in_their_frame(space, group, order):
    """Return e2cnn's two-dimensional irrep of frequency 1 as a representation of our group."""
    elements = space.fibergroup.elements
    rho = np.empty((group.order, 2, 2))
    for element, g in zip(elements, order, strict=True):
        rho[g] = space.irrep(1, 1)(element)
    return Representation(group, rho)


def compare(nn, space, pairs, size):
    basis = Harmonics((size, size))
    action, samples = basis.action(pairs[0][1].group), basis.samples()
    found = 0
    for their_source, source in pairs:
        for their_target, target in pairs:
            theirs = their_kernels(nn, nn.FieldType(space, [their_source]), nn.FieldType(space, [their_target]), size)
            ours = equivariant_kernels(target, source, action) @ samples
            equal = same_span(theirs, ours)
            assert equal, (source, target, theirs.shape, ours.shape)
            if len(ours):
                found += 1
                moved = same_span(theirs, np.roll(ours, 1, -1))
                assert not moved, "the check cannot fail"
    assert found


def test_repair_comes_before_the_import():
    code = "import e2cnn, equiconv.interop.e2cnn as m; m.repair()"
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "before the first import of e2cnn" in result.stderr
