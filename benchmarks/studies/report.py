"""The report of a study: one self-contained HTML page, and its plots as files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.pages import write_page
from benchmarks.studies.answer import answer, beaten, limits, seeds_text, spoken, value_text
from benchmarks.studies.columns import columns
from benchmarks.studies.plots import draw
from benchmarks.studies.row import NO_GROUP
from benchmarks.summary import listed

__all__ = ["write_report"]

Results = Mapping[str, Any]
Row = Mapping[str, Any]

USED_WITH = {  # entries of a recipe that only some optimizers and schedules read
    "momentum": ("sgd",),
    "every": ("step", "decay", "cycle"),
    "gamma": ("step", "decay", "milestones"),
    "milestones": ("milestones",),
    "lowest": ("cycle",),
}
IF_THERE = ("warmup", "told_for", "rate_batch", "penalties")  # that are 0 or empty where they are not used


def write_report(folder: Path, results: Results) -> None:
    """Write ``report.html`` and the plots beside it, each atomically.

    Args:
        folder: where to write.
        results: the content of ``results.json``.
    """
    write_page(
        folder,
        "study.html.j2",
        draw(results),
        results["runs"],
        **{key: value for key, value in results.items() if key != "runs"},
        answer=[_unbroken(sentence) for sentence in answer(results)],
        limits=limits(results),
        columns=columns(results),
        beaten=[row["name"] for row in results["rows"] if beaten(results, row)],
        errors_published=any("error" in row["published"] for row in results["rows"]),
        seeds=seeds_text(results["rows"]),
        training=_entries(_used(results["recipe"])),
        networks={row["name"]: _network(row) for row in results["rows"]},
        exceptions=_exceptions(results),
        shown=_shown(results),
    )


def _entries(values: Mapping[str, Any]) -> str:
    """Return the entries of a mapping as words: ``batch size 256, optimizer adam``."""
    return ", ".join(f"{spoken(name)} {value_text(value)}" for name, value in values.items())


def _used(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a recipe that its optimizer and its schedule read."""
    chosen = (recipe["optimizer"], recipe["schedule"])
    return {
        name: value
        for name, value in recipe.items()
        if (name not in USED_WITH or set(USED_WITH[name]) & set(chosen)) and (value or name not in IF_THERE)
    }


def _network(row: Row) -> str:
    """Return what a row is."""
    drawn = {"init": row["init"]} if row.get("init") else {}
    told = _entries({**row["options"], **drawn})
    where = "" if row["group"] == NO_GROUP else f" on {row['group']}"
    taught = f"; taught {_entries(row['implicit'])}" if row.get("implicit") else ""
    return f"{row['model']}{where}" + (f"; {told}" if told else "") + taught


def _shown(results: Results) -> str:
    """Return what is done to the training images, in order; normalization is done to the test images too."""
    augmented = _entries(results.get("augment", {})) or "none"
    normalized = ", ".join(results.get("normalize", [])) or "none"
    steps = [f"augmentation {augmented}", f"normalization {normalized}"]
    return "; then ".join(reversed(steps) if results.get("normalize_first") else steps)


def _exceptions(results: Results) -> dict[str, str]:
    """Return what of the training is not as the recipe says, besides what a sweep varies, and the names of the rows."""
    varies = results["sweep"]["varies"] if results["sweep"] else None
    found: dict[str, list[str]] = {}
    for row in results["rows"]:
        own = {**row["recipe"], **{f"augmentation {name}": value for name, value in row["augment"].items()}}
        own |= {"normalization": row["normalize"]} if row.get("normalize") else {}
        own |= {"samples": row["samples"]} if row["samples"] != results.get("samples") else {}
        if text := _entries({name: value for name, value in own.items() if name != varies}):
            found.setdefault(text, []).append(row["name"])
    return {text: listed(names) for text, names in found.items()}


def _unbroken(sentence: str) -> str:
    """Return a sentence in which no line ends within a number and its unit."""
    return sentence.replace(" ± ", "\u00a0±\u00a0").replace(" %", "\u00a0%")
