"""Broken layers of the plane, of subgroups, and of parts: every check has to reject them."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from zoo import Wrapped

from equiconv.groups import P4, P4M
from equiconv.layers import (
    Antialiased,
    BlurPool,
    DiskMask,
    GroupConv2d,
    GroupConvTranspose2d,
    Pointwise,
    SubgroupPool,
    Upsample,
    VectorFieldActivation,
)


def transposed_with_output_padding():
    kind = 2 * P4().regular
    return GroupConvTranspose2d(kind, kind, 3, stride=2, output_padding=1, exact=False)


def transposed_with_inputs_and_outputs_mixed_up():
    conv = GroupConv2d(2 * P4().regular, 3 * P4().regular, 3)

    def spread(x, conv):
        return F.conv_transpose2d(x.flatten(1, 2), conv.kernel().reshape(8, 12, 3, 3)).unflatten(1, (3, 4))

    return Wrapped(conv.in_type, conv.out_type, spread, conv)


def nearest_pixels_that_lie_halfway():
    return Upsample(2 * P4().regular, scale=1.5, mode="nearest", exact=False)


def interpolation_that_starts_at_the_corner():
    kind = P4().image
    return Wrapped(kind, kind, lambda x: F.interpolate(x, scale_factor=1.7, mode="bilinear"))


def pooling_by_the_norm_of_the_first_entry():
    kind = 2 * P4().vector

    def pool(x):
        _, winners = F.max_pool2d(x[:, :, 0], 3, return_indices=True)
        return (
            x.flatten(3).gather(3, winners.flatten(2)[:, :, None].expand(-1, -1, 2, -1)).unflatten(3, winners.shape[2:])
        )

    return Wrapped(kind, kind, pool)


def blur_that_does_not_fit():
    return BlurPool(2 * P4().regular, sigma=1, kernel_size=4, exact=False)


def every_second_pixel_of_an_even_image():
    kind = 2 * P4().regular
    fine = Upsample(kind, scale=2)
    return Wrapped(kind, kind, lambda x, up: up(x).relu()[..., ::2, ::2], fine)


def a_filter_that_leans():
    layer = Antialiased(Pointwise(2 * P4().regular))
    layer._masters["sinc"] = layer._masters["sinc"] * (1 + np.linspace(0, 0.1, layer.sinc.shape[-1]))
    return layer.float()


def subgroup_windows_from_the_left():
    layer = SubgroupPool(2 * P4M().regular, [4])
    group, (elements, rest) = P4M(), ([0, 4], [0, 1])
    layer._masters["windows"] = group.table[rest][:, elements][:, None]
    return layer.float()


def a_mask_off_the_center():
    kind = P4().image
    return Wrapped(kind, kind, lambda x, mask: mask(F.pad(x, (0, 2)))[..., :-2], DiskMask(kind))


def vectors_that_turn_backwards():
    layer = VectorFieldActivation(2 * P4().regular)
    layer._masters["directions"] = layer._masters["directions"] * [1, -1]
    return layer.float()


def stock_group_norm_on_irreps():
    kind = 2 * (P4().irrep(0) + P4().irrep(1))
    norm = nn.GroupNorm(2, 6)
    return Wrapped(kind, kind, lambda x, n: n(x.flatten(1, 2)).view_as(x), norm)


def branches_at_the_wrong_entries():
    group = P4()
    kind = 2 * (group.irrep(1) + group.regular)
    return Wrapped(kind, kind, lambda x: torch.cat([x[:, :, :4].relu(), x[:, :, 4:]], 2))


BROKEN_LAYERS = [
    transposed_with_output_padding,
    transposed_with_inputs_and_outputs_mixed_up,
    nearest_pixels_that_lie_halfway,
    interpolation_that_starts_at_the_corner,
    pooling_by_the_norm_of_the_first_entry,
    blur_that_does_not_fit,
    every_second_pixel_of_an_even_image,
    a_filter_that_leans,
    subgroup_windows_from_the_left,
    a_mask_off_the_center,
    vectors_that_turn_backwards,
    stock_group_norm_on_irreps,
    branches_at_the_wrong_entries,
]
