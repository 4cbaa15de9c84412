"""The results of a study: of one run of the command, or of several put together."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.cells import Outcome
from benchmarks.provenance import provenance
from benchmarks.studies.study import Study
from benchmarks.studies.table import costs, summarize
from benchmarks.training import Recipe
from equiconv import EquiconvError

__all__ = ["Results", "joined", "study_results"]

Results = dict[str, Any]
SAME = ("study", "sweep", "part", "data", "recipe")  # of results that can be put together
UNTOLD = {
    "augment": {},
    "normalize": [],
    "normalize_first": False,
    "curve_images": None,
}  # what older ones had
TRAINED = (
    "model",
    "init",
    "group",
    "options",
    "recipe",
    "implicit",
    "watched",
    "augment",
    "normalize",
    "data",
    "samples",
)  # what makes a row
SELECTION = "none: the network after the last epoch is tested, once"


def study_results(
    study: Study,
    data: Sequence[Mapping[str, Any]],
    outcomes: Sequence[Outcome],
    command: str,
    *,
    part: str = "test",
    quick: bool = False,
) -> Results:
    """Return the content of ``results.json``.

    Args:
        study: what was trained.
        data: on what, as ``Dataset.describe`` tells of each data set; the first is that of the study.
        outcomes: what became of each cell.
        command: gives the same numbers.
        part: the images on which errors are measured, ``"test"`` or ``"validation"``.
        quick: whether it was but a look.
    """
    done = [{**outcome.result, "run": 0} for outcome in outcomes if outcome.result is not None]
    failures = [{"row": o.cell.label, "seed": o.cell.seed, "reason": o.failure} for o in outcomes if o.failure]
    return {
        "study": study.name,
        "dataset": study.dataset,
        "title": study.title,
        "published_by": study.published_by,
        "quick": quick,
        "part": part,
        "sweep": study.sweep and study.sweep.describe(),
        "data": dict(data[0]),
        "more_data": [dict(each) for each in data[1:]],
        "recipe": asdict(study.recipe),
        "augment": dict(study.augment),
        "normalize": list(study.normalize),
        "normalize_first": study.normalize_first,
        "samples": study.samples,
        "curve_images": study.curve_images,
        "watched": study.watched and asdict(study.watched),
        "categories": _categories(study),
        "selection": SELECTION,
        "rows": _rows(study, done, len(data[0]["classes"])),
        "failures": failures,
        "cells": done,
        "runs": [{"command": command, "provenance": provenance()}],
    }


def _categories(study: Study) -> dict[str, list[list[int]]]:
    """Return the ranges of the classes of each category."""
    return {name: [list(each) for each in ranges] for name, ranges in study.categories.items()}


def _rows(study: Study, done: Sequence[Mapping[str, Any]], classes: int) -> list[dict[str, Any]]:
    """Return the rows of the table."""
    return [
        summarize(row, study, [cell for cell in done if cell["group"] == row.name], costs(row, study, classes))
        for row in study.rows
    ]


def joined(study: Study, paths: Sequence[Path]) -> Results:
    """Return the results of several runs of the same study as one: of some rows, some seeds, some machines.

    Args:
        study: what was trained; its rows are those of the table.
        paths: the files ``results.json``.

    Raises:
        EquiconvError: if a file is none, or of another study, data or recipe, or its rows are not those of the study
            any more; or if two have the same cell.
    """
    found = [_read(path) for path in paths]
    _check_same(study, found, paths)
    known = {row.name for row in study.rows}
    cells: list[dict[str, Any]] = []
    runs: list[Any] = []
    for results in found:
        cells += [{**cell, "run": len(runs) + cell["run"]} for cell in results["cells"] if cell["group"] in known]
        runs += results["runs"]
    names = [(cell["group"], cell["seed"]) for cell in cells]
    if twice := sorted({f"{name}, seed {seed}" for name, seed in names if names.count((name, seed)) > 1}):
        raise EquiconvError(f"--join: more than one file has {'; '.join(twice)}; leave one of them out")
    cells.sort(key=lambda cell: ([row.name for row in study.rows].index(cell["group"]), cell["seed"]))
    failures = [
        failure
        for results in found
        for failure in results["failures"]
        if failure["row"] in known and (failure["row"], failure["seed"]) not in names
    ]
    rows = _rows(study, cells, len(found[0]["data"]["classes"]))
    watched = study.watched and asdict(study.watched)
    own = {
        "watched": watched,
        "categories": _categories(study),
        "rows": rows,
        "cells": cells,
        "failures": failures,
        "runs": runs,
    }
    return {**found[0], **own}


def _read(path: Path) -> Results:
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EquiconvError(f"--join: {path} cannot be read as results of a study ({error})") from None
    if not isinstance(results, dict) or not {*SAME, "rows", "cells", "failures", "runs"} <= results.keys():
        raise EquiconvError(f"--join: {path} holds no results of a study")
    return results


def _check_same(study: Study, found: Sequence[Results], paths: Sequence[Path]) -> None:
    for results, path in zip(found, paths, strict=True):
        if results["study"] != study.name or (results["sweep"] or {}).get("name") != (study.sweep and study.sweep.name):
            raise EquiconvError(f"--join: {path} is of another study or sweep than {study.name}")
        if results.get("dataset") != study.dataset:
            told = study.dataset or "that of the table"
            raise EquiconvError(f"--join: {path} is on the data set {results.get('dataset')}, not on {told}")
        first, other = _compared(found[0]), _compared(results)
        if odd := [name for name, value in other.items() if value != first[name]]:
            raise EquiconvError(f"--join: {path} differs from {paths[0]} in {', '.join(odd)}")
        _check_rows(study, results, path)


def _compared(results: Results) -> dict[str, Any]:
    """Return what must be the same; what a file does not tell, because it is older, is what it was then."""
    usual = json.loads(json.dumps(asdict(Recipe(1))))
    own = {name: results[name] for name in SAME}
    own |= {"data": results["data"]["fingerprint"], "recipe": {**usual, **results["recipe"]}}
    return own | {name: results.get(name, value) for name, value in UNTOLD.items()}


def _check_rows(study: Study, results: Results, path: Path) -> None:
    """Raise unless the rows that were trained are those of the study."""
    now = {row.name: json.loads(json.dumps(summarize(row, study, [], {}))) for row in study.rows}
    for told in results["rows"]:
        then = {"watched": results.get("watched"), **told}  # which older results tell of all rows at once
        odd = [name for name in TRAINED if then["name"] in now and then.get(name) != now[then["name"]][name]]
        if odd and then["seeds"]:
            raise EquiconvError(
                f"--join: {path} was measured with another {', '.join(odd)} of {then['name']} than the study has now"
            )
