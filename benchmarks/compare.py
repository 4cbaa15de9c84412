"""Which symmetry helps on my data, at equal parameters? ``python -m benchmarks compare`` answers."""

import argparse
import shlex
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import measure
from benchmarks.cells import CellStore, Outcome
from benchmarks.data import Dataset, load
from benchmarks.groups import NamedGroup, parse_groups
from benchmarks.networks import BASES, NETWORK, check_image_size, nearest_width, network
from benchmarks.provenance import provenance
from benchmarks.report import write_report
from benchmarks.summary import Row, answer, checks, summarize
from benchmarks.sweep import add_engine_arguments, check_workers, result_folder, sweep
from benchmarks.table import rich_tables
from benchmarks.train import Cell, Protocol, cell_cost, run_cell
from equiconv import EquiconvError, Trivial

__all__ = ["Config", "add_arguments", "compare", "run"]

GROUPS = "Trivial,P4,P4M,HueShift(3),HueShift(3)*P4,HueShift(3)*P4M"
ROUNDS = 9
QUICK_IMAGES = (1347, 200)  # training and test images at most
QUICK_NOTE = "Few epochs, seeds, test images and angles: it shows that everything works, not which group is best."


@dataclass(frozen=True)
class Config:
    """Hold what the user chose; the fields are the options of the command line."""

    dataset: str = "digits"
    groups: str = GROUPS
    basis: str = "auto"
    seeds: int = 4
    epochs: int = 20
    budget: int = 11000
    size: int | None = None
    quick: bool = False
    out: str = "results/compare"
    workers: int = 0
    engine: str = "local"
    accelerator: str = "cpu"

    def check(self) -> None:
        """Raise EquiconvError if a number is out of range."""
        for name in ("seeds", "epochs", "budget"):
            if getattr(self, name) < 1:
                raise EquiconvError(f"--{name} is at least 1; got {getattr(self, name)}")
        check_workers(self.workers)

    @property
    def protocol(self) -> Protocol:
        """The protocol of every cell."""
        return Protocol(self.epochs, curve_step=30 if self.quick else 15)

    def command(self) -> str:
        """Return the command that gives the same numbers."""
        options = [
            (name, value)
            for name, value in asdict(self).items()
            if value and name not in ("quick", "workers", "engine")
        ]
        words = [word for name, value in options for word in (f"--{name}", str(value))]
        return shlex.join(["python", "-m", "benchmarks", "compare", *words, *["--quick"] * self.quick])


QUICK = Config(seeds=2, epochs=3, quick=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``compare`` to a parser."""
    plain = Config()
    parser.add_argument(
        "--dataset", default=plain.dataset, help='"digits", "mnist", ..., or a folder with one subfolder a class'
    )
    parser.add_argument("--groups", default=plain.groups, help='such as "HueShift(3)*P4,P4M" (default: %(default)s)')
    parser.add_argument("--basis", default=plain.basis, choices=BASES, help="of the kernels (default: %(default)s)")
    parser.add_argument("--seeds", type=int, help=f"runs of each group (default: {plain.seeds}; quick: {QUICK.seeds})")
    parser.add_argument(
        "--epochs", type=int, help=f"passes over the data (default: {plain.epochs}; quick: {QUICK.epochs})"
    )
    parser.add_argument("--budget", type=int, default=plain.budget, help="parameters (default: %(default)s)")
    parser.add_argument(
        "--size", type=int, help="side of the images, even (default: digits 16, folders 32, else as is)"
    )
    parser.add_argument("--quick", action="store_true", help="under a minute: a look, not a measurement")
    parser.add_argument("--out", default=plain.out, help="where to write (default: %(default)s)")
    add_engine_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Run the comparison that the parsed options describe.

    Raises:
        EquiconvError: if the options cannot be used; before anything is trained.
        SystemExit: with code 1 if a cell failed.
    """
    given = {name: value for name, value in vars(args).items() if name in asdict(QUICK) and value is not None}
    failures = compare(replace(QUICK if args.quick else Config(), **given), Console())
    if failures:
        raise SystemExit(1)


def compare(config: Config, console: Console) -> list[Outcome]:
    """Train and test every group with every seed, and write the report.

    Args:
        config: what to compare.
        console: where to write.

    Returns:
        The cells that failed.

    Raises:
        EquiconvError: if the configuration cannot be used; before anything is trained.
    """
    config.check()
    named = parse_groups(config.groups)
    data = load(config.dataset, config.size)
    data = data.limited(*QUICK_IMAGES) if config.quick else data
    widths = [_width(one, data, config) for one in named]
    cells = [
        Cell(one.label, one.group, width, seed, config.basis)
        for one, width in zip(named, widths, strict=True)
        for seed in range(config.seeds)
    ]
    outcomes = _run(cells, data, config, console)
    _conclude(config, named, data, outcomes, console)
    return [outcome for outcome in outcomes.values() if outcome.result is None]


def _width(one: NamedGroup, data: Dataset, config: Config) -> int:
    """Return the width of a group's network; an error names the group."""
    try:
        check_image_size(one.group, data.size, config.basis)
        return nearest_width(one.group, config.budget, len(data.classes), config.basis)
    except EquiconvError as error:
        text = str(error)
        raise EquiconvError(text if one.label in text else f"{one.label}: {text}") from error


def _run(cells: list[Cell], data: Dataset, config: Config, console: Console) -> dict[Cell, Outcome]:
    """Load the cells that are finished, run the others."""
    store = CellStore(result_folder(config.out) / "cells", (data.fingerprint(), asdict(config.protocol)))
    return sweep(
        cells,
        partial(run_cell, data=data, protocol=config.protocol),
        store,
        console,
        cost=lambda _: cell_cost(data, config.protocol),
        prices=partial(_prices, data=data, protocol=config.protocol),
        engine=config.engine,
        workers=config.workers,
        accelerator=config.accelerator,
    )


def _prices(cells: list[Cell], data: Dataset, protocol: Protocol) -> dict[Cell, float]:
    """Return the time of one step of each cell, from a short trial, so that the time left is told well."""
    kinds = list(dict.fromkeys((cell.group, cell.width) for cell in cells))
    nets = [network(group, width, len(data.classes), cells[0].basis) for group, width in kinds]
    times = measure.step_times(nets, data.size, protocol.batch_size, rounds=1) if nets else []
    price = {kind: row[0] for kind, row in zip(kinds, times, strict=True)}
    return {cell: price[cell.group, cell.width] for cell in cells}


def _costs(named: list[NamedGroup], widths: list[int], data: Dataset, config: Config) -> list[dict[str, Any]]:
    """Return MACs, peak memory and relative step time of each network; Trivial at the same budget is the unit."""
    classes, batch = len(data.classes), config.protocol.batch_size
    nets = [network(one.group, width, classes, config.basis) for one, width in zip(named, widths, strict=True)]
    unit = next((index for index, one in enumerate(named) if one.group == Trivial()), len(nets))
    plain = network(Trivial(), nearest_width(Trivial(), config.budget, classes), classes)
    reference = [plain] * (unit == len(nets))
    times = measure.step_times([*nets, *reference], data.size, batch, ROUNDS)
    return [
        {
            "macs": measure.macs(net, data.size),
            "peak_memory": measure.peak_memory(net, data.size, batch),
            "step_time_ratio": ratio,
        }
        for net, ratio in zip(nets, measure.time_ratios(times[: len(nets)], times[unit]), strict=True)
    ]


def _conclude(
    config: Config, named: tuple[NamedGroup, ...], data: Dataset, outcomes: dict[Cell, Outcome], console: Console
) -> None:
    """Write and show what came out, of the groups of which a cell succeeded."""
    results = {
        one: [o.result for o in outcomes.values() if o.cell.group == one.group and o.result is not None]
        for one in named
    }
    kept = [one for one in named if results[one]]
    if not kept:
        return
    console.print("measuring time and memory", style="dim")
    costs = _costs(kept, [results[one][0]["width"] for one in kept], data, config)
    rows = [summarize(one, results[one], cost) for one, cost in zip(kept, costs, strict=True)]
    content = _content(config, kept, data, list(outcomes.values()), rows)
    write_report(Path(config.out), content, data)
    for table in rich_tables(rows, _title(config, data), console.width):
        console.print(table)
    for sentence in content["answer"]:
        console.print(f"- {sentence}", highlight=False, markup=False)
    for check in content["checks"]:
        if not check["held"]:
            console.print(f"{check['group']} should not change under {check['condition']}, but does", style="red")
    console.print(f"report: {Path(config.out) / 'report.html'}", highlight=False, soft_wrap=True)


def _title(config: Config, data: Dataset) -> str:
    return f"{data.name}: about {config.budget:,} parameters, {config.seeds} seeds{', quick run' * config.quick}"


def _content(
    config: Config, named: list[NamedGroup], data: Dataset, outcomes: list[Outcome], rows: list[Row]
) -> dict[str, Any]:
    """Return the content of ``results.json``."""
    return {
        "benchmark": "compare",
        "command": config.command(),
        "config": asdict(config),
        "quick_note": QUICK_NOTE if config.quick else "",
        "data": data.describe(),
        "protocol": {"network": NETWORK, **config.protocol.describe()},
        "answer": answer(rows),
        "checks": checks(named, rows),
        "summary": rows,
        "failures": [
            {"group": o.cell.label, "seed": o.cell.seed, "reason": o.failure} for o in outcomes if o.failure is not None
        ],
        "cells": [outcome.result for outcome in outcomes if outcome.result is not None],
        "provenance": provenance(),
    }
