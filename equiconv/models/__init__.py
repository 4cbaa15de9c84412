"""Networks built from the layers, for any group."""

from equiconv.models.cnn import CNN

__all__ = ["CNN"]
