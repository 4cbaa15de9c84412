"""Which plan computes a convolution."""

import math

import torch
from torch import Tensor

from equiconv.errors import FieldTypeError
from equiconv.execution.fourier import FourierPlan
from equiconv.execution.plan import DensePlan, Job, Plan
from equiconv.execution.rates import gain
from equiconv.execution.separable import SeparablePlan
from equiconv.execution.steered import SteeredPlan

PLANS: dict[str, type[Plan]] = {plan.name: plan for plan in (DensePlan, FourierPlan, SteeredPlan, SeparablePlan)}
EXECUTIONS = ("auto", *PLANS)
NEEDS = {
    "fourier": "regular fields, in and out, on a group with a factor that moves colors only, such as HueShift(3), or "
    "1x1 kernels",
    "steered": "regular fields, in and out, of a finite group",
    "separable": 'factorization="g" or "gc"',
}
GAIN = 1.05  # a plan is taken if it promises to be so many times faster than the dense one
MEMORY = 1.3  # and to take at most so many times the memory
LARGEST = 1_000_000  # numbers of one image: beyond, what the plans write no longer stays in the cache


def alternative(execution: str, job: Job) -> Plan | None:
    """Return the plan that a layer may take instead of the dense one; None if that one is best.

    Args:
        execution: one of ``EXECUTIONS``; ``"auto"`` is the plan that promises to be the fastest.
        job: the convolution.

    Raises:
        FieldTypeError: if there is no such plan, or it does not serve this convolution.
    """
    if execution not in EXECUTIONS:
        raise FieldTypeError(f"execution is one of {', '.join(EXECUTIONS)}; got {execution!r}")
    plan = fastest(job) if execution == "auto" else PLANS[execution]
    if not plan.serves(job):
        raise FieldTypeError(
            f'execution="{execution}" needs {NEEDS[execution]}; got {job.in_rep!r} and {job.out_rep!r}, '
            f"factorization={job.factorization!r}"
        )
    return None if plan is DensePlan else plan(job)


def fastest(job: Job) -> type[Plan]:
    """Return the plan that promises the largest gain in single precision; the dense one if none does."""
    dense = DensePlan.work(job)
    gains = {plan: gain(name, plan.work(job), dense) for name, plan in PLANS.items() if plan.serves(job)}
    best = max(gains, key=gains.__getitem__)
    return best if gains[best] > GAIN else DensePlan


def pays(plan: Plan, dense: Plan, x: Tensor) -> bool:
    """Tell whether a plan is to be taken instead of the dense one for an input ``(b, c, h, w)``.

    It has to promise a gain on the device and in the precision of the input; where nothing has been measured, the dense
    plan is taken. A single image may not be too large to be convolved at once, and in training memory must suffice.
    When a graph is traced, sizes may be unknown, and memory is up to the compiler.
    """
    traced, (b, _, h, w) = torch.compiler.is_compiling(), x.shape
    pixels = math.inf if traced else b * h * w / plan.job.shrinkage
    if gain(plan.name, plan.effort, dense.effort, pixels, x.device.type, _precision(x)) <= GAIN:
        return False
    if traced:
        return True
    if math.prod(x.shape[1:]) > LARGEST:
        return False
    return not torch.is_grad_enabled() or plan.memory(x.shape) <= MEMORY * dense.memory(x.shape)


def _precision(x: Tensor) -> torch.dtype:
    """Return the type in which a convolution of ``x`` is computed."""
    device = x.device.type
    if device != "meta" and torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return x.dtype
