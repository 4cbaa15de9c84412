"""Where a network is trained: on one device, or on several of one or more machines."""

import os
from dataclasses import dataclass

from lightning_fabric import Fabric

from benchmarks.training.memory import keep_memory

__all__ = ["CPU", "Hardware"]


@dataclass(frozen=True)
class Hardware:
    """Say on what to train.

    Under ``torchrun`` the processes are there already, and ``devices`` is their number on one machine.

    Args:
        accelerator: ``"cpu"``, ``"cuda"``, ``"mps"``, or ``"auto"``.
        devices: on each machine.
        nodes: machines.
    """

    accelerator: str = "cpu"
    devices: int = 1
    nodes: int = 1

    def fabric(self, precision: str) -> Fabric:
        """Return a launched Fabric.

        Args:
            precision: as of ``Recipe``.
        """
        keep_memory()
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS is not deterministic
        several = self.devices * self.nodes > 1
        fabric = Fabric(
            accelerator=self.accelerator,
            devices=self.devices,
            num_nodes=self.nodes,
            strategy="ddp" if several else "auto",
            precision=precision,  # type: ignore[arg-type]
        )
        fabric.launch()
        return fabric


CPU = Hardware()
