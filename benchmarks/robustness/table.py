"""The table: accuracy on images as they are, and mean and worst accuracy under each kind of move."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.data.families import FAMILIES, GRIDS
from benchmarks.text import markdown as table

__all__ = ["headers", "markdown", "texts"]

Results = Mapping[str, Any]
Network = Mapping[str, Any]


def headers(results: Results) -> list[str]:
    """Return the headers of the columns."""
    return [
        "network",
        "group",
        "seeds",
        *["unmoved (%)"] * bool(_unmoved(results)),
        *(f"{kind}: mean, worst (%)" for kind in results["kinds"]),
    ]


def texts(results: Results, network: Network) -> list[str]:
    """Return the cells of a network: its accuracy over all moves of a kind, and at the worst of them.

    Of several seeds both are means; the mean has its standard deviation.
    """
    shown = [network["name"], network["group"], str(len(network["cells"]))]
    for kind, index in list(_unmoved(results).items())[:1]:
        shown.append(_text([100 * cell["accuracy"][kind][index] for cell in network["cells"]]))
    return shown + [_kind(network, kind) for kind in results["kinds"]]


def markdown(results: Results) -> str:
    """Return the table in Markdown.

    Args:
        results: the content of ``results.json``.
    """
    return table(headers(results), [texts(results, network) for network in results["networks"]], words=2)


def _unmoved(results: Results) -> dict[str, int]:
    """Return the place of the move that moves nothing in each kind that has one; what is only mirrored has none."""
    places = dict.fromkeys(GRIDS, 0) | {kind: FAMILIES[kind].values.index(0) for kind in FAMILIES}
    return {kind: places[kind] for kind in results["kinds"] if kind != "reflection"}


def _kind(network: Network, kind: str) -> str:
    means = [100 * statistics.fmean(cell["accuracy"][kind]) for cell in network["cells"]]
    worst = statistics.fmean(100 * min(cell["accuracy"][kind]) for cell in network["cells"])
    return f"{_text(means)}, {worst:.1f}"


def _text(values: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.1f}{spread}"
