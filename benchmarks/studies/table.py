"""The table of a study: what was measured beside what was published."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.measure import macs, peak_memory
from benchmarks.networks import count_parameters
from benchmarks.studies.row import Row
from benchmarks.studies.study import Study
from benchmarks.text import markdown as table
from benchmarks.text import millions

__all__ = ["costs", "markdown", "summarize"]

HEADERS = (
    *("network", "group", "width", "error", "published", "parameters", "published"),
    *("MACs", "published", "memory, batch 2"),
)
PAIR = 2  # images of the batch whose memory is told


def costs(row: Row, study: Study, classes: int) -> dict[str, float]:
    """Return parameters, multiplications of one image, and the peak of memory of a step with two images.

    Args:
        row: the network.
        study: what it belongs to.
        classes: the number of classes.
    """
    net = row.network(study.channels, classes)
    return {
        "parameters": count_parameters(net),
        "macs": macs(net, study.image, study.channels),
        "peak_memory": peak_memory(net, study.image, PAIR, study.channels),
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
    return {
        "name": row.name,
        "line": row.line or row.name,
        "value": row.value,
        "model": row.model,
        "group": row.groups,
        "options": dict(row.options),
        "recipe": dict(row.recipe),
        "augment": dict(row.augment),
        "normalize": list(row.normalize),
        "data": study.data_of(row),
        "samples": study.samples_of(row),
        "seeds": len(errors),
        "error": statistics.mean(errors) if errors else None,
        "std": statistics.stdev(errors) if len(errors) > 1 else None,
        "published": dict(row.published),
        **cost,
    }


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table in Markdown."""
    return table(HEADERS, [_cells(row) for row in rows], words=2)


def _cells(row: Mapping[str, Any]) -> list[str]:
    published = row["published"]
    return [
        *(row["name"], row["group"], str(row["options"].get("width", "-")), _error(row)),
        f"{published['error']:.2f} %" if "error" in published else "-",
        *(f"{row['parameters']:,}", f"{published['parameters']:,}" if "parameters" in published else "-"),
        *(millions(row["macs"]), millions(published["macs"]) if "macs" in published else "-"),
        f"{row['peak_memory'] / 2**20:.2f} MiB",
    ]


def _error(row: Mapping[str, Any]) -> str:
    if row["error"] is None:
        return "-"
    spread = "" if row["std"] is None else f" ± {row['std']:.2f}"
    return f"{row['error']:.2f}{spread} % ({row['seeds']})"
