"""What the checks compare, and what they say where there is nothing to compare."""

import torch
from torch import Tensor, nn

__all__ = ["Elsewhere", "Limit", "NotApplicable", "close", "gradients", "needs_parameters", "step"]


class NotApplicable(Exception):  # noqa: N818
    """There is nothing to check."""


class Elsewhere(Exception):  # noqa: N818
    """It works on other machines only."""


class Limit(Exception):  # noqa: N818
    """Another library cannot do it."""


def close(y: Tensor, expected: Tensor, tolerance: float) -> None:
    """Raise unless two tensors of one shape differ by so much at most, relative to the second, which varies."""
    y, expected = y.detach().double(), expected.detach().double()
    assert y.shape == expected.shape, f"{tuple(y.shape)} instead of {tuple(expected.shape)}"
    assert expected.std() > 0, "the expected output is constant"
    error = float((y - expected).norm() / expected.norm())
    assert error <= tolerance, f"off by {error:.1e}"


def gradients(module: nn.Module, x: Tensor) -> None:
    """Raise unless input and parameters have finite gradients, and some are not zero."""
    x = x.clone().requires_grad_()
    module(x).square().sum().backward()
    found = [x.grad, *(p.grad for p in module.parameters())]
    assert all(grad is not None and grad.isfinite().all() for grad in found)
    assert all(grad.any() for grad in found[:1])


def needs_parameters(module: nn.Module) -> None:
    """Raise NotApplicable unless there are parameters."""
    if not any(True for _ in module.parameters()):
        raise NotApplicable("has no parameters")


def step(module: nn.Module, x: Tensor) -> None:
    """Change all parameters by a step along the gradient."""
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    optimizer.zero_grad()
    module(x).square().mean().backward()
    optimizer.step()
