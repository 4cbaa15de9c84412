"""Coefficients of our layers for the kernels of e2cnn, by least squares."""

import copy
import math
from typing import Any, cast

import numpy as np
import scipy.sparse
import torch
from torch import nn

from equiconv.groups.laws import Floats
from equiconv.interop.e2cnn.fields import Fields
from equiconv.interop.e2cnn.zeros import ZeroFields
from equiconv.kernels import KernelPipeline
from equiconv.sums import SumPipeline

FIT = 1e-5  # the part of a kernel that may be missed
TINY = 1e-300
CHUNK = 64


def wanted(module: Any) -> tuple[Floats, Floats | None]:
    """Return kernel and bias as e2cnn's forward takes them, in our order and basis: ``(o*g, i*f, k, k)``, ``(o*g,)``.

    In evaluation e2cnn takes those it stored when the mode changed.
    """
    with torch.no_grad():
        kernel, bias = module.expand_parameters() if module.training else (module.filter, module.expanded_bias)
    kernel = kernel.detach().double().cpu().numpy()
    source, target = _block(module, module.in_type), _block(module, module.out_type)
    if hasattr(module, "output_padding"):
        blocks = np.split(kernel, module.groups)  # the kernel of each group from input to output
        turned = [_carried(target.matrix, block.swapaxes(0, 1), source.matrix) for block in blocks]
        kernel = np.concatenate(turned)[:, :, ::-1, ::-1]
    else:
        blocks = np.split(kernel, module.groups)
        kernel = np.concatenate([_carried(target.matrix, block, source.matrix) for block in blocks])
    if bias is None:
        return kernel, None
    return kernel, Fields(module.out_type).matrix @ bias.detach().double().cpu().numpy()


def _block(module: Any, field_type: Any) -> Fields:
    """Return the fields of one of the module's groups."""
    count = len(field_type) // module.groups
    return Fields(field_type.index_select(list(range(count))) if module.groups > 1 else field_type)


def _carried(left: scipy.sparse.csr_array, kernel: Floats, right: scipy.sparse.csr_array) -> Floats:
    """Return ``left K right^T`` for a kernel ``(o, i, k, k)``."""
    o, i, *size = kernel.shape
    half = (left @ kernel.reshape(o, -1)).reshape(o, i, -1)  # (o', i, k*k)
    full = right @ half.transpose(1, 0, 2).reshape(i, -1)  # (i', o'*k*k)
    return full.reshape(i, o, *size).swapaxes(0, 1)  # (o', i', k, k)


def fit(layer: nn.Module, kernel: Floats, bias: Floats | None) -> float:
    """Set the coefficients that come closest to a kernel and a bias; return the part of the kernel that is missed.

    Args:
        layer: a convolution of ours, with ``ZeroFields`` behind it if it does not make all fields.
        kernel: ``(o*g, i*f, k, k)``, i being the input fields of one group.
        bias: ``(o*g,)``.
    """
    if isinstance(layer, nn.Sequential):
        conv, zeros = layer
        rows = cast(ZeroFields, zeros).channels
        missed = float(np.square(np.delete(kernel, rows, 0)).sum())
        missed += _fit(conv, kernel[rows], None if bias is None else bias[rows])
    else:
        missed = _fit(layer, kernel, bias)
    return math.sqrt(missed) / max(float(np.linalg.norm(kernel)), TINY)


def _fit(layer: Any, kernel: Floats, bias: Floats | None) -> float:
    """Set the coefficients of one convolution; return the square of what is missed."""
    (g, f), pixels = (layer.out_type.fiber, layer.in_type.fiber), kernel.shape[2] * kernel.shape[3]
    split = kernel.reshape(kernel.shape[0] // g, g, kernel.shape[1] // f, f, pixels)  # (o, g, i, f, k*k)
    found, missed = _solved(layer.pipeline, split)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(found.reshape(layer.weight.shape)))
        if layer.bias is not None and bias is not None:
            directions = layer.out_type.representation.fixed  # (t, d)
            layer.bias.copy_(torch.from_numpy(bias.reshape(-1, g) @ np.linalg.pinv(directions)))  # (n, t)
    return missed


def _solved(pipeline: KernelPipeline, kernel: Floats) -> tuple[Floats, float]:
    """Return the coefficients ``(o, i, n)`` closest to a kernel ``(o, g, i, f, k*k)``, and the squared rest."""
    if isinstance(pipeline, SumPipeline):
        return _solved_sum(pipeline, kernel)
    o, g, i, f, pixels = kernel.shape
    wanted = kernel.transpose(1, 3, 4, 0, 2).reshape(g * f * pixels, o * i)  # (g*f*k*k, o*i)
    drawn = _drawn(pipeline)
    found = _least_squares(drawn, wanted)
    return found.T.reshape(o, i, -1), float(np.square(drawn @ found - wanted).sum())  # (o, i, n)


def _solved_sum(pipeline: SumPipeline, kernel: Floats) -> tuple[Floats, float]:
    """Solve pair by pair of the summands."""
    (o, _, i, _, pixels), rest = kernel.shape, kernel.copy()
    coefficients, missed = [], 0.0
    for (row, column), part, scale in zip(pipeline.places, pipeline.parts, pipeline.scales, strict=True):
        target, source = pipeline.targets[row], pipeline.sources[column]
        place = np.ix_(np.arange(o), target.entries, np.arange(i), source.entries, np.arange(pixels))
        split = kernel[place].reshape(o, target.count, -1, i, source.count, source.representation.dim, pixels)
        joint = split.reshape(o * target.count, -1, i * source.count, source.representation.dim, pixels)
        found, left = _solved(cast(KernelPipeline, part), joint)  # (o*a, i*b, n)
        pairs = found.reshape(o, target.count, i, source.count, -1).swapaxes(1, 2)  # (o, i, a, b, n)
        coefficients.append(pairs.reshape(o, i, -1) / scale)
        missed, rest[place] = missed + left, 0.0
    return np.concatenate(coefficients, axis=2), missed + float(np.square(rest).sum())


def _drawn(pipeline: KernelPipeline) -> scipy.sparse.csc_array:
    """Return the kernels that the coefficients stand for, as the columns of a matrix ``(g*f*k*k, coefficients)``."""
    shape = pipeline.coefficient_shape
    exact = copy.deepcopy(pipeline).double()
    columns = []
    for part in torch.eye(int(np.prod(shape)), dtype=torch.float64).split(CHUNK):
        with torch.no_grad():
            kernels = exact.expand(part.view(1, len(part), *shape))  # (g, n*f, k, k)
        each = kernels.unflatten(1, (len(part), -1)).transpose(1, 2).flatten(3)  # (g, f, n, k*k)
        columns.append(scipy.sparse.csc_array(each.transpose(2, 3).flatten(0, 2).numpy()))  # (g*f*k*k, n)
    return scipy.sparse.csc_array(scipy.sparse.hstack(columns))


def _least_squares(matrix: scipy.sparse.csc_array, wanted: Floats) -> Floats:
    """Solve ``matrix x = wanted`` in the least squares, part by part of the columns that share rows."""
    linked = scipy.sparse.csr_array(abs(matrix).T @ abs(matrix))
    count, labels = scipy.sparse.csgraph.connected_components(linked, directed=False)
    found = np.zeros((matrix.shape[1], wanted.shape[1]))
    for part in range(count):
        columns = np.flatnonzero(labels == part)
        own = matrix[:, columns]
        rows = np.unique(own.indices)
        found[columns] = np.linalg.lstsq(own[rows].toarray(), wanted[rows], rcond=1e-9)[0]
    return found
