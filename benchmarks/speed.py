"""How much time a group convolution takes, beside the dense convolution of the same expanded shape."""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn

from benchmarks.files import write_json, write_text
from benchmarks.peers import PEERS, e2cnn_layer, e2cnn_tasks
from benchmarks.provenance import provenance
from equiconv.errors import EquiconvError
from equiconv.groups import P4, P4M, SO2, Cyclic, Dihedral, Flip, Group, HueShift, Trivial
from equiconv.layers import GroupConv2d
from equiconv.models import SteerableCNN, WideResNet

__all__ = ["CASES", "Case", "add_arguments", "measure", "run"]

COMMAND = "python -m benchmarks speed"
WIDE = 150  # characters that the table needs
STEPS = ("build", "expand", "forward", "forward_backward")
HEADERS = ("layer", "channels", "build", "expand", "forward", "forward + backward")


@dataclass(frozen=True)
class Case:
    """Describe a layer and its input.

    Args:
        group: the group.
        fields: the number of regular fields in and out.
        factorization: as for ``GroupConv2d``.
        lifting: whether the input is an RGB image instead.
        kernel: the kernel size.
        harmonics: whether kernels are made of harmonics even where pixels are exact.
        execution: as for ``GroupConv2d``.
        batch: images in a batch.
        size: rows and columns of the feature map.
    """

    group: Group
    fields: int
    factorization: str | None = None
    lifting: bool = False
    kernel: int = 3
    harmonics: bool = False
    execution: str = "dense"
    batch: int = 8
    size: int = 32

    def layer(self) -> GroupConv2d:
        """Return the layer; its padding keeps the size."""
        source = 1 * self.group.image if self.lifting else self.fields * self.group.regular
        target = self.fields * self.group.regular
        padding = self.kernel // 2
        basis = "harmonics" if self.harmonics else "auto"
        return GroupConv2d(
            source,
            target,
            self.kernel,
            padding=padding,
            factorization=self.factorization,
            basis=basis,
            execution=self.execution,
        )

    def dense(self) -> nn.Conv2d:
        """Return the ordinary convolution with as many channels and as large a kernel as the expanded layer has."""
        channels = self.fields * self.group.regular.dim
        return nn.Conv2d(3 if self.lifting else channels, channels, self.kernel, padding=self.kernel // 2)

    @property
    def name(self) -> str:
        """What the table calls it."""
        source = "image" if self.lifting else str(self.fields)
        kind = f", {self.factorization}" if self.factorization else ""
        size = f", {self.kernel}x{self.kernel} harmonics" if self.harmonics else ""
        plan = f", {self.execution}, {self.size}x{self.size} images" if self.execution != "dense" else ""
        return f"{self.group!r}: {source} -> {self.fields}{kind}{size}{plan}"


DENSE = (
    Case(Trivial(), 64),
    Case(HueShift(3), 64),
    Case(HueShift(3), 64, factorization="g"),
    Case(P4(), 64),
    Case(P4M(), 64),
    Case(P4M(), 64, factorization="gc"),
    Case(P4M(), 64, lifting=True),
    Case(HueShift(3) * P4(), 32),
    Case(HueShift(3) * P4M(), 16),
    Case(HueShift(3) * P4M(), 16, lifting=True),
    Case(Cyclic(8), 16, kernel=5, harmonics=True),
    Case(P4M(), 64, kernel=5, harmonics=True),
    Case(Cyclic(16), 32, kernel=7, harmonics=True),
    Case(HueShift(3) * Cyclic(8), 16, kernel=5, harmonics=True),
    Case(SO2(3), 16, kernel=5, harmonics=True),
)
FOURIER = tuple(
    Case(group, fields, execution="fourier", batch=16, size=size)
    for group, fields, size in (
        *((HueShift(n), 64, 16) for n in (3, 4, 6, 8)),
        (HueShift(3) * P4M(), 16, 16),
        (HueShift(3), 128, 8),
        (HueShift(8), 128, 8),
        (HueShift(3), 16, 16),
        (HueShift(4), 16, 16),
    )
)
CASES = (*DENSE, *FOURIER)
BUILDS: dict[str, Callable[[], nn.Module]] = {
    "one layer, Dihedral(4): 64 -> 64, 5x5": Case(P4M(), 64, kernel=5, harmonics=True).layer,
    "one layer, Cyclic(16): 64 -> 64, 7x7": Case(Cyclic(16), 64, kernel=7, harmonics=True).layer,
    "SteerableCNN, Cyclic(8)": partial(SteerableCNN, Cyclic(8)),
    "SteerableCNN, SO2(3)": partial(SteerableCNN, SO2(3)),
    "WideResNet 28-10, Dihedral(8), Dihedral(4), Flip(0)": partial(WideResNet, (Dihedral(8), Dihedral(4), Flip(0))),
}
QUICK = tuple(replace(case, fields=4, batch=2, size=9) for case in CASES)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``speed``."""
    parser.add_argument("--rounds", type=int, default=7, help="measurements of which the median is taken (default 7)")
    parser.add_argument("--quick", action="store_true", help="tiny layers: shows that it runs, measures nothing of use")
    parser.add_argument("--peers", choices=PEERS, nargs="*", default=[], help="measure these libraries in the same run")
    parser.add_argument("--out", type=Path, default=Path("results/speed"), help="folder for speed.json and table.md")


def run(args: argparse.Namespace) -> None:
    """Measure all cases, print the table, write ``speed.json`` and ``table.md``.

    Raises:
        EquiconvError: if there is not a round to measure.
    """
    if args.rounds < 1:
        raise EquiconvError(f"--rounds is at least 1; got {args.rounds}")
    console = Console()
    cases = QUICK if args.quick else CASES
    rows = [measure(case, args.rounds, args.peers) for case in track(cases, "measuring", console=console)]
    builds = [] if args.quick else [_build_time(name, make, args.rounds) for name, make in BUILDS.items()]
    command = COMMAND + (f" --peers {' '.join(args.peers)}" if args.peers else "")
    report = {"command": command, "quick": args.quick, "rounds": args.rounds, "provenance": provenance(), "rows": rows}
    report["builds"] = builds
    write_json(args.out / "speed.json", report)
    note = " (quick: the layers are too small to compare)" if args.quick else ""
    wide = Console(width=max(console.width, WIDE))
    for other, name in [("dense", "nn.Conv2d of the same expanded shape"), *((peer, peer) for peer in args.peers)]:
        write_text(args.out / ("table.md" if other == "dense" else f"{other}.md"), markdown(rows, other))
        wide.print(table(rows, other, f"equiconv beside {name}{note}"))
    write_text(args.out / "builds.md", builds_markdown(builds))
    console.print(builds_markdown(builds), markup=False, highlight=False)
    console.print(f"written to {args.out}", highlight=False)


def _build_time(name: str, make: Callable[[], nn.Module], rounds: int) -> dict[str, object]:
    """Return the time to make a layer or a network, initialization included, and its number of parameters."""
    times = []
    for _ in range(rounds + 1):
        start = time.thread_time()
        module = make()
        times.append(time.thread_time() - start)
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return {"name": name, "parameters": parameters, "milliseconds": 1000 * statistics.median(times[1:])}


def builds_markdown(builds: Sequence[dict]) -> str:
    """Return the table of the times to build in Markdown."""
    lines = ["| what | parameters | build |", "| --- | --: | --: |"]
    lines += [f"| {row['name']} | {row['parameters']:,} | {row['milliseconds']:.0f} ms |" for row in builds]
    return "\n".join(lines) + "\n"


def measure(case: Case, rounds: int, peers: Sequence[str] = ()) -> dict[str, object]:
    """Return the times of one layer in milliseconds, and those of the dense convolution and of other libraries.

    One thread, processor time of this thread. All take turns; each number is a median over the rounds, after one round
    to warm up. ``expand`` is the kernel alone, ``forward_backward`` a whole step without the optimizer, expansion
    included.

    Args:
        case: the layer and its input.
        rounds: how often each is measured.
        peers: the other libraries, of those in ``PEERS``; measured where they have the layer.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = _times(case, rounds, peers)
    finally:
        torch.set_num_threads(threads)
    layer = case.layer()
    return {
        "name": case.name,
        "channels": [layer.in_type.channels, layer.out_type.channels],
        "input": [case.batch, *layer.in_type.shape, case.size, case.size],
        "kernel": case.kernel,
        "milliseconds": {name: 1000 * statistics.median(values[1:]) for name, values in times.items()},
    }


def _times(case: Case, rounds: int, peers: Sequence[str]) -> dict[str, list[float]]:
    torch.manual_seed(0)
    layer, dense = case.layer(), case.dense()
    flat = torch.randn(case.batch, layer.in_type.channels, case.size, case.size, requires_grad=True)
    x = layer.in_type.unflatten(flat.detach()).requires_grad_()
    tasks: dict[str, Callable[[], object]] = {
        "build": case.layer,
        "dense_build": case.dense,
        "expand": torch.no_grad()(layer.kernel),
        "forward": torch.no_grad()(lambda: layer(x)),
        "dense_forward": torch.no_grad()(lambda: dense(flat)),
        "forward_backward": lambda: layer(x).sum().backward(),
        "dense_forward_backward": lambda: dense(flat).sum().backward(),
    }
    if "e2cnn" in peers and case.harmonics and isinstance(case.group, (Cyclic, Dihedral)):
        tasks |= e2cnn_tasks(e2cnn_layer(case.group, case.fields, case.kernel), flat)
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds + 1):
        for name, task in tasks.items():
            start = time.thread_time()
            task()
            times[name].append(time.thread_time() - start)
    return times


def _cells(row: dict, other: str) -> list[str]:
    """Return the cells of a row: each time of ours, and its ratio to the time of the other."""
    times = row["milliseconds"]
    cells = [row["name"], " -> ".join(map(str, row["channels"]))]
    for step in STEPS:
        against = times[f"{other}_forward" if (other, step) == ("dense", "expand") else f"{other}_{step}"]
        ratio = times[step] / against
        share = f"{100 * ratio:.1f} % of forward" if (other, step) == ("dense", "expand") else f"{ratio:.3g} x"
        cells.append(f"{times[step]:.1f} ms ({share})")
    return cells


def _rows(rows: Sequence[dict], other: str) -> list[list[str]]:
    return [_cells(row, other) for row in rows if f"{other}_forward" in row["milliseconds"]]


def table(rows: Sequence[dict], other: str, title: str) -> Table:
    """Return the table for a terminal: our times, and in parentheses their ratios to those of the other."""
    result = Table(title=title, caption="in parentheses: relative to the other", box=box.SIMPLE_HEAD)
    for index, header in enumerate(HEADERS):
        result.add_column(header, justify="right" if index else "left")
    for cells in _rows(rows, other):
        result.add_row(*cells)
    return result


def markdown(rows: Sequence[dict], other: str) -> str:
    """Return the table in Markdown."""
    lines = [list(HEADERS), ["---"] + ["--:"] * (len(HEADERS) - 1), *_rows(rows, other)]
    return "".join(f"| {' | '.join(cells).replace('*', chr(92) + '*')} |\n" for cells in lines)
