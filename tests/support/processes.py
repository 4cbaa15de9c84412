"""The checks that need several processes: each runs over all cases at once, since processes are slow to start."""

import copy
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch import multiprocessing as mp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from equiconv.layers import FieldBatchNorm, synchronize_batch_norms
from support.cases import CASES, Case
from support.compare import Elsewhere, NotApplicable, close, in_both_modes, needs_parameters, seeded
from support.outcome import Outcome, outcome

__all__ = ["SHARED", "by_themselves", "in_two_processes", "spawned"]

COUNT = 2


def _gradients(module: nn.Module, run: nn.Module, x: Tensor) -> list[Tensor]:
    seeded(run, x).square().mean().backward()
    return [p.grad for p in module.parameters()]


def _expected(module: nn.Module, x: Tensor) -> list[Tensor]:
    """Return the means of the gradients for the parts of a batch, each seen by a copy of its own."""
    copies = [copy.deepcopy(module) for _ in range(COUNT)]
    found = [_gradients(each, each, part) for each, part in zip(copies, x.chunk(COUNT), strict=True)]
    return [sum(grads) / COUNT for grads in zip(*found, strict=True)]


def _same_gradients(found: list[Tensor], expected: list[Tensor]) -> None:
    for grad, other in zip(found, expected, strict=True):
        torch.testing.assert_close(grad, other, rtol=1e-3, atol=1e-5)


def data_parallel(case: Case) -> None:
    """Gradients are the means of those of all processes, in both modes."""
    for module in in_both_modes(case):
        needs_parameters(module)
        x = case.inputs(module, batch=4 * COUNT)
        expected = _expected(module, x)
        found = _gradients(module, DistributedDataParallel(module), x.chunk(COUNT)[dist.get_rank()])
        _same_gradients(found, expected)


def sharded(case: Case) -> None:
    """Each process holds a part of every parameter; output and gradients are those of the whole, in both modes."""
    for module in in_both_modes(case):
        needs_parameters(module)
        x = case.inputs(module, batch=4 * COUNT)
        mine, alone, expected = x.chunk(COUNT)[dist.get_rank()], copy.deepcopy(module), _expected(module, x)
        fully_shard(module, mesh=init_device_mesh("cpu", (COUNT,)))
        y = seeded(module, mine)
        close(y, seeded(alone, mine), 1e-5)
        y.square().mean().backward()
        _same_gradients([p.grad.full_tensor() for p in module.parameters()], expected)
        with torch.no_grad():
            for p in module.parameters():
                p.mul_(2)
        assert not torch.allclose(seeded(module, mine), y), "a kernel of earlier parameters is used"


def synchronized(case: Case, convert: Callable[[nn.Module], nn.Module] = synchronize_batch_norms) -> None:
    """Statistics are those of the whole batch, also where processes have parts of different size."""
    module = case.module().train()
    norms = [part for part in module.modules() if isinstance(part, (FieldBatchNorm, _BatchNorm))]
    if not norms:
        raise NotApplicable("has no batch norms")
    x = case.inputs(module, batch=3)
    mine = x[:2] if dist.get_rank() == 0 else x[2:]
    alone, module = copy.deepcopy(module), convert(module)
    if any(isinstance(part, nn.SyncBatchNorm) for part in module.modules()):
        raise Elsewhere("regular fields have PyTorch's batch norm, and its `SyncBatchNorm` needs a GPU in training")
    whole, y = alone(x), module(mine)
    close(y, whole[:2] if dist.get_rank() == 0 else whole[2:], 1e-5)
    torch.testing.assert_close(module.state_dict(), alone.state_dict())
    whole.square().sum().backward()
    y.square().sum().backward()
    for p, q in zip(module.parameters(), alone.parameters(), strict=True):
        dist.all_reduce(p.grad)
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-3, atol=1e-4)


def by_themselves(case: Case) -> None:
    """Batch norms that are synchronized within groups of one process each have the statistics of their own batch."""
    groups = [dist.new_group([rank]) for rank in range(COUNT)]
    module, alone = case.module().train(), case.module().train()
    x = case.inputs(module, batch=4).chunk(COUNT)[dist.get_rank()]
    synchronize_batch_norms(module, groups[dist.get_rank()])
    close(module(x), alone(x), 1e-5)
    torch.testing.assert_close(module.state_dict(), alone.state_dict())


SHARED: dict[str, Callable[[Case], None]] = {"ddp": data_parallel, "fsdp": sharded, "syncbn": synchronized}


def _work(rank: int, folder: Path, checks: dict[str, Callable[[Case], None]], cases: list[Case]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=COUNT)
    found = {}
    for name, check in checks.items():
        for case in cases:
            found[name, case.name] = outcome(check, case)
            dist.barrier()
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()


def in_two_processes(
    checks: dict[str, Callable[[Case], None]] = SHARED, cases: list[Case] | None = None
) -> dict[tuple[str, str], Outcome]:
    """Return the outcome of checks, by their name and that of the case, in two processes that have to agree."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = Path(folder), checks, list(CASES.values()) if cases is None else cases
        mp.spawn(_work, arguments, nprocs=COUNT)
        first, second = (torch.load(Path(folder) / f"{rank}.pt", weights_only=False) for rank in range(COUNT))
    return {key: one if one.kind != "works" else second[key] for key, one in first.items()}


def _compute(_rank: int, modules: dict[str, tuple[nn.Module, Tensor]], path: Path) -> None:
    torch.set_num_threads(1)
    torch.save({name: module(x) for name, (module, x) in modules.items()}, path)


def spawned(cases: list[Case]) -> dict[str, Outcome]:
    """Return whether modules arrive in a process that was spawned, and compute the same there."""
    modules = {case.name: (module := case.module(), case.inputs(module)) for case in cases}
    expected = {name: module(x) for name, (module, x) in modules.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outputs.pt"
        mp.spawn(_compute, (modules, path))
        found = torch.load(path)

    def check(case: Case) -> None:
        assert torch.equal(found[case.name], expected[case.name].detach())

    return {case.name: outcome(partial(check), case) for case in cases}
