"""Differential operators as a basis: what they do to polynomials and Gaussians, and how they turn."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from equiconv.bases import Derivatives
from equiconv.errors import ShapeError
from equiconv.groups import P4, P4M, SO2, Cyclic, HueShift
from equiconv.layers import GroupConv2d
from equiconv.testing import assert_equivariant, equivariance_error


def derivative(polynomial, x_order, y_order):
    """Return a derivative at 0 of the polynomial whose coefficient of x^a y^b is ``polynomial[a, b]``."""
    inside = x_order < polynomial.shape[0] and y_order < polynomial.shape[1]
    return math.factorial(x_order) * math.factorial(y_order) * polynomial[x_order, y_order] if inside else 0.0


@pytest.mark.parametrize("side", [2, 3, 4, 5])
def test_exact_on_polynomials(side):
    """Functions 0 .. are 1, dx, dy, dx^2 - dy^2, 2 dx dy, ... up to a factor for each pair."""
    factors = [factors_of(side, np.random.default_rng(seed).standard_normal((side, side))) for seed in range(3)]
    for part, first in factors[0].items():
        assert first > 0
        np.testing.assert_allclose([found[part] for found in factors], first, rtol=1e-6)


def factors_of(side, polynomial):
    """Return how much larger each result is than the true derivative: for all polynomials the same."""
    basis = Derivatives((side, side))
    values = np.polynomial.polynomial.polyval2d(*basis.points().T, polynomial)
    results = dict(zip(basis._parts, _pairs(basis, basis.samples() @ values), strict=True))
    expected = {
        (1, 0): [derivative(polynomial, 1, 0), derivative(polynomial, 0, 1)],
        (2, 0): [
            derivative(polynomial, 2, 0) - derivative(polynomial, 0, 2),
            2 * derivative(polynomial, 1, 1),
        ],
        (0, 1): [derivative(polynomial, 2, 0) + derivative(polynomial, 0, 2)],
        (3, 0): [
            derivative(polynomial, 3, 0) - 3 * derivative(polynomial, 1, 2),
            3 * derivative(polynomial, 2, 1) - derivative(polynomial, 0, 3),
        ],
    }
    found = {}
    for part, true in expected.items():
        if part in results:
            found[part] = np.dot(results[part], true) / np.dot(true, true)
            np.testing.assert_allclose(results[part], found[part] * np.array(true), atol=1e-9)
    return found


def _pairs(basis, values):
    ends = np.cumsum([2 if m else 1 for m in basis.waves])
    return np.split(values, ends[:-1])


def test_smoothed_operators_are_derivatives_of_gaussians():
    factors = np.array([smoothed_factors(np.random.default_rng(seed).standard_normal((17, 17))) for seed in range(3)])
    assert (factors > 0).all()
    np.testing.assert_allclose(factors, factors[:1].repeat(3, 0), rtol=1e-2)


def smoothed_factors(image):
    """Return how much larger gradient and Laplacian are than SciPy's: for all images the same."""
    basis = Derivatives((17, 17), max_order=2, smoothing=1.7)
    results = dict(zip(basis._parts, _pairs(basis, basis.samples() @ image.ravel()), strict=True))

    def smooth(rows, columns):
        return ndimage.gaussian_filter(image, 1.7, order=(rows, columns), truncate=4.7, mode="constant")[8, 8]

    gradient = np.array([smooth(0, 1), -smooth(1, 0)])  # y points up
    laplacian = np.array([smooth(0, 2) + smooth(2, 0)])
    found = [
        np.dot(results[part], true) / np.dot(true, true) for part, true in (((1, 0), gradient), ((0, 1), laplacian))
    ]
    np.testing.assert_allclose(results[1, 0], found[0] * gradient, rtol=1e-2)
    return found


def test_the_gradient_of_an_image_is_a_vector_field():
    group = SO2()
    conv = GroupConv2d(group.trivial, group.vector, 3, bias=False, basis=Derivatives((3, 3), max_order=1)).double()
    assert conv.weight.numel() == 2  # gradient, and the gradient turned by 90 degrees
    x, y = torch.meshgrid(torch.arange(5.0), torch.arange(5.0), indexing="xy")
    ramp = (2 * x - 3 * y).double()[None, None]
    vector = conv(ramp)[0, 0, :, 0, 0]
    gradient = torch.tensor([2.0, 3.0], dtype=torch.float64)  # y points up
    turned = torch.tensor([-3.0, 2.0], dtype=torch.float64)
    frame = torch.stack([gradient, turned], 1)
    a, b = torch.linalg.solve(frame, vector)
    other = conv((2 * y + 3 * x).double()[None, None].flip(-2))[0, 0, :, 0, 0]
    frame = torch.tensor([[3.0, -2.0], [2.0, 3.0]], dtype=torch.float64)
    torch.testing.assert_close(torch.linalg.solve(frame, other), torch.stack([a, b]))


@pytest.mark.parametrize("group", [P4M(), HueShift(3) * P4()], ids=repr)
@pytest.mark.parametrize("basis", [Derivatives((5, 5)), Derivatives((5, 5), max_order=3, smoothing=1.0)], ids=repr)
def test_exact_on_the_grid(group, basis):
    for source, target in ((group.image, group.regular), (group.regular, group.vector + group.trivial)):
        assert_equivariant(GroupConv2d(2 * source, 2 * target, 5, basis=basis, bias=False))


@pytest.mark.parametrize("group", [Cyclic(8), SO2(2)], ids=repr)
def test_close_at_other_angles(group):
    smooth = Derivatives((7, 7), max_order=2, smoothing=1.0)
    conv = GroupConv2d(group.trivial, 2 * group.regular, 7, basis=smooth)
    assert equivariance_error(conv, size=(41, 41)) < 0.02


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_order": 3}, "orders 0 to 2"),
        ({"max_order": -1}, "orders"),
        ({"smoothing": 0}, "above 0"),
        ({"smoothing": 0.02}, "too little"),
    ],
)
def test_mistakes_are_told(arguments, message):
    with pytest.raises(ShapeError, match=message):
        Derivatives((3, 3), **arguments)
    with pytest.raises(ShapeError, match="square"):
        Derivatives((3, 5))
