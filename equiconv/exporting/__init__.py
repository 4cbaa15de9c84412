"""Networks as plain PyTorch modules, which run where equiconv is not installed."""

from equiconv.exporting.export import export

__all__ = ["export"]
