"""One training run, and the test of its network under every condition: what one cell of the comparison is."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.data import Dataset, float_batch
from benchmarks.data.conditions import CONDITIONS, Move, curve, moved
from benchmarks.networks import count_parameters, network
from benchmarks.training import CPU, Hardware, Images, Recipe, Task, fit
from equiconv import Group
from equiconv.testing import equivariance_error

__all__ = ["FORWARD_SHARE", "Cell", "Protocol", "Report", "cell_cost", "reproducible", "run_cell"]

Report = Callable[[float], None]
CHANNELS = 3  # gray images are repeated: the groups may shift hues
FORWARD_SHARE = 1 / 3  # what a forward pass costs, as a share of a training step


@dataclass(frozen=True)
class Protocol:
    """Hold what is the same for every cell.

    Args:
        epochs: passes over the training images.
        curve_step: degrees between the points of the two curves; a divisor of 30.
        batch_size: images a step.
        learning_rate: the peak of the one-cycle schedule of Adam.
    """

    epochs: int
    curve_step: int = 15
    batch_size: int = 32
    learning_rate: float = 0.02

    @property
    def recipe(self) -> Recipe:
        """How networks are trained."""
        return Recipe(self.epochs, batch_size=self.batch_size, learning_rate=self.learning_rate, schedule="onecycle")

    def describe(self) -> dict[str, object]:
        """Return the protocol for people and for JSON."""
        return {
            "optimizer": "Adam, one-cycle learning rate (OneCycleLR)",
            "augmentation": "none",
            "selection": "none: the network after the last epoch is tested, once",
            **asdict(self),
        }

    def test_moves(self) -> list[Move]:
        """Return every move of the test images, each once."""
        moves = [move for condition in CONDITIONS.values() for move in condition]
        curves = [move for what in ("rotation", "hue") for _, move in curve(what, self.curve_step)]
        return list(dict.fromkeys(moves + curves))


@dataclass(frozen=True)
class Cell:
    """Hold what differs between the runs: the group, its width and basis, and the seed of initialization and order."""

    label: str
    group: Group
    width: int
    seed: int
    basis: str = "auto"

    @property
    def key(self) -> object:
        """What determines the result; the label does not."""
        return repr(self.group), self.width, self.basis, self.seed


def cell_cost(data: Dataset, protocol: Protocol) -> float:
    """Return the work of a cell, in training images that are seen once."""
    tested = len(data.test_labels) * len(protocol.test_moves())
    return protocol.epochs * len(data.train_labels) + FORWARD_SHARE * tested


def run_cell(
    cell: Cell,
    report: Report,
    *,
    data: Dataset,
    protocol: Protocol,
    hardware: Hardware = CPU,
    scratch: Callable[[Cell], Path] | None = None,
) -> dict[str, object]:
    """Train a network and test it.

    Args:
        cell: the group, width and seed.
        report: called with the work done since the last call, in the unit of ``cell_cost``.
        data: the images.
        protocol: how to train and test.
        hardware: where to train.
        scratch: tells the folder where the state is kept, from which a run that was killed goes on; None keeps nothing.

    Returns:
        The loss of each epoch, the error of each condition, the share of predictions that a condition changes, the
        accuracy by angle, and the equivariance error (None if the output does not depend on the image, so that there is
        nothing to measure); fit for JSON. The same arguments give the same numbers.

    Raises:
        FloatingPointError: if the loss is not finite.
    """
    with reproducible(cell.seed):
        net = network(cell.group, cell.width, len(data.classes), cell.basis)
        images = Images(float_batch(data.train_images, CHANNELS), torch.tensor(data.train_labels))
        task = Task(net, images, seed=cell.seed)
        folder, fabric = scratch and scratch(cell), hardware.fabric(protocol.recipe.precision)
        losses = [epoch["loss"] for epoch in fit(task, protocol.recipe, fabric, folder=folder, report=report)]
        net.cpu().eval()  # the test is there, whatever trained it
        predictions = _predictions(net, data, protocol, report)
        return {
            "group": cell.label,
            "elements": repr(cell.group),
            "seed": cell.seed,
            "width": cell.width,
            "parameters": count_parameters(net),
            "losses": losses,
            **_scores(predictions, torch.tensor(data.test_labels), protocol),
            "equivariance_error": _finite(equivariance_error(net, size=(data.size, data.size))),
        }


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Seed PyTorch, use one thread and deterministic algorithms; restore everything afterwards."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        torch.set_num_threads(threads)


def _predictions(net: nn.Module, data: Dataset, protocol: Protocol, report: Report) -> dict[Move, Tensor]:
    """Return the predicted class ``(N,)`` of every test image under every move."""
    images = float_batch(data.test_images, CHANNELS).contiguous()
    predictions = {}
    with torch.no_grad():
        for move in protocol.test_moves():
            logits = [net(moved(batch, move)) for batch in images.split(protocol.batch_size)]
            predictions[move] = torch.cat(logits).argmax(1)
            report(FORWARD_SHARE * len(images))
    return predictions


def _scores(predictions: dict[Move, Tensor], labels: Tensor, protocol: Protocol) -> dict[str, object]:
    upright = predictions[()]
    return {
        "error": {name: _share(predictions, moves, labels) for name, moves in CONDITIONS.items()},
        "changed": {name: _share(predictions, moves, upright) for name, moves in CONDITIONS.items()},
        "curves": {
            what: {
                str(degrees): 1 - _share(predictions, (move,), labels)
                for degrees, move in curve(what, protocol.curve_step)
            }
            for what in ("rotation", "hue")
        },
    }


def _share(predictions: dict[Move, Tensor], moves: tuple[Move, ...], expected: Tensor) -> float:
    """Return the share of images, over some moves, whose prediction is not the expected one."""
    wrong = sum(int((predictions[move] != expected).sum()) for move in moves)
    return wrong / (len(moves) * len(expected))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
