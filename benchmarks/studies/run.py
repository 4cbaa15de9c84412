"""``python -m benchmarks study``: train what a study lists, and write its table."""

import argparse
import os
import shlex
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.cells import CellStore, Outcome
from benchmarks.data import Dataset, check, load
from benchmarks.data.families import FAMILIES
from benchmarks.data.sources import SOURCES
from benchmarks.data.stream import DECODERS, pick_decoder
from benchmarks.pages import write_results
from benchmarks.studies.cell import StudyCell, Supplies, cost, run_cell
from benchmarks.studies.columns import markdown
from benchmarks.studies.report import write_report
from benchmarks.studies.results import joined, study_results
from benchmarks.studies.streaming import Streaming
from benchmarks.studies.study import STUDIES, Study, load_study
from benchmarks.studies.supply import InMemory, Supply
from benchmarks.sweep import add_engine_arguments, check_workers, result_folder, sweep
from benchmarks.training.logs import LOGS, LogFolder
from equiconv import EquiconvError

__all__ = ["add_arguments", "run"]

QUICK = "digits"  # the data of a quick run
QUICK_EPOCHS = 2
QUICK_IMAGE = 33  # rows and columns at most; odd, for networks that are exact on such
JOINED = ("study", "rows", "dataset", "sweep", "join", "out")  # the options that --join goes by


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``study``."""
    add = parser.add_argument
    add("study", choices=STUDIES, help="which one")
    add("--rows", help="some rows of it, named with commas (default: all)")
    add("--dataset", help="another data set that it is for (default: that of its table)")
    add("--sweep", help="instead of the table, a sweep of it, such as width")
    add("--seeds", type=int, help="runs of each row (default: as published)")
    add("--first-seed", type=int, default=1, help="the first of them (default: %(default)s)")
    add("--epochs", type=int, help="passes over the data (default: as published)")
    add("--set", nargs="+", default=[], metavar="NAME=VALUE", help="other values of the recipe: precision=bf16-mixed")
    add(
        "--curves",
        nargs="*",
        choices=FAMILIES,
        help="under which moves accuracy is measured, too (default: as the study says)",
    )
    add("--validation", type=float, metavar="SHARE", help="hold out so much of the training images, and test on it")
    add("--quick", action="store_true", help="a minute on the digits: a look, not a measurement")
    add("--join", nargs="+", type=Path, metavar="FILE", help="train nothing; put results.json of several runs together")
    add("--finished", action="store_true", help="train nothing; the table of what was finished before in this folder")
    add(
        "--readers", type=int, help="processes that read a stream, beside each that trains (default: as the study says)"
    )
    add("--decoder", choices=("auto", *DECODERS), help="what decodes a stream (default: as the study says, or auto)")
    add("--log", nargs="+", default=[], choices=LOGS, help="logs of each epoch, besides tables")
    add_engine_arguments(parser)
    add("--out", help="where to write (default: results/STUDY, or results/STUDY-DATASET-SWEEP)")


def run(args: argparse.Namespace) -> None:
    """Run a study; cells that are finished are not trained again.

    Raises:
        EquiconvError: if an option or the data cannot be used; before anything is trained.
        SystemExit: with code 1 if a cell failed.
    """
    if args.join:
        _refuse_training(args)
    study, console = _chosen(args), Console()
    if args.join:
        results = joined(study, args.join)
        folder = _folder(args, study)
    else:
        for name in study.datasets if not args.quick else ():
            check(name, study.image, streams=True)  # at once, before anything is made
        data = _data(args, study)
        if args.quick:
            study = study.shrunk(min(each.count for each in data.values()))
        study.check(data)
        folder = _folder(args, study)
        part = "test" if args.validation is None else "validation"
        described = _described(data)
        outcomes = _trained(study, data, [each["fingerprint"] for each in described], part, args, folder, console)
        results = study_results(study, described, outcomes, _command(args), part=part, quick=args.quick)
    write_results(folder, results, markdown(results), write_report, console)
    if results["failures"]:
        raise SystemExit(1)


def _folder(args: argparse.Namespace, study: Study) -> Path:
    parts = study.name, study.dataset, study.sweep and study.sweep.name
    return result_folder(args.out or f"results/{'-'.join(part for part in parts if part)}")


def _chosen(args: argparse.Namespace) -> Study:
    """Return the study that the options describe."""
    check_workers(args.workers)
    for name in ("seeds", "epochs", "first_seed"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise EquiconvError(f"--{name.replace('_', '-')} is at least 1; got {getattr(args, name)}")
    study = load_study(args.study).on(args.dataset).swept(args.sweep).select(args.rows)
    study = _read(study.smaller(QUICK_IMAGE) if args.quick else study, args)
    epochs = args.epochs or (QUICK_EPOCHS if args.quick else None)
    changes = ({"epochs": epochs} if epochs else {}) | _changes(args.set)
    curves = study.curves if args.curves is None else tuple(dict.fromkeys(args.curves))
    return replace(study.trained(changes), seeds=args.seeds or (1 if args.quick else study.seeds), curves=curves)


def _read(study: Study, args: argparse.Namespace) -> Study:
    """Return the study with what the options say about reading streams."""
    if args.quick or not any(_is_streamed(name) for name in study.datasets):
        if given := [f"--{name}" for name in ("readers", "decoder") if getattr(args, name) is not None]:
            raise EquiconvError(f"{', '.join(given)} is about streams, and these images are in memory: leave it out")
        return study
    if args.validation is not None:
        raise EquiconvError(f"--validation takes images in memory, and {study.data} is streamed: leave it out")
    readers = study.reading.readers if args.readers is None else args.readers
    decoder = pick_decoder(args.decoder or study.reading.decoder, args.accelerator)
    return replace(study, reading=replace(study.reading, readers=readers, decoder=decoder))


def _is_streamed(name: str) -> bool:
    return name in SOURCES and SOURCES[name].streamed


def _refuse_training(args: argparse.Namespace) -> None:
    """Raise if there are options that say how to train, where nothing is trained."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    usual = vars(parser.parse_args([args.study]))
    odd = [name for name, value in usual.items() if name not in JOINED and getattr(args, name) != value]
    if odd:
        given = ", ".join(f"--{name.replace('_', '-')}" for name in odd)
        raise EquiconvError(f"--join takes results as they are; got {given}: leave it out")


def _changes(words: list[str]) -> dict[str, object]:
    """Return the values of ``--set``."""
    if odd := [word for word in words if "=" not in word]:
        raise EquiconvError(f"--set takes NAME=VALUE; got {', '.join(odd)}")
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def _data(args: argparse.Namespace, study: Study) -> dict[str, Supply]:
    """Return where the images of each data set come from; that of the study is the first.

    For a quick run all are the same few digits.
    """
    names = dict.fromkeys((study.data, *study.datasets))
    if args.quick:
        digits = load(QUICK, study.image + study.image % 2).limited(*study.quick).resized(study.image)
        return dict.fromkeys(names, _in_memory(args, study, digits))
    return {name: _supply(args, study, name) for name in names}


def _supply(args: argparse.Namespace, study: Study, name: str) -> Supply:
    if _is_streamed(name):
        return Streaming(name, study.image, study.reading)
    return _in_memory(args, study, load(name, study.image))


def _in_memory(args: argparse.Namespace, study: Study, data: Dataset) -> InMemory:
    """Return images; a part of those for training, if choices are made."""
    return InMemory(data if args.validation is None else data.validation(args.validation), study.channels)


def _described(data: Supplies) -> list[dict[str, Any]]:
    """Return what is told of each data set; of one that has several names, each is told the same."""
    told = {id(each): each.describe() for each in {id(each): each for each in data.values()}.values()}
    return [told[id(each)] for each in data.values()]


def _command(args: argparse.Namespace) -> str:
    """Return the command that gives the same numbers."""
    words = [*_start(args.engine), "-m", "benchmarks", "study", args.study]
    for name in ("rows", "dataset", "sweep", "seeds", "epochs", "validation", "readers", "decoder", "out"):
        if getattr(args, name) is not None:
            words += [f"--{name}", str(getattr(args, name))]
    words += ["--curves", *args.curves] if args.curves is not None else []
    words += ["--first-seed", str(args.first_seed)] * (args.first_seed > 1)
    words += ["--engine", args.engine] * (args.engine == "torchrun")
    words += ["--accelerator", args.accelerator] * (args.accelerator != "cpu")
    return shlex.join([*words, *["--set", *args.set] * bool(args.set), *["--quick"] * args.quick])


def _start(engine: str) -> list[str]:
    """Return what starts the processes."""
    if engine != "torchrun":
        return ["python"]
    here, everywhere = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    return ["torchrun", f"--nproc_per_node={here}", f"--nnodes={everywhere // here}"]


def _trained(
    study: Study,
    data: Supplies,
    hashes: list[str],
    part: str,
    args: argparse.Namespace,
    folder: Path,
    console: Console,
) -> list[Outcome]:
    """Return what became of every cell; those of earlier runs are taken from the folder.

    Args:
        study: what is trained.
        data: on what.
        hashes: the fingerprints of the data.
        part: what is tested.
        args: the options.
        folder: of the results.
        console: where to tell how far it is.
    """
    common = part, hashes, study.recipe, study.channels, sorted(study.augment.items()), study.normalize, study.samples
    measured = study.curves, study.curve_images, study.watched
    store = CellStore(folder / "cells", (*common, study.normalize_first, *measured, study.reading))
    seeds = range(args.first_seed, args.first_seed + study.seeds)
    cells = [StudyCell(row, seed) for row in study.rows for seed in seeds]
    logs = LogFolder(folder / "logs", tuple(args.log))
    networks = None if args.quick else folder / "networks"  # a look leaves none
    work = partial(run_cell, data=data, study=study, part=part, logs=logs, networks=networks)
    chosen = {"engine": args.engine, "workers": args.workers, "accelerator": args.accelerator}
    chosen["train"] = not args.finished
    return list(sweep(cells, work, store, console, cost=partial(cost, data=data, study=study), **chosen).values())
