"""What the checks compare, and what they say where there is nothing to compare."""

import copy

import torch
from torch import Tensor, nn

from support.cases import Case

__all__ = [
    "Elsewhere",
    "Limit",
    "NotApplicable",
    "close",
    "derivative",
    "gradients",
    "in_both_modes",
    "needs_parameters",
    "seeded",
    "step",
]


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


def in_both_modes(case: Case) -> list[nn.Module]:
    """Return the module in evaluation, and another in training."""
    return [case.module(), case.module().train()]


def seeded(module: nn.Module, x: Tensor) -> Tensor:
    """Return the output, with the same draws of dropout each time."""
    torch.manual_seed(2)
    return module(x)


def gradients(module: nn.Module, x: Tensor) -> None:
    """Raise unless input and parameters have finite gradients; in training, that of a bias may vanish in a norm."""
    x = x.clone().requires_grad_()
    seeded(module, x).square().sum().backward()
    found = [x.grad, *(p.grad for p in module.parameters())]
    assert all(grad is not None and grad.isfinite().all() for grad in found), "no gradient, or no finite one"
    assert module.training or all(grad.any() for grad in found), "a gradient is zero"


def derivative(module: nn.Module, x: Tensor) -> None:
    """Raise unless the gradients of a module in double precision tell how its output changes, along a random line."""
    x = x.clone().requires_grad_()
    leaves = [x, *module.parameters()]
    state = copy.deepcopy(module.state_dict())
    line = [torch.randn_like(leaf) for leaf in leaves]
    found = torch.autograd.grad(seeded(module, x).square().sum(), leaves)
    expected = sum(float((grad * step).sum()) for grad, step in zip(found, line, strict=True))
    values = []
    for side in (1e-8, -2e-8):  # small: no maximum is to change
        with torch.no_grad():
            for leaf, step in zip(leaves, line, strict=True):
                leaf.add_(step, alpha=side)
            values.append(float(seeded(module, x).square().sum()))
    module.load_state_dict(state)
    slope = (values[0] - values[1]) / 2e-8
    assert abs(slope - expected) <= 1e-4 * abs(expected) + 1e-6, f"{slope:.6g}, and gradients {expected:.6g}"


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
