"""Where it is computed, how precisely, and how often it is measured."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from equiconv.errors import EquiconvError

__all__ = ["DEVICES", "DTYPES", "Setting"]

DEVICES = ("cpu", "cuda")
DTYPES = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}


@dataclass(frozen=True)
class Setting:
    """Say how everything in one run is measured.

    Args:
        rounds: measurements of which the median is taken.
        device: ``"cpu"`` (one thread) or ``"cuda"``.
        dtype: ``"float32"``; ``"bfloat16"`` or ``"float64"``, of the weights too; or, on CUDA, ``"tf32"``: float32,
            multiplied in TensorFloat-32.
        compiled: measure the modules after ``torch.compile`` too.
        peers: the other libraries that are measured.

    Raises:
        EquiconvError: if these cannot be together, or on this machine.
    """

    rounds: int = 7
    device: str = "cpu"
    dtype: str = "float32"
    compiled: bool = False
    peers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise EquiconvError(f"--rounds is at least 1; got {self.rounds}")
        if self.device not in DEVICES or self.dtype not in DTYPES:
            known = f"--device is one of {', '.join(DEVICES)}, --dtype one of {', '.join(DTYPES)}"
            raise EquiconvError(f"{known}; got {self.device!r} and {self.dtype!r}")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise EquiconvError("--device cuda: PyTorch finds no CUDA device here")
        if self.dtype == "tf32" and self.device != "cuda":
            raise EquiconvError("--dtype tf32 is a precision of CUDA devices; add --device cuda, or leave it out")
        if self.peers and (self.device, self.dtype) != ("cpu", "float32"):
            raise EquiconvError("--peers are measured on the CPU in float32; leave out --peers, or the others")

    @property
    def device_name(self) -> str:
        """The name of the device."""
        return torch.cuda.get_device_name() if self.device == "cuda" else self.device

    def place(self, module: nn.Module) -> nn.Module:
        """Return the module on the device and in the dtype."""
        return module.to(self.device, DTYPES[self.dtype])

    def tensor(self, *shape: int) -> Tensor:
        """Return random numbers on the device and in the dtype."""
        return torch.randn(*shape, device=self.device, dtype=DTYPES[self.dtype])

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Compute with one thread, in the precision that was asked for, on the same random numbers each time."""
        threads, products = torch.get_num_threads(), torch.backends.cuda.matmul
        convolutions: Any = torch.backends.cudnn
        before = products.fp32_precision, convolutions.conv.fp32_precision, convolutions.benchmark
        precision = "tf32" if self.dtype == "tf32" else "ieee"
        torch.set_num_threads(1)
        products.fp32_precision = convolutions.conv.fp32_precision = precision
        convolutions.benchmark = True
        try:
            with torch.random.fork_rng():
                torch.manual_seed(0)
                yield
        finally:
            torch.set_num_threads(threads)
            products.fp32_precision, convolutions.conv.fp32_precision, convolutions.benchmark = before
