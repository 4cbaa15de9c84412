"""Benchmarks of equiconv: ``python -m benchmarks compare`` and ``python -m benchmarks speed``."""
