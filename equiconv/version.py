"""The version of equiconv."""

__version__ = "0.1.0"
