"""Pages of results: a self-contained HTML file, and its plots as files beside it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from rich.console import Console

from benchmarks.files import write_json, write_text

__all__ = ["Plot", "merged", "write_page", "write_results"]

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Plot:
    """Hold a plot of a page.

    Args:
        name: of its file.
        title: what it shows, without a full stop.
        note: sentences on how to read it.
        svg: the plot, as ``benchmarks.plots.svg`` makes it.
    """

    name: str
    title: str
    note: str
    svg: str


def write_page(
    folder: Path, template: str, plots: Sequence[Plot], runs: Iterable[Mapping[str, Any]], **values: Any
) -> None:
    """Write ``report.html`` and the plots beside it, each atomically.

    Args:
        folder: where to write.
        template: the name of one that extends ``base.html.j2``.
        plots: those of the page.
        runs: ``command`` and ``provenance`` of each run.
        values: what else the template needs.
    """
    for plot in plots:
        write_text(folder / f"{plot.name}.svg", _standalone(plot.svg))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(template).render(**values, plots=plots, machines=merged(runs))
    write_text(folder / "report.html", page)


def write_results(
    folder: Path,
    results: Mapping[str, Any],
    table: str,
    write_report: Callable[[Path, Mapping[str, Any]], None],
    console: Console,
) -> None:
    """Write ``results.json``, ``table.md`` and the report, and show the table.

    Args:
        folder: where to write.
        results: the content of ``results.json``.
        table: it in Markdown.
        write_report: writes the report of results into a folder.
        console: where to show.
    """
    write_json(folder / "results.json", results)
    write_text(folder / "table.md", table)
    write_report(folder, results)
    console.print(table, markup=False, highlight=False, soft_wrap=True)
    console.print(f"report: {folder / 'report.html'}", highlight=False, soft_wrap=True)


def merged(runs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the ``commands`` of each ``provenance``; equal ones are listed once, in the order of the runs."""
    found: list[dict[str, Any]] = []
    for run in runs:
        same = next((each for each in found if each["provenance"] == run["provenance"]), None)
        if same is None:
            found.append({"commands": [run["command"]], "provenance": run["provenance"]})
        elif run["command"] not in same["commands"]:
            same["commands"].append(run["command"])
    return found


def _standalone(svg: str) -> str:
    """Return a plot that is legible by itself: dark on white."""
    return svg.replace("<svg ", '<svg style="color: #102030; background: white" ', 1)
