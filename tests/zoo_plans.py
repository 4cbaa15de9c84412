"""Broken execution plans: the comparison with the dense convolution has to reject them."""

import numpy as np
from plans import planned

from equiconv.execution.blocks import BlockPlan
from equiconv.execution.separable import SeparablePlan
from equiconv.groups import P4, P4M, Cyclic, HueShift


def tampered(group, execution, table, change, kernel_size=3, **options):
    """Return a layer with a table of its plan changed, and an input."""
    layer, x = planned(group, execution, kernel_size, **options)
    masters = layer.alternative._masters
    masters[table] = change(masters[table])
    return layer.double(), x


def waves_the_wrong_way_around():
    """Equivariant, but another function: only the dense convolution tells."""
    return tampered(HueShift(4), "fourier", "waves", lambda waves: waves[:, (-np.arange(4)) % 4])


def pointwise_waves_the_wrong_way_around():
    return tampered(P4M(), "fourier", "waves", lambda waves: waves[:, P4M().inverse], 1)


def the_third_product_added():
    def change(synthesis):
        return np.concatenate([synthesis[:, :-1], -synthesis[:, -1:]], 1)

    return tampered(HueShift(3), "fourier", "synthesis", change)


def a_factor_of_the_wrong_scale():
    return tampered(HueShift(3), "fourier", "analysis", lambda analysis: analysis * [[2], [1], [1], [1]])


def blocks_exchanged():
    return tampered(P4M(), "steered", "waves", lambda waves: waves[[1, 0, *range(2, len(waves))]])


def rows_and_columns_of_a_block_exchanged():
    def change(waves):  # the 2x2 block of D_4 follows its first two irreps
        return waves[[0, 1, 2, 4, 3, 5, *range(6, len(waves))]]

    return tampered(P4M(), "steered", "waves", change)


def a_basis_that_does_not_move():
    def change(steering):
        still = steering[:1, :, :1] / steering[0, 0, 0].max()
        scale = steering.sum((3, 4), keepdims=True) / still.sum((3, 4), keepdims=True)
        return still * scale

    return tampered(P4(), "steered", "steering", change)


def a_basis_that_moves_backwards():
    def change(steering):
        return steering[:, :, Cyclic(8).inverse]

    return tampered(Cyclic(8), "steered", "steering", change)


def coefficients_that_do_not_move():
    return tampered(P4(), "steered", "waves", lambda waves: np.einsum("wu,ts->wtus", waves.sum((1, 3)), np.eye(9)))


def broken(cls, group, execution, **options):
    """Return a layer whose plan is of a broken class, and an input."""
    layer, x = planned(group, execution, **options)
    layer.alternative.__class__ = type(cls.__name__, (cls, type(layer.alternative)), {})
    return layer, x


def factors_of_the_group_exchanged():
    class Exchanged:
        def joined(self, fields, shape):
            y = type(self).__mro__[2].joined(self, fields, shape)
            return y.unflatten(1, (-1, 3, 4)).transpose(2, 3).reshape(y.shape)

    return broken(Exchanged, HueShift(3) * P4(), "fourier")


def pieces_out_of_order():
    class Shuffled:
        def forward(self, x, kernels, bias, slide):
            return BlockPlan.forward(self, x.flip(0), kernels, bias, slide)

    return broken(Shuffled, HueShift(3), "fourier")


def a_bias_that_is_forgotten():
    class Forgetful:
        def forward(self, x, kernels, bias, slide):
            return BlockPlan.forward(self, x, kernels, None, slide) + 0 * bias[:, None, None]

    return broken(Forgetful, P4(), "steered")


def spatial_kernels_that_do_not_move():
    class Still:
        def kernels(self, *factors):
            *mixing, spatial = SeparablePlan.kernels(self, *factors)
            first = spatial.unflatten(0, (-1, 4))[:, :1].expand(-1, 4, -1, -1, -1)
            return [*mixing, first.flatten(0, 1)]

    return broken(Still, P4(), "separable", factorization="gc")


def input_fields_mixed_up():
    class Mixed:
        def kernels(self, *factors):
            *mixing, spatial = SeparablePlan.kernels(self, *factors)
            return [*mixing, spatial.flip(1)]

    return broken(Mixed, P4(), "separable", factorization="g")


BROKEN_PLANS = [
    waves_the_wrong_way_around,
    pointwise_waves_the_wrong_way_around,
    the_third_product_added,
    a_factor_of_the_wrong_scale,
    blocks_exchanged,
    rows_and_columns_of_a_block_exchanged,
    a_basis_that_does_not_move,
    a_basis_that_moves_backwards,
    coefficients_that_do_not_move,
    factors_of_the_group_exchanged,
    pieces_out_of_order,
    a_bias_that_is_forgotten,
    spatial_kernels_that_do_not_move,
    input_fields_mixed_up,
]
