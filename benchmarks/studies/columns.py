"""The columns of the table of a study, for its page."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.studies.answer import error_text, spoken, spread_text, value_text
from benchmarks.studies.watched_plots import last_errors, watched_groups
from benchmarks.summary import listed
from benchmarks.table import Column
from benchmarks.text import markdown as table
from benchmarks.text import millions

__all__ = ["columns", "markdown"]

Results = Mapping[str, Any]
Row = Mapping[str, Any]


def columns(results: Results) -> list[Column]:
    """Return the columns of the table; those of published numbers only where there are some.

    Args:
        results: the content of ``results.json``.
    """
    rows = results["rows"]
    return [
        Column("network", "The name of the row.", lambda row: row["name"]),
        Column(
            "group",
            "The symmetry of the network; of a hybrid, that of each part; of a network of ordinary layers, none.",
            lambda row: row["group"],
        ),
        *_varied(results["sweep"], rows),
        Column(
            f"{results['part']} error (%)",
            f"Share of the {results['part']} images that are classified wrongly: mean over the seeds ± standard "
            "deviation.",
            error_text,
        ),
        *_published(rows, "error", "published error (%)", lambda value: f"{value:.2f}"),
        *_top5(results),
        *(_of_category(name) for name in results.get("categories", {})),
        *_equivariance(results),
        Column("seeds", "Trained networks whose error is known.", lambda row: str(row["seeds"])),
        Column("parameters", "Trainable parameters.", lambda row: f"{row['parameters']:,}"),
        *_published(rows, "parameters", "published parameters", lambda value: f"{value:,.0f}"),
        Column(
            "MACs",
            "Multiply-accumulate operations of one image's forward pass: of factorized layers factor by factor, of "
            "others those of the dense convolution.",
            lambda row: millions(row["macs"]),
        ),
        *_published(rows, "macs", "published MACs", millions),
        *_training(rows),
        _memory(rows),
    ]


def markdown(results: Results) -> str:
    """Return the table in Markdown.

    Args:
        results: the content of ``results.json``.
    """
    shown = columns(results)
    rows = [[column.text(row) for column in shown] for row in results["rows"]]
    return table([column.header for column in shown], rows, words=2)


def _varied(sweep: Mapping[str, Any] | None, rows: Sequence[Row]) -> list[Column]:
    """Return the column of what a sweep varies; of a table, that of the width if a row has one."""
    if sweep:
        return [Column(spoken(sweep["varies"]), "What the sweep varies.", lambda row: _or_dash(row["value"]))]
    if any("width" in row["options"] for row in rows):
        return [Column("width", "The width of the network.", lambda row: _or_dash(row["options"].get("width")))]
    return []


def _top5(results: Results) -> list[Column]:
    """Return the column of the top-5 error, if it was measured."""
    if all(row.get("error_top5") is None for row in results["rows"]):
        return []
    meaning = f"Share of the {results['part']} images whose class is not among the five that come first."
    return [Column("top-5 error (%)", meaning, lambda row: spread_text(row["error_top5"], row["std_top5"]))]


def _equivariance(results: Results) -> list[Column]:
    """Return the columns of the equivariance of the last layer, if it was watched; of several groups, which it was."""
    groups = watched_groups(results["rows"])
    if not groups:
        return []

    def group(row: Row) -> str:
        return row["watched"]["group"] if row.get("watched") else "-"

    def error(row: Row) -> str:
        errors = last_errors(results, row)
        return f"{statistics.mean(errors):.2g}" if errors else "-"

    meaning = (
        f"How far the last layer that is watched is from equivariance under {listed(groups)} after training: "
        " |f(g x) - g f(x)| / |f(x) - f(x')|, mean over the elements but the identity and the seeds."
    )
    which = Column("equivariance under", "The group under which the error beside it was measured.", group)
    return [*[which] * (len(groups) > 1), Column("equivariance error", meaning, error)]


def _training(rows: Sequence[Row]) -> list[Column]:
    """Return the column of what training costs, where rows do not spend the same on an epoch."""
    if not _is_taught(rows):
        return []
    meaning = (
        "Multiply-accumulate operations that all epochs spend on one training image: forward, and twice as many "
        "backward; twice for a loss that compares it with a moved one."
    )
    return [Column("training MACs an image", meaning, lambda row: millions(row["training_macs"]))]


def _memory(rows: Sequence[Row]) -> Column:
    """Return the column of the memory that a step takes."""
    meaning = (
        "Peak memory of a training step with two images: parameters, activations and gradients that are alive at once, "
        "counted from the tensors."
    )
    if _is_taught(rows):
        meaning += " What a loss compares, moved images and the maps of layers, is not counted."
    return Column("memory at batch 2", meaning, lambda row: f"{row['peak_memory'] / 2**20:.2f} MiB")


def _is_taught(rows: Sequence[Row]) -> bool:
    """Tell whether a loss teaches a row."""
    return any(row.get("implicit") for row in rows)


def _of_category(name: str) -> Column:
    def cell(row: Row) -> str:
        return spread_text(row["categories"][name]["error"], row["categories"][name]["std"])

    return Column(f"{name} (%)", f"Error on the images of these classes: {name}.", cell)


def _published(rows: Sequence[Row], key: str, header: str, text: Callable[[float], str]) -> list[Column]:
    if not any(key in row["published"] for row in rows):
        return []

    def cell(row: Row) -> str:
        return text(row["published"][key]) if key in row["published"] else "-"

    return [Column(header, "As it was published.", cell)]


def _or_dash(value: Any) -> str:
    return "-" if value is None else value_text(value)
