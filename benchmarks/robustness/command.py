"""The command: load networks, move the test images, write table, plots and page."""

import argparse
import hashlib
import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.cells import CellStore, Outcome
from benchmarks.data import Dataset, check, load
from benchmarks.data.families import FAMILIES, GRIDS
from benchmarks.pages import write_results
from benchmarks.provenance import provenance
from benchmarks.robustness.probe import KINDS, Probe, cost, measure
from benchmarks.robustness.report import write_report
from benchmarks.robustness.table import markdown
from benchmarks.studies.trained import TrainedNetwork
from benchmarks.sweep import add_engine_arguments, check_workers, result_folder, sweep
from equiconv import EquiconvError

__all__ = ["add_arguments", "run"]

Results = dict[str, Any]
Networks = Mapping[Path, TrainedNetwork]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``robustness``."""
    add = parser.add_argument
    add("checkpoints", nargs="+", type=Path, help="files that a study wrote to its folder networks, or such folders")
    add("--kinds", nargs="+", choices=KINDS, help="kinds of moves (default: all that the images allow)")
    add("--data", help="whose test images (default: of the data that the networks were trained on)")
    add("--samples", type=int, help="so many test images, of each class in proportion (default: all)")
    add_engine_arguments(parser)
    add("--out", default="results/robustness", help="where to write (default: %(default)s)")


def run(args: argparse.Namespace) -> None:
    """Measure all networks under all moves; what is finished is not measured again.

    Raises:
        EquiconvError: if a file or an option cannot be used; before anything is measured.
        SystemExit: with code 1 if a measurement failed.
    """
    check_workers(args.workers)
    if args.samples is not None and args.samples < 1:
        raise EquiconvError(f"--samples is at least 1; got {args.samples}")
    networks = _loaded(_files(args.checkpoints))
    kinds = _kinds(args.kinds, networks)
    data = _data(args, networks)
    folder, console = result_folder(args.out), Console()
    outcomes = _measured(networks, kinds, data, args, folder, console)
    results = {
        "kinds": list(kinds),
        "moves": {kind: _moves(kind) for kind in kinds},
        "data": data.describe(),
        "networks": _summaries(networks, outcomes, kinds),
        "failures": [
            {"network": o.cell.label, "seed": o.cell.seed, "reason": o.failure} for o in outcomes if o.failure
        ],
        "runs": [{"command": _command(args), "provenance": provenance()}],
    }
    write_results(folder, results, markdown(results), write_report, console)
    if results["failures"]:
        raise SystemExit(1)


def _files(paths: Sequence[Path]) -> list[Path]:
    """Return the files of networks; of a folder all that are in it."""
    found: list[Path] = []
    for path in paths:
        files = sorted(path.glob("*.pt")) if path.is_dir() else [path]
        if not files:
            raise EquiconvError(f"{path} has no networks (*.pt): give the folder networks of a study's results")
        found += files
    return list(dict.fromkeys(found))


def _loaded(paths: Sequence[Path]) -> Networks:
    """Return the networks of some files, each run once."""
    networks: dict[Path, TrainedNetwork] = {}
    runs: dict[object, Path] = {}
    for path in paths:
        networks[path] = trained = TrainedNetwork.load(path)
        twin = runs.setdefault((trained.study, trained.row.name, trained.seed), path)
        if twin != path:
            raise EquiconvError(
                f"{twin} and {path} are both {trained.row.name} with the seed {trained.seed}, trained in different "
                "ways: name one of them"
            )
    return networks


def _kinds(wanted: Sequence[str] | None, networks: Networks) -> tuple[str, ...]:
    """Return the kinds of moves: those that need colors only where the images have some."""
    gray = sorted({trained.row.name for trained in networks.values() if trained.channels == 1})
    colored = [kind for kind in KINDS if (GRIDS[kind] if kind in GRIDS else FAMILIES[kind]).colors]
    if gray and (odd := [kind for kind in wanted or () if kind in colored]):
        raise EquiconvError(f"--kinds {' '.join(odd)}: {', '.join(gray)} see gray images, which have no hue")
    return tuple(dict.fromkeys(wanted or (kind for kind in KINDS if not gray or kind not in colored)))


def _data(args: argparse.Namespace, networks: Networks) -> Dataset:
    """Return the data, after a look at whether the networks can be shown it."""
    for name in ("data", "image", "channels"):
        values = {getattr(trained, name) for trained in networks.values()}
        if len(values) > 1 and not (name == "data" and args.data):
            found = ", ".join(sorted(map(str, values)))
            raise EquiconvError(f"the networks differ in {name} ({found}): measure them apart")
    some = next(iter(networks.values()))
    name = args.data or some.data
    check(name, some.image)
    data = load(name, some.image)
    if odd := sorted({trained.row.name for trained in networks.values() if trained.classes != data.classes}):
        raise EquiconvError(f"{', '.join(odd)}: trained on other classes than those of {data.name}; give other --data")
    return data if args.samples is None else data.limited(len(data.train_labels), args.samples)


def _measured(
    networks: Networks, kinds: Sequence[str], data: Dataset, args: argparse.Namespace, folder: Path, console: Console
) -> list[Outcome]:
    store = CellStore(folder / "cells", data.fingerprint())
    probes = [
        Probe(path, hashlib.sha256(path.read_bytes()).hexdigest(), trained.row.name, trained.seed, kind)
        for path, trained in networks.items()
        for kind in kinds
    ]
    chosen = {"engine": args.engine, "workers": args.workers, "accelerator": args.accelerator}
    work = partial(measure, data=data)
    return list(sweep(probes, work, store, console, cost=partial(cost, data=data), **chosen).values())


def _moves(kind: str) -> dict[str, Any]:
    """Return the numbers of the moves of a kind, fit for JSON."""
    if kind in GRIDS:
        grid = GRIDS[kind]
        return {"first": grid.first, "second": grid.second, "rows": list(grid.rows), "columns": list(grid.columns)}
    return {"unit": FAMILIES[kind].unit, "values": list(FAMILIES[kind].values)}


def _summaries(networks: Networks, outcomes: Sequence[Outcome], kinds: Sequence[str]) -> list[dict[str, Any]]:
    """Return what is known of each network, its seeds together; those of which something failed are left out."""
    accuracy: dict[Path, dict[str, list[float]]] = {path: {} for path in networks}
    for outcome in outcomes:
        if outcome.result is not None:
            accuracy[outcome.cell.path][outcome.cell.kind] = outcome.result["accuracy"]
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for path, trained in networks.items():
        if len(accuracy[path]) == len(kinds):
            names = {other.study for other in networks.values() if other.row.name == trained.row.name}
            name = trained.row.name if len(names) == 1 else f"{trained.study}: {trained.row.name}"
            described = {"study": trained.study, "name": name, "group": trained.row.groups, "cells": []}
            row = rows.setdefault((trained.study, trained.row.name), described)
            row["cells"].append({"seed": trained.seed, "accuracy": accuracy[path]})
    return list(rows.values())


def _command(args: argparse.Namespace) -> str:
    """Return the command that gives the same numbers."""
    words = ["python", "-m", "benchmarks", "robustness", *map(str, args.checkpoints)]
    for name in ("data", "samples", "out"):
        if getattr(args, name) is not None:
            words += [f"--{name}", str(getattr(args, name))]
    words += ["--accelerator", args.accelerator] * (args.accelerator != "cpu")
    return shlex.join([*words, *["--kinds", *(args.kinds or ())] * bool(args.kinds)])
