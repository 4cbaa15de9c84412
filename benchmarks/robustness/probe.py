"""One measurement: the accuracy of a trained network under the moves of one kind."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmarks.data import Dataset
from benchmarks.data.families import FAMILIES, GRIDS
from benchmarks.studies.scores import counted
from benchmarks.studies.supply import InMemory
from benchmarks.studies.trained import TrainedNetwork
from benchmarks.train import FORWARD_SHARE, Report, reproducible
from benchmarks.training import CPU, Hardware

__all__ = ["KINDS", "Probe", "cost", "measure", "moves"]

Move = Callable[[Tensor], Tensor]
KINDS = (*FAMILIES, *GRIDS)


@dataclass(frozen=True)
class Probe:
    """Hold which network is moved how.

    Args:
        path: the file of the network.
        digest: of the file.
        name: of the row that it is.
        seed: with which it was trained.
        kind: one of ``KINDS``.
    """

    path: Path
    digest: str
    name: str
    seed: int
    kind: str

    @property
    def label(self) -> str:
        """What people call it."""
        return f"{self.name}, {self.kind}"

    @property
    def key(self) -> object:
        """What determines the result."""
        return self.digest, self.kind


def moves(kind: str) -> list[Move]:
    """Return the moves of one kind, in order; those of a grid row by row."""
    if kind in GRIDS:
        grid = GRIDS[kind]
        return [grid.by(row, column) for row in grid.rows for column in grid.columns]
    return [FAMILIES[kind].by(value) for value in FAMILIES[kind].values]


def cost(probe: Probe, data: Dataset) -> float:
    """Return the work of a measurement, in training images that are seen once."""
    return FORWARD_SHARE * len(moves(probe.kind)) * len(data.test_labels)


def measure(
    probe: Probe,
    report: Report,
    *,
    data: Dataset,
    hardware: Hardware = CPU,
    scratch: Callable[[Probe], Path] | None = None,
) -> dict[str, Any]:
    """Return the accuracy at each move, fit for JSON, and the mean error.

    Args:
        probe: what to measure.
        report: called with the work done since the last call.
        data: whose test images are moved.
        hardware: on what to compute.
        scratch: where a run may keep its state; not used.
    """
    with reproducible(probe.seed):
        trained = _loaded(probe.path, probe.digest)
        fabric, supply = hardware.fabric("32-true"), InMemory(data, trained.channels)
        _, counts = counted(trained.model.to(fabric.device), supply, moves(probe.kind), fabric, report)
    accuracies = [count / supply.tested for count in counts[0].tolist()]
    error = 1 - sum(accuracies) / len(accuracies)
    return {"group": probe.label, "seed": probe.seed, "error": {"mean": error}, "accuracy": accuracies}


@lru_cache(maxsize=1)
def _loaded(path: Path, digest: str) -> TrainedNetwork:
    """Return the network of a file; one with another digest is read anew."""
    return TrainedNetwork.load(path)
