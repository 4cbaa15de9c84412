"""``python -m benchmarks study``: train what a study lists, and write its table."""

import argparse
import shlex
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.cells import CellStore, Outcome
from benchmarks.data import Dataset, load
from benchmarks.files import write_json, write_text
from benchmarks.provenance import provenance
from benchmarks.studies.cell import StudyCell, cost, run_cell
from benchmarks.studies.study import STUDIES, Study, load_study
from benchmarks.studies.table import costs, markdown, summarize
from benchmarks.sweep import add_engine_arguments, check_workers, result_folder, sweep
from equiconv import EquiconvError

__all__ = ["add_arguments", "run", "study_results"]

QUICK = ("digits", 400, 200)  # the data of a quick run, and how many images of it
QUICK_EPOCHS = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``study``."""
    parser.add_argument("study", choices=STUDIES, help="which one")
    parser.add_argument("--rows", help="some rows of it, named with commas (default: all)")
    parser.add_argument("--seeds", type=int, help="runs of each row (default: as published)")
    parser.add_argument("--epochs", type=int, help="passes over the data (default: as published)")
    parser.add_argument("--quick", action="store_true", help="a minute on the digits: a look, not a measurement")
    add_engine_arguments(parser)
    parser.add_argument("--out", help="where to write (default: results/STUDY)")


def run(args: argparse.Namespace) -> None:
    """Run a study; cells that are finished are not trained again.

    Raises:
        EquiconvError: if an option or the data cannot be used; before anything is trained.
        SystemExit: with code 1 if a cell failed.
    """
    study = _chosen(args)
    data = load(QUICK[0], study.image).limited(*QUICK[1:]) if args.quick else load(study.data, study.image)
    console, folder = Console(), result_folder(args.out or f"results/{study.name}")
    outcomes = _trained(study, data, args, folder, console)
    results = study_results(study, data, outcomes, _command(args), quick=args.quick)
    write_json(folder / "results.json", results)
    write_text(folder / "table.md", markdown(results["rows"]))
    console.print(markdown(results["rows"]), markup=False, highlight=False)
    console.print(f"written to {folder}", highlight=False, soft_wrap=True)
    if results["failures"]:
        raise SystemExit(1)


def _chosen(args: argparse.Namespace) -> Study:
    """Return the study that the options describe."""
    check_workers(args.workers)
    for name in ("seeds", "epochs"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise EquiconvError(f"--{name} is at least 1; got {getattr(args, name)}")
    study = load_study(args.study).select(args.rows)
    epochs = args.epochs or (QUICK_EPOCHS if args.quick else study.recipe.epochs)
    seeds = args.seeds or (1 if args.quick else study.seeds)
    return replace(study, seeds=seeds, recipe=replace(study.recipe, epochs=epochs))


def _command(args: argparse.Namespace) -> str:
    """Return the command that gives the same numbers."""
    options = [(name, getattr(args, name)) for name in ("rows", "seeds", "epochs", "out") if getattr(args, name)]
    words = [word for name, value in options for word in (f"--{name}", str(value))]
    return shlex.join(["python", "-m", "benchmarks", "study", args.study, *words, *["--quick"] * args.quick])


def _trained(study: Study, data: Dataset, args: argparse.Namespace, folder: Path, console: Console) -> list[Outcome]:
    """Return what became of every cell; those of earlier runs are taken from the folder."""
    store = CellStore(folder / "cells", (data.fingerprint(), asdict(study.recipe), study.channels))
    cells = [StudyCell(row, seed) for row in study.rows for seed in range(1, study.seeds + 1)]
    work = partial(run_cell, data=data, study=study, scratch=store.scratch)
    chosen = {"engine": args.engine, "workers": args.workers, "accelerator": args.accelerator}
    return list(sweep(cells, work, store, console, cost=cost(data, study), **chosen).values())


def study_results(
    study: Study, data: Dataset, outcomes: list[Outcome], command: str, *, quick: bool = False
) -> dict[str, Any]:
    """Return the content of ``results.json``.

    Args:
        study: what was trained.
        data: on what.
        outcomes: what became of each cell.
        command: gives the same numbers.
        quick: whether it was but a look.
    """
    done = [outcome.result for outcome in outcomes if outcome.result is not None]
    rows = [
        summarize(row, [result for result in done if result["group"] == row.name], costs(row, study, len(data.classes)))
        for row in study.rows
    ]
    return {
        "study": study.name,
        "title": study.title,
        "command": command,
        "quick": quick,
        "published_by": study.published_by,
        "data": data.describe(),
        "recipe": asdict(study.recipe),
        "selection": "none: the network after the last epoch is tested, once",
        "rows": rows,
        "failures": [
            {"row": o.cell.label, "seed": o.cell.seed, "reason": o.failure} for o in outcomes if o.failure is not None
        ],
        "cells": done,
        "provenance": provenance(),
    }
