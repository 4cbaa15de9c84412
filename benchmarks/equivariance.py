"""How exactly networks turn with their input, at every angle: the error of each kernel size and depth."""

import argparse
import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import track

from benchmarks.angle_plots import draw_errors
from benchmarks.deviation import SIDE, Inputs, Protocol, measure, summary
from benchmarks.files import write_json, write_text
from benchmarks.peers import PEERS
from benchmarks.provenance import provenance
from benchmarks.steerable import ANTIALIASED, BASES, Build, Network, build
from benchmarks.steerable_e2cnn import build_e2cnn
from benchmarks.symmetries import SYMMETRIES, Symmetry
from benchmarks.waves import PlaneWaves
from equiconv.errors import EquiconvError

__all__ = ["add_arguments", "contenders", "markdown", "run"]

GROUPS, KERNELS, DEPTHS, FMAX, SEEDS = ("C8", "C16", "D8", "SO2"), (3, 5, 7, 9), (1, 2, 4), (0.25,), 6
QUICK = {"groups": ("C4", "C8"), "kernels": (3,), "depths": (1, 2), "seeds": 1}
NETWORKS = {name: f"{name} rings" for name in BASES} | {ANTIALIASED: "default rings, antialiased"}
HEADERS = ("group", "kernel", "depth", "fmax")
KINDS = ("center", "invariant", "field", "exact")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``equivariance``."""
    parser.add_argument("--groups", nargs="+", choices=SYMMETRIES, help=f"default: {' '.join(GROUPS)}")
    parser.add_argument("--kernels", nargs="+", type=int, help=f"kernel sizes (default: {_words(KERNELS)})")
    parser.add_argument("--depths", nargs="+", type=int, help=f"numbers of layers (default: {_words(DEPTHS)})")
    parser.add_argument(
        "--fmax",
        nargs="+",
        type=float,
        default=list(FMAX),
        help=f"largest frequency of the images in cycles per pixel, at most 0.5 (default: {_words(FMAX)})",
    )
    parser.add_argument("--seeds", type=int, help=f"draws of the weights (default: {SEEDS})")
    parser.add_argument(
        "--bases", nargs="*", choices=NETWORKS, default=list(BASES), help="of equiconv (default: rings)"
    )
    parser.add_argument("--peers", choices=PEERS, nargs="*", default=[], help="measure these libraries in the same run")
    parser.add_argument("--quick", action="store_true", help="seconds: shows that it runs, measures little")
    parser.add_argument("--out", type=Path, default=Path("results/equivariance"), help="folder for what is written")


def _words(values: Sequence[float]) -> str:
    return " ".join(map(str, values))


def run(args: argparse.Namespace) -> None:
    """Measure all rows; write ``equivariance.json``, a table of each kind of error, and a figure.

    Raises:
        EquiconvError: if an option is out of range.
    """
    defaults = {"groups": GROUPS, "kernels": KERNELS, "depths": DEPTHS, "seeds": SEEDS} | (QUICK if args.quick else {})
    for name, value in defaults.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    if min(args.seeds, *args.depths) < 1 or min(args.kernels) < 3:
        raise EquiconvError("--seeds and --depths are at least 1, --kernels at least 3")
    builders = contenders(args.bases, args.peers)
    if not builders:
        raise EquiconvError("nothing to measure: name --bases or --peers")
    console = Console()
    protocol = Protocol(args.seeds, images=2, field_images=1, turns=1) if args.quick else Protocol(args.seeds)
    total = len(args.groups) * len(args.fmax) * len(args.kernels) * len(args.depths) * len(builders)
    rows = list(track(_rows(args, builders, protocol), "measuring", total, console=console))
    report = {"command": _command(args), "protocol": vars(protocol), "provenance": provenance(), "rows": rows}
    write_json(args.out / "equivariance.json", report, compact=True)
    for kind in KINDS:
        write_text(args.out / ("table.md" if kind == "center" else f"{kind}.md"), markdown(rows, kind))
    for name, svg in draw_errors(rows).items():
        write_text(args.out / f"{name}.svg", svg)
    console.print(markdown(rows, "center"), markup=False, highlight=False, soft_wrap=True)
    console.print(f"written to {args.out}", highlight=False)


def contenders(bases: Sequence[str], peers: Sequence[str]) -> dict[str, Build]:
    """Return what builds the networks, by name.

    Args:
        bases: of equiconv's networks, of those in ``NETWORKS``.
        peers: other libraries, of those in ``PEERS``.
    """
    builders: dict[str, Build] = {f"equiconv, {NETWORKS[name]}": partial(_ours, name) for name in bases}
    return builders | ({"e2cnn": build_e2cnn} if "e2cnn" in peers else {})


def _ours(name: str, symmetry: Symmetry, kernel: int, depth: int) -> Network:
    antialiased = name == ANTIALIASED
    basis = BASES["default" if antialiased else name]((kernel, kernel))
    return build(symmetry, kernel, depth, basis, antialiased=antialiased)


def _rows(args: argparse.Namespace, builders: dict[str, Build], protocol: Protocol) -> Iterator[dict]:
    """Measure, one network after another; all of a group see the same images, rendered once."""
    largest = SIDE + max(args.depths) * (max(args.kernels) - 1)
    for group, fmax in itertools.product(args.groups, args.fmax):
        symmetry = SYMMETRIES[group]()
        inputs = Inputs(symmetry, PlaneWaves(protocol.images, fmax), largest)
        for kernel, depth, (name, builder) in itertools.product(args.kernels, args.depths, builders.items()):
            network = builder(symmetry, kernel, depth)
            errors = measure(network, symmetry, inputs, depth * (kernel - 1), protocol)
            yield {
                "group": group,
                "kernel": kernel,
                "depth": depth,
                "fmax": fmax,
                "network": name,
                "weights": network.weights,
                "functions": network.functions,
                "condition": network.condition,
                "degrees": symmetry.degrees,
                "mirrored": symmetry.mirrored,
                "on_grid": symmetry.on_grid,
                "errors": errors,
                "summary": summary(errors, symmetry),
            }


def _command(args: argparse.Namespace) -> str:
    """Return the command that gives the same numbers."""
    options = [f"--{name} {_words(getattr(args, name))}" for name in ("groups", "kernels", "depths", "fmax", "bases")]
    peers = f" --peers {_words(args.peers)}" if args.peers else ""
    quick = " --quick" if args.quick else ""
    return f"python -m benchmarks equivariance {' '.join(options)} --seeds {args.seeds}{peers}{quick}"


def markdown(rows: Sequence[dict], kind: str) -> str:
    """Return the table of one kind of error in Markdown: median over the draws of the weights, in brackets the largest.

    Args:
        rows: of the report.
        kind: ``center``, ``invariant``, ``field`` or ``exact``.
    """
    names = list(dict.fromkeys(row["network"] for row in rows))
    table: dict[tuple, dict[str, str]] = {}
    for row in rows:
        if kind in row["summary"]:
            key = (row["group"], row["kernel"], row["depth"], row["fmax"])
            table.setdefault(key, {})[row["network"]] = _cell(row["summary"][kind], kind)
    lines = [[*HEADERS, *names], ["---"] + ["--:"] * (len(HEADERS) + len(names) - 1)]
    lines += [[*map(str, key), *(cells.get(name, "-") for name in names)] for key, cells in table.items()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(values: Sequence[float], kind: str) -> str:
    """Return the median and the largest error; exact ones are powers of ten, the others percent."""
    median, largest = values
    return f"{largest:.0e}" if kind == "exact" else f"{100 * median:.2g} % [{100 * largest:.2g}]"
