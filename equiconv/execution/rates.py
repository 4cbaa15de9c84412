"""What memory traffic costs: how much faster than the dense convolution a plan promises to be.

The rates are measured by ``python -m benchmarks speed --sections rates``, and rather too large than too small: a faster
plan that is left costs less than a slower one that is taken.
"""

import math
from dataclasses import dataclass

import torch

from equiconv.execution.plan import Work


@dataclass(frozen=True)
class Rates:
    """Say how many multiplications of a large dense convolution take as long as something else.

    Args:
        traffic: a number that is read or written, for each plan.
        kernel: a number of a kernel that is made and used.
        call: a call of PyTorch.
    """

    traffic: dict[str, float]
    kernel: float
    call: float

    def cost(self, work: Work, traffic: float, pixels: float) -> float:
        """Return the multiplications, for one pixel, that take as long as some work.

        Args:
            work: the work.
            traffic: the rate of a number that is read or written.
            pixels: of the output, in all images.
        """
        once = self.kernel * work.kernels + self.call * work.calls
        return work.multiplications + traffic * work.traffic + once / max(1, pixels)


RATES = {  # by device and precision
    ("cpu", torch.float64): Rates({"fourier": 20.0, "steered": 450.0, "separable": 80.0}, kernel=10.0, call=2.5e6),
    ("cpu", torch.float32): Rates({"fourier": 30.0, "steered": 100.0, "separable": 90.0}, kernel=50.0, call=3e6),
    ("cpu", torch.bfloat16): Rates({"fourier": 75.0, "steered": 250.0, "separable": 200.0}, kernel=50.0, call=6e6),
}


def gain(
    plan: str,
    work: Work,
    dense: Work,
    pixels: float = math.inf,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> float:
    """Return how many times faster than the dense plan another promises to be; 0 where that has not been measured.

    Args:
        plan: the name of the plan.
        work: what it does.
        dense: what the dense plan does.
        pixels: of the output, in all images; by default so many that kernels and calls cost nothing beside them.
        device: the kind of device.
        dtype: the precision in which it is computed.
    """
    rates = RATES.get((device, dtype))
    if rates is None or plan not in rates.traffic:
        return 0.0
    return rates.cost(dense, 0.0, pixels) / rates.cost(work, rates.traffic[plan], pixels)
