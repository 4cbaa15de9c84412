"""``python -m benchmarks robustness``: what trained networks do with images that are moved."""

from benchmarks.robustness.command import add_arguments, run

__all__ = ["add_arguments", "run"]
