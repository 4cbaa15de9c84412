"""Broken implementations. Every check has to reject them; a bug fixed adds one."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from equiconv.groups import P4, P4M, Cyclic, HueShift
from equiconv.layers import (
    FieldBatchNorm,
    FourierActivation,
    GatedActivation,
    GroupConv2d,
    GroupPool,
    NormActivation,
    SpatialPool,
)

COLORED = HueShift(3) * P4M()


class Wrapped(nn.Module):
    """A module that claims two types, and what it does instead."""

    def __init__(self, in_type, out_type, function, *modules):
        super().__init__()
        self.in_type, self.out_type, self.function = in_type, out_type, function
        self.inner = nn.ModuleList(modules)

    def forward(self, x):
        return self.function(x, *self.inner)


def with_source(conv: GroupConv2d, change) -> GroupConv2d:
    """Return the convolution with the table of its gather, ``(g, f, s)``, changed."""
    pipeline = conv.pipeline
    fiber, size = pipeline.coefficient_shape
    source = pipeline.source.view(-1, fiber, size)
    pipeline._masters["source"] = change(source, conv.in_type.group).reshape(len(source), -1).numpy()
    return conv.to(torch.float32)


def hidden(group=P4M()):  # noqa: B008
    return GroupConv2d(2 * group.regular, 2 * group.regular, 3)


def kernel_not_rotated():
    def change(source, group):
        size = source.shape[-1]
        return source // size * size + torch.arange(size)

    return with_source(hidden(), change)


def kernel_rotated_backwards():
    def change(source, group):
        size = source.shape[-1]
        return source // size * size + (source % size)[torch.tensor(group.inverse.tolist())]

    return with_source(hidden(P4()), change)


def fiber_not_permuted():
    def change(source, group):
        size = source.shape[-1]
        return source % size + size * torch.arange(source.shape[1])[:, None]

    return with_source(hidden(), change)


def fiber_permuted_by_the_inverse():
    def change(source, group):
        size = source.shape[-1]
        return source % size + size * (source // size)[torch.tensor(group.inverse.tolist())]

    return with_source(hidden(P4()), change)


def hue_reversed():
    def change(source, group):
        return source[torch.tensor(group.inverse.tolist())]

    return with_source(GroupConv2d(HueShift(3).image, 2 * HueShift(3).regular, 3), change)


def hue_reversed_off_the_permutations():
    conv = GroupConv2d(HueShift(4).image, 2 * HueShift(4).regular, 3)
    conv.pipeline._masters["fiber"] = conv.pipeline._masters["fiber"].transpose(0, 2, 1)
    return conv.float()


def product_factors_swapped():
    swapped = GroupConv2d((P4M() * HueShift(3)).image, 2 * (P4M() * HueShift(3)).regular, 3)
    return Wrapped(1 * COLORED.image, 2 * COLORED.regular, lambda x, conv: conv(x), swapped)


def a_bias_per_group_element():
    conv = GroupConv2d(P4().image, 2 * P4().regular, 3)
    bias = torch.arange(8.0)
    return Wrapped(conv.in_type, conv.out_type, lambda x, c: c(x) + bias.view(2, 4, 1, 1).to(x), conv)


def nan_outputs():
    conv = GroupConv2d(P4().image, 2 * P4().regular, 3)
    return Wrapped(conv.in_type, conv.out_type, lambda x, c: c(x) * torch.nan, conv)


def zero_outputs():
    conv = GroupConv2d(P4().image, 2 * P4().regular, 3)
    return Wrapped(conv.in_type, conv.out_type, lambda x, c: c(x) * 0, conv)


def constant_outputs():
    conv = GroupConv2d(P4().image, 2 * P4().regular, 3)
    return Wrapped(conv.in_type, conv.out_type, lambda x, c: c(x) * 0 + 1, conv)


def outputs_blind_to_the_input():
    conv = GroupConv2d(HueShift(3).image, 2 * HueShift(3).regular, 3)
    pattern = torch.randn(2, 1, 7, 7)
    return Wrapped(conv.in_type, conv.out_type, lambda x, c: c(x) * 0 + pattern.to(x), conv)


def stride_that_does_not_fit():
    return GroupConv2d(P4().image, 2 * P4().regular, 3, stride=2, padding=1, exact=False)


def pooling_that_does_not_fit():
    return SpatialPool(2 * P4().regular, 2, exact=False)


def same_padding_of_an_even_kernel():
    return GroupConv2d(P4().image, 2 * P4().regular, 4, padding="same", exact=False)


def unequal_padding():
    return GroupConv2d(P4().image, 2 * P4().regular, 3, padding=(1, 0), exact=False)


def stock_batch_norm_on_channels():
    kind = 2 * P4().regular
    norm = nn.BatchNorm2d(8)
    norm.weight.data.uniform_(0.5, 2)
    return Wrapped(kind, kind, lambda x, n: n(x.flatten(1, 2)).view_as(x), norm)


def stock_batch_norm_on_irreps():
    kind = 2 * P4M().irrep(2)
    norm = nn.BatchNorm3d(2)
    norm.bias.data.uniform_(0.5, 2)
    return Wrapped(kind, kind, lambda x, n: n(x), norm)


def batch_norm_that_shifts_everything():
    norm = FieldBatchNorm(2 * (P4().irrep(0) + P4().irrep(1)))
    norm._masters["directions"] = norm._masters["directions"] + 1
    norm.bias.data.fill_(0.5)
    return norm.float()


def stock_dropout_on_images():
    kind = 2 * HueShift(3).image
    return Wrapped(kind, kind, lambda x, d: d(x), nn.Dropout2d(0.5))


def relu_on_irreps():
    kind = 2 * Cyclic(4).irrep(1)
    return Wrapped(kind, kind, F.relu)


def max_pooling_of_vectors():
    kind = 2 * P4().vector
    return Wrapped(kind, kind, lambda x: F.max_pool2d(x.flatten(1, 2), 3).unflatten(1, (2, 2)))


def pooling_over_the_wrong_cosets():
    pool = GroupPool(2 * P4M().regular, over=[4])
    return Wrapped(pool.in_type, pool.out_type, lambda x: x.unflatten(2, (4, 2)).amax(3))


def norms_with_a_threshold_for_each_entry():
    kind = 2 * P4M().irrep(2)
    entries = torch.arange(2.0).view(2, 1, 1)
    return Wrapped(kind, kind, lambda x: x * torch.sigmoid(x.norm(dim=2, keepdim=True) + entries.to(x)))


def norms_of_the_wrong_entries():
    layer = NormActivation(2 * Cyclic(2).irrep(1).induce(P4M()), torch.sigmoid, parts="blocks")
    layer._masters["members"] = layer._masters["members"].cumsum(0).clip(0, 1)
    return layer.float()


def gates_at_the_wrong_blocks():
    layer = GatedActivation(2 * P4().irrep(1).induce(P4M()), parts="blocks")
    kind = 2 * (P4M().trivial + P4M().trivial + P4().irrep(1).induce(P4M()))
    return Wrapped(kind, layer.out_type, lambda x, inner: inner(x), layer)


def entries_tied_to_the_wrong_ones():
    conv = GroupConv2d(2 * P4M().regular, 2 * P4M().quotient([4]), 3)
    conv.pipeline._masters["source"] = np.roll(conv.pipeline._masters["source"], 1)
    return conv.float()


def a_gate_that_is_not_invariant():
    gated = P4().trivial + P4().irrep(1)
    return Wrapped(2 * gated, 2 * P4().irrep(1), lambda x: torch.sigmoid(x[:, :, 2:]) * x[:, :, 1:])


def fourier_samples_at_the_wrong_elements():
    layer = FourierActivation(2 * (P4M().irrep(0) + P4M().irrep(2)), torch.tanh)
    layer._masters["samples"] = layer._masters["samples"][:, [1, 0, 2]]
    return layer.float()


def flattened_logits():
    conv = GroupConv2d(P4().image, 2 * P4().regular, 3)
    return Wrapped(conv.in_type, 8 * P4().trivial, lambda x, c: c(x).mean((-2, -1)).flatten(1), conv)


BROKEN = [
    kernel_not_rotated,
    kernel_rotated_backwards,
    fiber_not_permuted,
    fiber_permuted_by_the_inverse,
    hue_reversed,
    hue_reversed_off_the_permutations,
    product_factors_swapped,
    a_bias_per_group_element,
    nan_outputs,
    zero_outputs,
    constant_outputs,
    outputs_blind_to_the_input,
    stride_that_does_not_fit,
    pooling_that_does_not_fit,
    same_padding_of_an_even_kernel,
    unequal_padding,
    stock_batch_norm_on_channels,
    stock_batch_norm_on_irreps,
    batch_norm_that_shifts_everything,
    stock_dropout_on_images,
    relu_on_irreps,
    max_pooling_of_vectors,
    pooling_over_the_wrong_cosets,
    norms_with_a_threshold_for_each_entry,
    norms_of_the_wrong_entries,
    gates_at_the_wrong_blocks,
    entries_tied_to_the_wrong_ones,
    a_gate_that_is_not_invariant,
    fourier_samples_at_the_wrong_elements,
    flattened_logits,
]
