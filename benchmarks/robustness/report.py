"""The report: one self-contained HTML page, and its plots as files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.pages import write_page
from benchmarks.robustness.table import headers, texts
from benchmarks.robustness.wheels import draw

__all__ = ["write_report"]


def write_report(folder: Path, results: Mapping[str, Any]) -> None:
    """Write ``report.html`` and the plots beside it, each atomically.

    Args:
        folder: where to write.
        results: the content of ``results.json``.
    """
    write_page(
        folder,
        "robustness.html.j2",
        draw(results) if results["networks"] else [],
        results["runs"],
        data=results["data"],
        kinds=results["kinds"],
        failures=results["failures"],
        headers=headers(results),
        rows=[texts(results, network) for network in results["networks"]],
    )
