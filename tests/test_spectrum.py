"""The Fourier basis of a group: orthonormal, and a group convolution is a product there."""

import numpy as np
import pytest

from equiconv.groups import P4, P4M, Cyclic, Dihedral, Flip, HueShift, Trivial
from equiconv.groups.spectrum import spectrum

GROUPS = [
    Trivial(),
    Flip(),
    *(HueShift(n) for n in (2, 3, 4, 5, 8)),
    Cyclic(12),
    *(Dihedral(n) for n in (1, 2, 3, 5, 6)),
    HueShift(3) * P4(),
    HueShift(3) * P4M(),
    HueShift(2) * HueShift(4),
]


@pytest.mark.parametrize("complex_numbers", [True, False])
@pytest.mark.parametrize("group", GROUPS, ids=repr)
def test_a_group_convolution_is_a_product(group, complex_numbers):
    found = spectrum(group, complex_numbers=complex_numbers)
    x, kernel = np.random.default_rng(0).normal(size=(2, group.order))
    expected = [sum(kernel[u] * x[group.table[h, u]] for u in range(group.order)) for h in range(group.order)]
    factors, waves = iter(found.analysis @ x), iter(found.waves @ kernel)
    results = []
    for block in found.blocks:
        square = np.array([next(waves) for _ in range(block.columns**2 * block.products)])
        square = square.reshape(block.columns, block.columns, block.products)
        for _ in range(block.rows):
            row = np.array([next(factors) for _ in range(block.columns * block.products)])
            results.append(np.einsum("bp,bcp->cp", row.reshape(block.columns, -1), square).ravel())
    assert next(factors, None) is None
    assert next(waves, None) is None
    np.testing.assert_allclose(found.synthesis @ np.concatenate(results), expected, atol=1e-12)


@pytest.mark.parametrize("group", GROUPS, ids=repr)
def test_real_bases_are_orthonormal(group):
    found = spectrum(group, complex_numbers=False)
    np.testing.assert_allclose(found.analysis @ found.analysis.T, np.eye(group.order), atol=1e-12)
    np.testing.assert_allclose(found.synthesis, found.analysis.T)


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        (HueShift(3), 4),
        (HueShift(4), 5),
        (HueShift(8), 11),
        (P4(), 5),
        (P4M(), 12),
        (Dihedral(6), 20),
        (HueShift(3) * P4M(), 4 * 12),
    ],
    ids=str,
)
def test_multiplications(group, expected):
    assert sum(block.multiplications for block in spectrum(group).blocks) == expected
