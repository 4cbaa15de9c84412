"""Networks built from the layers, for any group."""

from equiconv.models.cnn import CNN
from equiconv.models.steerable import SteerableCNN

__all__ = ["CNN", "SteerableCNN"]
