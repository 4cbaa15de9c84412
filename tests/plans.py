"""How an execution plan is checked: against the dense convolution, in double precision, with all gradients."""

import copy

import torch

from equiconv.layers import GroupConv2d


def difference(layer, x):
    """Return the largest relative difference between a layer and the dense convolution, gradients included."""
    dense, results = copy.deepcopy(layer), []
    dense.execution = "dense"
    for each in (layer, dense):
        moved = x.clone().requires_grad_()
        y = each(moved)
        results.append((y, *torch.autograd.grad(y.pow(3).sum(), [moved, *each.parameters()])))
    return max(float(((a - b).abs().max() / b.abs().max()).detach()) for a, b in zip(*results, strict=True))


def planned(group, execution, kernel_size=3, *, make=GroupConv2d, fields=(4, 6), **options):
    """Return a layer between regular fields, in double precision, and an input."""
    i, o = fields
    layer = make(i * group.regular, o * group.regular, kernel_size, execution=execution, **options).double()
    if layer.bias is not None:
        torch.nn.init.uniform_(layer.bias, -1, 1)
    return layer, torch.randn(2, i, group.order, 9, 9, dtype=torch.float64)
