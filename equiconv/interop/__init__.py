"""Working with other libraries."""

from equiconv.interop.e2cnn import from_e2cnn

__all__ = ["from_e2cnn"]
