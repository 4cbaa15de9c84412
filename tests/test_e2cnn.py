"""The kernels are those of e2cnn: the same spans on the pixels."""

import itertools
import subprocess
import sys
import warnings

import numpy as np
import pytest

from equiconv.bases import Harmonics
from equiconv.groups import O2, SO2, Cyclic, Dihedral, Flip, Representation
from equiconv.groups.irreps import rotations
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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            conv = nn.R2Conv(source, target, size, bias=False, initialize=False, recompute=True)
        except ValueError:  # e2cnn's word for: only zero is equivariant
            return np.zeros((0, target.size, source.size, size**2))
    names = source.representations[0].name, target.representations[0].name
    return getattr(conv.basisexpansion, f"block_expansion_{names}").sampled_basis.double().numpy()


def orthonormal(kernels):
    """Return a basis of what the kernels span, ``(b, d_out, d_in, k*k)``."""
    flat = kernels.reshape(len(kernels), kernels[:1].size or 1)
    return np.linalg.qr(flat.T)[0].T.reshape(kernels.shape)


def same_span(a, b):
    """Tell whether two orthonormal bases span one space."""
    if len(a) != len(b):
        return False
    if len(a) == 0:
        return True
    a, b = (x.reshape(len(x), -1) for x in (a, b))
    return bool(np.allclose(np.linalg.svd(a @ b.T, compute_uv=False), 1, atol=1e-5))


def moved_plane(element, n, axis):
    """Return the matrix of an element of e2cnn's groups: a rotation, after the mirror at ``axis`` if there is one."""
    mirrored, turn = element if isinstance(element, tuple) else (0, element)
    angle = turn if n is None else 2 * np.pi * turn / n
    mirror = rotations(np.array([2 * axis]))[0] @ np.diag([1.0, -1.0])
    return rotations(np.array([angle]))[0] @ (mirror if mirrored else np.eye(2))


def translated(group, theirs, element_of):
    """Return e2cnn's representation as one of ours: the same matrices for the elements that move the plane alike."""
    return Representation(group, np.array([theirs(element_of(g)) for g in range(group.order)]))


def finite(space, group, n, axis=np.pi / 2):
    """Return, for each of our elements, e2cnn's element that moves the plane alike."""
    elements = space.fibergroup.elements
    planes = np.array([moved_plane(element, n, axis) for element in elements])
    return lambda g: elements[int(np.flatnonzero(np.isclose(planes, group.plane[g]).all((1, 2)))[0])]


def quotients(space, ids):
    return [space.quotient_repr(which) for which in ids]


CYCLIC = [1, 2, 3, 4, 5, 6, 7, 8, 12, 16]
DIHEDRAL = [2, 3, 4, 5, 6, 8]


@pytest.mark.parametrize("n", CYCLIC)
def test_cyclic(e2cnn, n):
    gspaces, nn = e2cnn
    space, group = (gspaces.Rot2dOnR2(n), Cyclic(n)) if n > 1 else (gspaces.TrivialOnR2(), Cyclic(1))
    theirs = [space.trivial_repr, space.regular_repr] + [space.irrep(k) for k in range(1, n // 2 + 1)]
    theirs += quotients(space, [m for m in range(2, n) if n % m == 0])
    compare(nn, space, group, theirs, finite(space, group, n))


@pytest.mark.parametrize("n", DIHEDRAL)
def test_dihedral(e2cnn, n):
    gspaces, nn = e2cnn
    axis = np.pi / 2 if n % 2 == 0 else 0.0  # the mirror of ours flips rows
    space, group = gspaces.FlipRot2dOnR2(n, axis=axis), Dihedral(n)
    theirs = [space.trivial_repr, space.regular_repr]
    theirs += [irrep for name, irrep in space.fibergroup.irreps.items() if not irrep.is_trivial()]
    theirs += quotients(space, [(None, n), (0, 1)] + [(None, m) for m in range(2, n) if n % m == 0])
    compare(nn, space, group, theirs, finite(space, group, n, axis))


@pytest.mark.parametrize("axis", [np.pi / 2, 0.3])
def test_mirror(e2cnn, axis):
    gspaces, nn = e2cnn
    space, group = gspaces.Flip2dOnR2(axis=axis), Flip(axis)
    theirs = [space.trivial_repr, space.irrep(1), space.regular_repr]
    compare(nn, space, group, theirs, lambda g: g)


def test_rotations_by_any_angle(e2cnn):
    gspaces, nn = e2cnn
    space, group = gspaces.Rot2dOnR2(-1, maximum_frequency=3), SO2(3)
    theirs = [space.irrep(k) for k in range(4)]
    compare(nn, space, group, theirs, lambda g: 2 * np.pi * g / group.steps)


def test_rotations_and_reflections(e2cnn):
    gspaces, nn = e2cnn
    space, group = gspaces.FlipRot2dOnR2(-1, maximum_frequency=3, axis=np.pi / 2), O2(3)
    theirs = [space.irrep(0, 0), space.irrep(1, 0)] + [space.irrep(1, k) for k in range(1, 4)]
    theirs += quotients(space, [(None, -1)])
    turns = group.plane @ np.diag([-1.0, 1.0])

    def element(g):
        mirrored = g >= group.steps
        c, s = (turns if mirrored else group.plane)[g][:, 0]
        return int(mirrored), float(np.arctan2(s, c) % (2 * np.pi))

    compare(nn, space, group, theirs, element)


def compare(nn, space, group, theirs, element_of):
    """Compare the spans between all pairs, for kernels of three sizes; the largest between irreps and trivial ones."""
    pairs = [(rep, translated(group, rep, element_of)) for rep in theirs]
    found = 0
    for size, (their_source, source), (their_target, target) in itertools.product((3, 5, 7), pairs, pairs):
        if size == 7 and max(source.dim, target.dim) > 2:  # a sum of irreps, as the smaller kernels show
            continue
        basis = Harmonics.e2cnn((size, size))
        kinds = (nn.FieldType(space, [rep]) for rep in (their_source, their_target))
        expected = their_kernels(nn, *kinds, size)
        ours = equivariant_kernels(target, source, basis.action(group)) @ basis.samples()
        theirs_too, ours = orthonormal(expected), orthonormal(ours)
        equal = same_span(theirs_too, ours)
        assert equal, (size, their_source.name, their_target.name, expected.shape, ours.shape)
        if len(ours):
            found += 1
            moved = same_span(theirs_too, np.roll(ours, 1, -1))
            assert not moved, "the check cannot fail"
    assert found


def test_repair_comes_before_the_import():
    code = "import e2cnn, equiconv.interop.e2cnn as m; m.repair()"
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "before the first import of e2cnn" in result.stderr
