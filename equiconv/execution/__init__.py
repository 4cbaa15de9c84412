"""Execution plans: ways to compute what a convolution computes. They never change the function."""

from equiconv.execution.cache import Cache, may_be_kept
from equiconv.execution.choice import alternative, pays
from equiconv.execution.plan import DensePlan, Job, Plan, with_bias

__all__ = ["Cache", "DensePlan", "Job", "Plan", "alternative", "may_be_kept", "pays", "with_bias"]
