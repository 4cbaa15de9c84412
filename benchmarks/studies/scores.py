"""The test of a trained network: what it takes images for, as they are and moved, counted over all processes."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from benchmarks.data import float_batch
from benchmarks.data.families import FAMILIES
from benchmarks.studies.supply import Supply
from benchmarks.train import FORWARD_SHARE, Report

__all__ = ["counted", "measured", "passes"]

Move = Callable[[Tensor], Tensor]
MOST_CLASSES = 128  # of which it is told which are taken for which
TOP = 5
FEW_CLASSES = 10  # of more it is also told how often the right one is among the five that come first


def passes(curves: Sequence[str]) -> int:
    """Return how many times a test image is classified: as it is, and at every move of some families."""
    return 1 + sum(len(FAMILIES[name].values) for name in curves)


@torch.no_grad()
def counted(
    net: nn.Module,
    supply: Supply,
    moves: Sequence[Move],
    fabric: Fabric,
    report: Report,
    *,
    moved: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Return what a network takes test images for, over all processes.

    The images are read once, and each batch goes through all moves.

    Args:
        net: maps images in [0, 1] to logits; in evaluation.
        supply: where the images come from.
        moves: change a batch before that.
        fabric: on what; launched.
        report: called with the work done since the last call, on all processes.
        moved: the number of images that go through the moves behind the first, the first ones; None for all.

    Returns:
        How often each class (row) is taken for each (column) at the first move, and counts of images at each move,
        ``(3, moves)``: those whose class comes first, those whose class is among the five that come first, and all.
    """
    classes, like = len(supply.classes), next(net.parameters())
    confusion = torch.zeros(classes**2, dtype=torch.long)
    counts = torch.zeros(3, len(moves), dtype=torch.long)
    left = len(range(fabric.global_rank, supply.tested if moved is None else moved, fabric.world_size))
    for images, labels in supply.tests(fabric.global_rank, fabric.world_size):
        batch, labels = float_batch(images.to(like.device)), labels.cpu()
        for index, move in enumerate(moves if left else moves[:1]):
            few = slice(left if index else None)
            logits = net(move(batch[few]).to(like)).cpu()
            taken, right = logits.argmax(1), labels[few]
            counts[0, index] += (taken == right).sum()
            counts[1, index] += (logits.topk(min(TOP, classes)).indices == right[:, None]).sum()
            counts[2, index] += len(right)
            confusion += torch.bincount(right * classes + taken, minlength=classes**2) if index == 0 else 0
            report(FORWARD_SHARE * len(right) * fabric.world_size)
        left = max(0, left - len(labels))
    return _everywhere(confusion, fabric).view(classes, classes), _everywhere(counts, fabric)


def measured(
    net: nn.Module,
    supply: Supply,
    curves: Sequence[str],
    fabric: Fabric,
    report: Report,
    *,
    part: str = "test",
    moved: int | None = None,
) -> dict[str, Any]:
    """Return what a trained network does on images that it has not seen.

    On several processes each takes its part of the images, and all get the same result.

    Args:
        net: maps images in [0, 1] to logits; in evaluation.
        supply: where the images come from.
        curves: families of moves, of ``benchmarks.data.families.FAMILIES``.
        fabric: on what; launched.
        report: called with the work done since the last call, on all processes.
        part: what the images are called.
        moved: the number of images that are moved, the first ones; None for all.

    Returns:
        The error, how often each class is taken for each other unless there are very many, how many images of each
        class are right, and the accuracy under the moves. Of more than ten classes also the top-5 error, and the top-5
        accuracy under the moves: an image is right if its class is among the five that come first. Fit for JSON.
    """
    moves = [_unmoved, *(FAMILIES[name].by(value) for name in curves for value in FAMILIES[name].values)]
    confusion, counts = counted(net, supply, moves, fabric, report, moved=moved)
    first, among, total = counts.tolist()
    found = {
        "error": {part: (total[0] - first[0]) / total[0]},
        "confusion": confusion.tolist() if len(confusion) <= MOST_CLASSES else None,
        "by_class": {"right": confusion.diagonal().tolist(), "images": confusion.sum(1).tolist()},
        "curves": _by_family(curves, first[1:], total[1:]),
    }
    if len(confusion) <= FEW_CLASSES:
        return found
    return found | {
        "error_top5": (total[0] - among[0]) / total[0],
        "curves_top5": _by_family(curves, among[1:], total[1:]),
    }


def _by_family(curves: Sequence[str], right: Sequence[int], total: Sequence[int]) -> dict[str, list[float]]:
    """Return the accuracy at each move of each family, from counts at all moves, one family after the other."""
    found = iter(zip(right, total, strict=True))
    return {name: [operator.truediv(*next(found)) for _ in FAMILIES[name].values] for name in curves}


def _unmoved(x: Tensor) -> Tensor:
    """Return images as they are."""
    return x


def _everywhere(counts: Tensor, fabric: Fabric) -> Tensor:
    """Return the sum over all processes."""
    total: Any = fabric.all_reduce(counts.to(fabric.device), reduce_op="sum")
    return total.cpu()
