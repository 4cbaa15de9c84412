"""What a network costs: multiplications, memory, time."""

import statistics
import time
import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.train import reproducible

__all__ = ["LiveMemory", "macs", "peak_memory", "step_times", "time_ratios"]


class LiveMemory(TorchDispatchMode):
    """Count the bytes of the tensors that are alive, and their peak, while it is active.

    A storage counts from the operation that makes it until the last tensor on it is gone; views count once. It sees
    what PyTorch's operations return (activations kept for the backward pass, expanded kernels, gradients), not the
    scratch space within an operation nor what the allocator keeps in reserve. So the number is the same on every run.

    Args:
        held: tensors that are there from the start, such as parameters and inputs.
    """

    def __init__(self, held: Sequence[Tensor] = ()) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._seen: dict[int, weakref.ref[torch.UntypedStorage]] = {}
        for tensor in held:
            self._add(tensor)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation and count what it returns."""
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self._add(leaf)
        return out

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = id(storage), storage.nbytes()
        if key in self._seen:
            return

        def gone(_: object) -> None:
            self.live -= size
            self._seen.pop(key, None)

        self._seen[key] = weakref.ref(storage, gone)
        self.live += size
        self.peak = max(self.peak, self.live)


def macs(net: nn.Module, size: int, channels: int = 3) -> int:
    """Return the multiply-accumulate operations of one image's forward pass: half of PyTorch's count of FLOPs.

    Making the kernels, once for all images, does not count.
    """
    net.eval()
    image = torch.zeros(1, channels, size, size)
    with torch.no_grad():
        net(image)  # in evaluation kernels are kept
        with FlopCounterMode(display=False) as counter:
            net(image)
    return counter.get_total_flops() // 2


def peak_memory(net: nn.Module, size: int, batch_size: int, channels: int = 3) -> int:
    """Return the peak of live bytes in one forward and backward pass; parameters, buffers and the batch included."""
    net.train()
    images, labels = _batch(size, batch_size, channels)
    with LiveMemory([*net.parameters(), *net.buffers(), images, labels]) as memory:
        F.cross_entropy(net(images), labels).backward()
    net.zero_grad(set_to_none=True)
    return memory.peak


def step_times(nets: Sequence[nn.Module], size: int, batch_size: int, rounds: int) -> list[list[float]]:
    """Return the seconds of one training step (forward, backward, Adam), for each network and round.

    One thread; the processor time of this thread, so that other programs disturb little; the networks take turns, so
    that a slow moment of the machine meets all of them; each turn is a step to warm up and the step that counts.
    """
    with reproducible(0):
        images, labels = _batch(size, batch_size)
        optimizers = [torch.optim.Adam(net.parameters()) for net in nets]
        times = [
            [_step_time(net, optimizer, images, labels) for net, optimizer in zip(nets, optimizers, strict=True)]
            for _ in range(rounds)
        ]
    return [list(column) for column in zip(*times, strict=True)]


def time_ratios(times: Sequence[Sequence[float]], reference: Sequence[float]) -> list[float]:
    """Return the median, over the rounds, of each network's time as a ratio to the reference in the same round."""
    return [statistics.median(a / b for a, b in zip(row, reference, strict=True)) for row in times]


def _step_time(net: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor) -> float:
    net.train()
    for _ in range(2):
        start = time.thread_time()
        optimizer.zero_grad()
        F.cross_entropy(net(images), labels).backward()
        optimizer.step()
    return time.thread_time() - start


def _batch(size: int, batch_size: int, channels: int = 3) -> tuple[Tensor, Tensor]:
    images = torch.rand(batch_size, channels, size, size, generator=torch.Generator().manual_seed(0))
    return images, torch.zeros(batch_size, dtype=torch.long)
