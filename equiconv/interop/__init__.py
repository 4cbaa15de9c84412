"""Working with other libraries."""

from equiconv.interop.plain import to_torch

__all__ = ["to_torch"]
