"""What memory traffic costs: how much faster than the dense convolution a plan promises to be.

The rates are measured by ``python -m benchmarks speed --sections rates``, and rather too large than too small: a faster
plan that is left costs less than a slower one that is taken.
"""

import torch

from equiconv.execution.plan import Work

TRAFFIC = {  # by device and precision: the multiplications of a dense convolution that take as long as one number
    ("cpu", torch.float64): {"fourier": 20.0, "steered": 450.0, "separable": 80.0},
    ("cpu", torch.float32): {"fourier": 30.0, "steered": 100.0, "separable": 90.0},
    ("cpu", torch.bfloat16): {"fourier": 75.0, "steered": 250.0, "separable": 200.0},
}


def gain(plan: str, work: Work, dense: Work, device: str = "cpu", dtype: torch.dtype = torch.float32) -> float:
    """Return how many times faster than the dense plan another promises to be; 0 where that has not been measured.

    Args:
        plan: the name of the plan.
        work: what it does.
        dense: what the dense plan does.
        device: the kind of device.
        dtype: the precision in which it is computed.
    """
    rates = TRAFFIC.get((device, dtype), {})
    return dense.multiplications / (work.multiplications + rates[plan] * work.traffic) if plan in rates else 0.0
