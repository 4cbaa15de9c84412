"""What is measured of a module: forward, forward and backward, evaluation; multiplications and memory."""

from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.cases import Build, Case
from benchmarks.speed.clock import Task
from benchmarks.speed.memory import peak_memory
from benchmarks.speed.setting import Setting

__all__ = ["compiled", "multiplications", "step_memory", "steps"]


def compiled(build: Build) -> Build:
    """Return what builds the module and compiles it."""
    return lambda: cast(nn.Module, torch.compile(build(), fullgraph=True, dynamic=False))


def steps(build: Build, case: Case, setting: Setting) -> dict[str, Task]:
    """Return the tasks by name: ``forward`` and ``forward_backward`` in training mode, ``evaluation`` in that mode.

    In training a step makes the kernel anew, since the weights have changed, and the gradients are those of the input
    and of all parameters. In evaluation the kernel may be kept.
    """
    module, ready = (setting.place(build()) for _ in range(2))
    ready.eval()
    x = setting.tensor(*case.input_shape(_plain(module))).requires_grad_()
    upstream = torch.randn_like(module(x))
    return {
        "forward": lambda: module(x),
        "forward_backward": lambda: _gradients(module, x, upstream),
        "evaluation": torch.no_grad()(lambda: ready(x)),
    }


def _plain(module: nn.Module) -> nn.Module:
    """Return the module that was compiled, or the module itself."""
    return getattr(module, "_orig_mod", module)


def _gradients(module: nn.Module, x: Tensor, upstream: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(module(x), [x, *module.parameters()], upstream)


def step_memory(build: Build, case: Case, setting: Setting) -> int | None:
    """Return the peak bytes of a forward and a backward pass; input, parameters and gradients included."""
    return peak_memory(partial(_whole_step, build, case, setting), setting)


def _whole_step(build: Build, case: Case, setting: Setting) -> None:
    module = setting.place(build())
    x = setting.tensor(*case.input_shape(module)).requires_grad_()
    y = module(x)
    torch.autograd.grad(y, [x, *module.parameters()], torch.ones_like(y))


def multiplications(build: Build, case: Case) -> int:
    """Return the multiplications of a forward pass: half of the FLOPs of its convolutions and matrix products.

    Making the kernel is left out: it does not depend on the number of images, so only what one image more costs counts.
    """
    module = build().eval()
    _, *shape = case.input_shape(module)
    _, one, two = (_flops(module, torch.zeros(images, *shape)) for images in (1, 1, 2))  # the first may keep its kernel
    return case.batch * (two - one) // 2


@torch.no_grad()
def _flops(module: nn.Module, x: Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        module(x)
    return counter.get_total_flops()
