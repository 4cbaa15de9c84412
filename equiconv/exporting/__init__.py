"""Networks as plain PyTorch modules, which run where equiconv is not installed."""

from equiconv.exporting.export import copied, export
from equiconv.exporting.writing import Example, arguments_of, compare, write

__all__ = ["Example", "arguments_of", "compare", "copied", "export", "write"]
