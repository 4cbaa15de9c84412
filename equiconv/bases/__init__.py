"""The functions that a kernel is made of, and how a group mixes them."""

from equiconv.bases.basis import Circular, SpatialBasis
from equiconv.bases.choice import Basis, choose_basis
from equiconv.bases.derivatives import Derivatives
from equiconv.bases.harmonics import Harmonics
from equiconv.bases.pixels import Pixels

__all__ = ["Basis", "Circular", "Derivatives", "Harmonics", "Pixels", "SpatialBasis", "choose_basis"]
