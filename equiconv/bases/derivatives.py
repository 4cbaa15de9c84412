"""Kernels made of partial differential operators."""

import math

import numpy as np

from equiconv.bases.basis import Circular
from equiconv.errors import ShapeError
from equiconv.groups.laws import Floats
from equiconv.groups.values import integer, is_number

__all__ = ["Derivatives"]

USUAL = 4  # the largest order, unless asked for: higher ones amplify noise
TINY = 1e-12


class Derivatives(Circular):
    """Take partial differential operators: real and imaginary part of ``(d/dx + i d/dy)^m``, times Laplacians.

    The operators of one order span all partial derivatives of that order. They act on the pixels as finite differences,
    or as derivatives of a Gaussian. Each is scaled so that its stencil has norm 1, cosine and sine part together.

    Equivariance:
        Exact for every angle as operators on smooth functions. On pixels exact for quarter turns and flips along the
        axes and diagonals; other angles are approximate.

    Args:
        kernel_size: rows and columns of the window, equal.
        max_order: the largest order of the operators, from 0 to ``kernel_size - 1``; None takes the latter, but 4 at
            most.
        smoothing: the width of the Gaussian, in pixels; None takes finite differences, which are exact on polynomials
            of degree below ``kernel_size`` in each coordinate.

    Raises:
        ShapeError: if the window is not square or too small for the order, or an argument is out of range.

    Example:
        >>> basis = Derivatives((3, 3), max_order=1)
        >>> basis.samples().reshape(3, 3, 3)[1].round(3).tolist()  # d/dx
        [[0.0, 0.0, 0.0], [-0.707, 0.0, 0.707], [0.0, 0.0, 0.0]]

    Source:
        Jenner and Weiler, Steerable Partial Differential Operators for Equivariant Neural Networks (ICLR 2022),
        sections 3 and 4; Shen et al., PDO-eConvs (ICML 2020).
    """

    def __init__(
        self, kernel_size: tuple[int, int], *, max_order: int | None = None, smoothing: float | None = None
    ) -> None:
        super().__init__(kernel_size)
        side = self.kernel_size[0]
        order = min(side - 1, USUAL) if max_order is None else integer(max_order)
        if order is None or not 0 <= order < side:
            raise ShapeError(f"a {side}x{side} window holds derivatives of orders 0 to {side - 1}; got {max_order!r}")
        if smoothing is not None and (not is_number(smoothing, 0, math.inf) or not 0 < smoothing < math.inf):
            raise ShapeError(f"smoothing is the width of a Gaussian in pixels, above 0, or None; got {smoothing!r}")
        self.max_order, self.smoothing = order, smoothing
        parts = [(m, (n - m) // 2) for n in range(order + 1) for m in range(n % 2, n + 1, 2)]
        self._parts = sorted(parts)  # (m, power of the Laplacian)
        if not all(np.square(stencil).sum() > TINY for stencil in self._stencils()):
            raise ShapeError(f"smoothing={smoothing!r} is too little: the pixels do not see the Gaussian's derivatives")

    def __repr__(self) -> str:
        return f"Derivatives({self.kernel_size}, max_order={self.max_order}, smoothing={self.smoothing})"

    @property
    def waves(self) -> tuple[int, ...]:
        """The degree m of each operator."""
        return tuple(m for m, _ in self._parts)

    def samples(self) -> Floats:
        """Return the stencils on the pixels of the window, ``(s, kh*kw)``."""
        along = self._stencils()  # (order, k)
        found = []
        for m, power in self._parts:
            pair = [_stencil(part, along) for part in _operator(m, power)[: 2 if m else 1]]
            found.append(np.stack(pair) / math.sqrt(np.square(pair).sum() / len(pair)))
        return np.concatenate(found)

    def _stencils(self) -> Floats:
        """Return the derivatives of each order along one axis, ``(max_order + 1, k)``, from left to right."""
        side = self.kernel_size[0]
        x = np.arange(side) - (side - 1) / 2
        orders = np.arange(self.max_order + 1)
        if self.smoothing is None:
            values = np.vander(x, side, increasing=True).T  # (power, k)
            factorials = np.array([float(math.factorial(n)) for n in orders])
            return np.linalg.solve(values, np.eye(side)[:, orders] * factorials).T
        scaled = x / self.smoothing
        hermite = [np.polynomial.hermite_e.hermeval(scaled, np.eye(self.max_order + 1)[n]) for n in orders]
        return np.stack(hermite) * np.exp(-(scaled**2) / 2)


def _operator(m: int, power: int) -> tuple[dict[tuple[int, int], float], dict[tuple[int, int], float]]:
    """Return real and imaginary part of ``(dx + i dy)^m (dx^2 + dy^2)^power``: coefficients by the orders (x, y)."""
    polynomial = {(0, 0): 1 + 0j}
    for factor in [{(1, 0): 1, (0, 1): 1j}] * m + [{(2, 0): 1, (0, 2): 1}] * power:
        product: dict[tuple[int, int], complex] = {}
        for (a, b), p in polynomial.items():
            for (c, d), q in factor.items():
                product[a + c, b + d] = product.get((a + c, b + d), 0) + p * q
        polynomial = product
    return {ab: p.real for ab, p in polynomial.items()}, {ab: p.imag for ab, p in polynomial.items()}


def _stencil(operator: dict[tuple[int, int], float], along: Floats) -> Floats:
    """Return the operator on the pixels, row by row, ``(k*k,)``; rows run down, y up."""
    return np.add.reduce([p * np.outer(along[b][::-1], along[a]) for (a, b), p in operator.items()]).ravel()
