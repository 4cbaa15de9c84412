"""Initializations other than the default of the layers; all in closed form, since the kernels have known norms."""

import math

import numpy as np
import torch
from torch import Tensor

from equiconv.errors import FieldTypeError, ShapeError
from equiconv.groups.values import is_number
from equiconv.layers import GroupConv2d
from equiconv.layers.convolution import Convolution

__all__ = ["delta_orthogonal_", "he_normal_"]

LARGEST = 1e6


def he_normal_(conv: Convolution, *, gain: float = 1.0) -> Convolution:
    """Draw normal coefficients that keep the variance of white noise, and set the bias to zero.

    With the fan_in of the layer's docstring, the coefficients have the variance gain^2 / fan_in; of factorized ones
    the spatial part 1 / s, the pointwise part gain^2 s / fan_in, s being the size of the basis.

    Equivariance:
        Coefficients do not change what a layer is equivariant to.

    Args:
        conv: the convolution, changed in place.
        gain: the standard deviation of the output for an input of standard deviation 1; sqrt(2) in front of a ReLU.

    Returns:
        The convolution.

    Raises:
        FieldTypeError: if it is no convolution of this library, or the gain is no number.

    Example:
        >>> from equiconv.groups import Cyclic
        >>> group = Cyclic(8)
        >>> conv = he_normal_(GroupConv2d(8 * group.regular, 8 * group.regular, 5))
        >>> bool(conv.bias.any())
        False

    Source:
        He et al., Delving Deep into Rectifiers (ICCV 2015); generalized by Weiler et al., Learning Steerable Filters
        (CVPR 2018), section 2.3.
    """
    _check(conv, Convolution, gain)
    with torch.no_grad():
        if conv.factorization is None:
            conv.weight.normal_(std=gain / math.sqrt(conv.fan_in))
        else:
            conv.spatial.normal_(std=1 / math.sqrt(conv.basis.size))
            conv.pointwise.normal_(std=gain * math.sqrt(conv.basis.size / conv.fan_in))
        if conv.bias is not None:
            conv.bias.zero_()
    return conv


def delta_orthogonal_(conv: GroupConv2d, *, gain: float = 1.0) -> GroupConv2d:
    """Draw a kernel that is a random orthogonal matrix at its center and zero elsewhere, and set the bias to zero.

    The matrix is a random equivariant one, made orthogonal by its polar decomposition. Where an irrep occurs more often
    in the input than in the output, or the other way round, it keeps as many of its copies as fit.

    Equivariance:
        Coefficients do not change what a layer is equivariant to.

    Args:
        conv: the convolution, changed in place; without factorization. The center is the middle pixel, or the
            innermost ring of harmonics.
        gain: a factor on the matrix.

    Returns:
        The convolution.

    Raises:
        FieldTypeError: if it is no ``GroupConv2d`` or is factorized, or the gain is no number.
        ShapeError: if its basis has no center, as the pixels of an even window.

    Example:
        >>> from equiconv.groups import P4
        >>> conv = delta_orthogonal_(GroupConv2d(2 * P4().regular, 2 * P4().regular, 3))
        >>> center = conv.kernel()[:, :, 1, 1]
        >>> bool(torch.allclose(center @ center.T, torch.eye(8), atol=1e-5))
        True

    Source:
        Xiao et al., Dynamical Isometry and a Mean Field Theory of CNNs (ICML 2018), section 3; for steerable kernels
        Weiler and Cesa (NeurIPS 2019), appendix H.
    """
    _check(conv, GroupConv2d, gain)
    if conv.factorization is not None:
        raise FieldTypeError(
            f'a delta-orthogonal kernel has free coefficients; got factorization="{conv.factorization}"'
        )
    center = conv.basis.center
    if center is None:
        raise ShapeError(f"{conv.basis!r} has no center; use an odd kernel size")
    matrices = _kernels(conv, torch.randn_like(conv.weight))[..., center]  # (o, g, i, f)
    blocks = [_orthogonal(block) for block in matrices.chunk(conv.channel_groups)]
    samples = conv.basis.samples()
    size = 1.0 if samples is None else float(np.linalg.norm(samples[center]))
    target = gain / size * torch.cat(blocks)
    with torch.no_grad():
        conv.weight.copy_(_coefficients(conv, target, center))
        if conv.bias is not None:
            conv.bias.zero_()
    return conv


def _check(conv: object, kind: type, gain: float) -> None:
    if not isinstance(conv, kind):
        raise FieldTypeError(f"this initialization is for {kind.__name__}; got {type(conv).__name__}")
    if not is_number(gain, -LARGEST, LARGEST):
        raise FieldTypeError(f"gain is a number, at most {LARGEST:g}; got {gain!r}")


def _kernels(conv: GroupConv2d, coefficients: Tensor) -> Tensor:
    """Return the kernels before sampling, ``(o, g, i, f, s)``, in double precision."""
    return conv.pipeline.act(coefficients).double()


def _coefficients(conv: GroupConv2d, target: Tensor, center: int) -> Tensor:
    """Return the coefficients of the kernels that are matrices ``(o, g, i, f)`` at the center and zero elsewhere.

    The kernels of single coefficients are orthogonal to each other, so that the map from coefficients to kernels is
    inverted by its transpose, but for a factor for each coefficient.
    """
    ones = torch.ones_like(conv.weight).requires_grad_()
    with torch.enable_grad():
        kernels = _kernels(conv, ones)  # (o, g, i, f, s)
        (back,) = torch.autograd.grad((kernels[..., center] * target).sum(), ones, retain_graph=True)
        (squares,) = torch.autograd.grad(kernels, ones, kernels.detach())
    return back / squares


def _orthogonal(matrices: Tensor) -> Tensor:
    """Return the orthogonal part of matrices ``(o, g, i, f)``: their polar factor, without the directions they lose."""
    o, g, i, f = matrices.shape
    left, values, right = torch.linalg.svd(matrices.reshape(o * g, i * f), full_matrices=False)
    kept = (values > 1e-6 * values.max()).to(values)
    return ((left * kept) @ right).view(o, g, i, f)
