"""Ordinary networks made equivariant."""

from equiconv.converting.convert import convert
from equiconv.converting.pooling import SymmetricMean, SymmetricPool, Windows
from equiconv.converting.report import Report, Row

__all__ = ["Report", "Row", "SymmetricMean", "SymmetricPool", "Windows", "convert"]
