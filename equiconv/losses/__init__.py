"""Implicit equivariance: a loss that teaches any network to be equivariant, under any group."""

from equiconv.losses.equivariance import EquivarianceLoss, Pair, ien_draw

__all__ = ["EquivarianceLoss", "Pair", "ien_draw"]
