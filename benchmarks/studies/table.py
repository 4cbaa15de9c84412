"""The table of a study: what was measured beside what was published."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from benchmarks.measure import macs, peak_memory
from benchmarks.networks import count_parameters
from benchmarks.studies.row import Row
from benchmarks.studies.study import Study
from equiconv import GroupConv2d

__all__ = ["costs", "summarize"]

FORWARD, BACKWARD = 1, 2  # passes, in forward passes
PAIR = 2  # images of the batch whose memory is told


def costs(row: Row, study: Study, classes: int) -> dict[str, float]:
    """Return parameters, multiplications of one image, once and in training, and the memory of a step with two images.

    Factorized layers count factor by factor, all others as the dense convolution that they are, whatever plan is taken.

    Args:
        row: the network.
        study: what it belongs to.
        classes: the number of classes.
    """
    net = replace(row, init=None).network(study.channels, classes)  # how kernels are drawn costs nothing
    memory = peak_memory(net, study.image_of(row), PAIR, study.channels)
    for conv in net.modules():
        if isinstance(conv, GroupConv2d):
            conv.execution = "dense" if conv.factorization is None else "separable"
    return {
        "parameters": count_parameters(net),
        "macs": (each := macs(net, study.image_of(row), study.channels)),
        "training_macs": (FORWARD + BACKWARD) * row.copies * study.recipe_of(row).epochs * each,
        "peak_memory": memory,
    }


def summarize(
    row: Row, study: Study, results: Sequence[Mapping[str, Any]], cost: Mapping[str, float]
) -> dict[str, Any]:
    """Return one row of the table, fit for JSON.

    Args:
        row: the network.
        study: what it belongs to.
        results: of its cells that are done.
        cost: those of ``costs``.
    """
    errors = [100 * error for result in results for error in result["error"].values()]
    top5 = [100 * result["error_top5"] for result in results if "error_top5" in result]
    return {
        "name": row.name,
        "line": row.line or row.name,
        "value": row.value,
        "model": row.model,
        "init": row.init,
        "group": row.groups,
        "options": dict(row.options),
        "recipe": dict(row.recipe),
        "implicit": dict(row.implicit) or None,
        "watched": asdict(watched) if (watched := study.watched_of(row)) else None,
        "augment": dict(row.augment),
        "normalize": list(row.normalize),
        "data": study.data_of(row),
        "samples": study.samples_of(row),
        "seeds": len(errors),
        **_spread("error", "std", errors),
        **_spread("error_top5", "std_top5", top5),
        "categories": {
            name: _spread("error", "std", [error for error in errors if error is not None])
            for name, errors in _by_category(study, results).items()
        },
        "published": dict(row.published),
        **cost,
    }


def _spread(mean: str, std: str, errors: Sequence[float]) -> dict[str, float | None]:
    """Return mean and standard deviation under two names; None where there are too few numbers."""
    return {
        mean: statistics.mean(errors) if errors else None,
        std: statistics.stdev(errors) if len(errors) > 1 else None,
    }


def _by_category(study: Study, results: Sequence[Mapping[str, Any]]) -> dict[str, list[float | None]]:
    """Return the errors of each category."""
    return {
        name: [_category(result["by_class"], ranges) for result in results] for name, ranges in study.categories.items()
    }


def _category(by_class: Mapping[str, Sequence[int]], ranges: Sequence[tuple[int, int]]) -> float | None:
    """Return the error on the images of some ranges of classes, in percent; None if there are no images."""
    right, images = (
        sum(sum(by_class[name][first : last + 1]) for first, last in ranges) for name in ("right", "images")
    )
    return 100 * (images - right) / images if images else None
