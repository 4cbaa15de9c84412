"""The checks that run in one process: each takes a case, and raises unless it works."""

import copy
import io
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import equiconv
from support.cases import Case
from support.compare import close, derivative, gradients, in_both_modes, needs_parameters, seeded, step

__all__ = [
    "autocast",
    "averaged",
    "channels_last",
    "deepcopy",
    "double",
    "functional",
    "in_precision",
    "meta",
    "one_state",
    "pickled",
    "saved",
]


def in_precision(dtype: torch.dtype, tolerance: float) -> Callable[[Case], None]:
    """Return a check of ``module.to(dtype)`` in both modes: outputs near those in single precision, and gradients."""

    def check(case: Case) -> None:
        for module, other in zip(in_both_modes(case), in_both_modes(case), strict=True):
            x = case.inputs(module, batch=4)
            y = seeded(other.to(dtype), x.to(dtype))
            assert y.dtype == dtype, f"{y.dtype} comes out"
            close(y, seeded(module, x), tolerance)
            gradients(other, x.to(dtype))

    return check


def double(case: Case) -> None:
    """``module.double()`` has the full precision of one that was made in it, and gradients that are those."""
    in_precision(torch.float64, 1e-4)(case)
    module = case.module().double()
    x = case.inputs(module).double()
    torch.set_default_dtype(torch.float64)
    try:
        made = case.make().eval()
    finally:
        torch.set_default_dtype(torch.float32)
    made.load_state_dict(module.state_dict())
    close(module(x), made(x), 1e-13)
    unmoved = module(x) == module(x * (1 + 1e-10))
    assert unmoved.double().mean() < 0.9, "numbers go through single precision"
    for each in in_both_modes(case):
        derivative(each.double(), x)


def autocast(case: Case) -> None:
    """Under autocast to bfloat16 parameters and their gradients stay in single precision, in both modes."""
    for module, other in zip(in_both_modes(case), in_both_modes(case), strict=True):
        x = case.inputs(module, batch=4).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            y = seeded(module, x)
        close(y, seeded(other, x), 0.06)
        y.float().square().sum().backward()
        assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in module.parameters())


def channels_last(case: Case) -> None:
    """An input in channels_last comes out so."""
    module = case.module()
    x = case.inputs(module)
    flat = x.flatten(1, -3)  # (b, n*d, h, w)
    y = module(flat.contiguous(memory_format=torch.channels_last).unflatten(1, x.shape[1:-2]))
    close(y, module(x), 1e-5)
    if y.dim() > 2:
        assert y.flatten(1, -3).is_contiguous(memory_format=torch.channels_last), "the format is lost"


def functional(case: Case) -> None:
    """``torch.func``: an ensemble by ``vmap`` over parameters, or one over inputs."""
    modules = [case.module() for _ in range(2)]
    with torch.no_grad():
        for p in modules[1].parameters():
            p.mul_(1.5)
    xs = torch.stack([case.inputs(modules[0], seed=seed) for seed in (1, 2)])
    state = torch.func.stack_module_state(modules)

    def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Tensor:
        return torch.func.functional_call(modules[0], (parameters, buffers), (x,))

    ys = torch.func.vmap(one)(*state, xs)
    close(ys, torch.stack([module(x) for module, x in zip(modules, xs, strict=True)]), 1e-5)


def meta(case: Case) -> None:
    """A module made on the meta device takes no memory, and computes once it has its weights."""
    torch.manual_seed(0)
    with torch.device("meta"):
        ghost = case.make().eval()
    module = case.module()
    x = case.inputs(module)
    assert all(value.is_meta for value in ghost.state_dict().values())
    assert ghost(x.to("meta")).shape == module(x).shape
    ghost.to_empty(device="cpu").load_state_dict(module.state_dict())
    assert torch.equal(ghost(x), module(x))


def deepcopy(case: Case) -> None:
    """A deep copy computes the same and shares nothing."""
    module = case.module()
    x = case.inputs(module)
    expected = module(x)
    other = copy.deepcopy(module)
    assert torch.equal(other(x), expected)
    with torch.no_grad():
        for p in module.parameters():
            p.mul_(1.5)
    assert torch.equal(other(x), expected), "the copy follows the original"


def pickled(case: Case) -> None:
    """``pickle`` and ``torch.save`` bring the module back, after it was used as well."""
    module = case.module()
    x = case.inputs(module)
    expected, file = module(x), io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    for other in (pickle.loads(pickle.dumps(module)), torch.load(file, weights_only=False)):
        assert torch.equal(other(x), expected)


def one_state(case: Case) -> None:
    """The state is the same in training and evaluation, and loads with ``weights_only=True``."""
    module = case.module()
    keys = list(module.train().state_dict())
    module.eval()(case.inputs(module))
    assert list(module.state_dict()) == keys
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    other = case.make().eval()
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(case.inputs(module)), module(case.inputs(module)))


def saved(case: Case) -> None:
    """``equiconv.save`` writes what ``equiconv.load`` rebuilds from the file alone, bit for bit."""
    module = case.module()
    with tempfile.TemporaryDirectory() as folder:
        equiconv.save(module, Path(folder) / "module.safetensors")
        other = equiconv.load(Path(folder) / "module.safetensors", known=[type(module)])
    assert type(other) is type(module)
    assert not other.training
    assert torch.equal(other(case.inputs(module)), module(case.inputs(module)))


def averaged(case: Case) -> None:
    """``torch.optim.swa_utils``: plain and exponential averages, used in evaluation while they change."""
    module = case.module()
    needs_parameters(module)
    x = case.inputs(module)
    for average in (None, get_ema_multi_avg_fn(0.5)):
        mean = AveragedModel(module, multi_avg_fn=average)
        mean.update_parameters(module)
        before = mean(x)
        first = {name: p.detach().clone() for name, p in module.named_parameters()}
        step(module, x)
        mean.update_parameters(module)
        expected = copy.deepcopy(module)
        with torch.no_grad():
            for name, p in expected.named_parameters():
                p.lerp_(first[name], 0.5)
        close(mean(x), expected(x), 1e-5)
        assert not torch.equal(mean(x), before), "the average is not seen"
