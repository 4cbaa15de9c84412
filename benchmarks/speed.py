"""How much time a group convolution takes, beside the dense convolution of the same expanded shape."""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn

from benchmarks.files import write_json, write_text
from benchmarks.provenance import provenance
from equiconv.errors import EquiconvError
from equiconv.groups import P4, P4M, Group, HueShift, Trivial
from equiconv.layers import GroupConv2d

__all__ = ["CASES", "Case", "add_arguments", "measure", "run"]

COMMAND = "python -m benchmarks speed"
WIDE = 130  # characters that the table needs
HEADERS = ("layer", "channels", "build", "expand", "forward", "fwd + bwd", "expand", "forward", "fwd + bwd")


@dataclass(frozen=True)
class Case:
    """Describe a layer and its input.

    Args:
        group: the group.
        fields: the number of regular fields in and out.
        factorization: as for ``GroupConv2d``.
        lifting: whether the input is an RGB image instead.
        kernel: the kernel size.
        batch: images in a batch.
        size: rows and columns of the feature map.
    """

    group: Group
    fields: int
    factorization: str | None = None
    lifting: bool = False
    kernel: int = 3
    batch: int = 8
    size: int = 32

    def layer(self) -> GroupConv2d:
        """Return the layer; its padding keeps the size."""
        source = 1 * self.group.image if self.lifting else self.fields * self.group.regular
        target = self.fields * self.group.regular
        padding = self.kernel // 2
        return GroupConv2d(source, target, self.kernel, padding=padding, factorization=self.factorization)

    def dense(self) -> nn.Conv2d:
        """Return the ordinary convolution with as many channels and as large a kernel as the expanded layer has."""
        layer = self.layer()
        return nn.Conv2d(layer.in_type.channels, layer.out_type.channels, self.kernel, padding=self.kernel // 2)

    @property
    def name(self) -> str:
        """What the table calls it."""
        source = "image" if self.lifting else str(self.fields)
        kind = f", {self.factorization}" if self.factorization else ""
        return f"{self.group!r}: {source} -> {self.fields}{kind}"


CASES = (
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
)
QUICK = tuple(Case(case.group, 4, case.factorization, case.lifting, batch=2, size=9) for case in CASES)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``speed``."""
    parser.add_argument("--rounds", type=int, default=7, help="measurements of which the median is taken (default 7)")
    parser.add_argument("--quick", action="store_true", help="tiny layers: shows that it runs, measures nothing of use")
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
    rows = [measure(case, args.rounds) for case in track(cases, "measuring", console=console)]
    title = "equiconv beside nn.Conv2d" + (" (quick: the layers are too small to compare)" if args.quick else "")
    write_json(
        args.out / "speed.json",
        {"command": COMMAND, "quick": args.quick, "rounds": args.rounds, "provenance": provenance(), "rows": rows},
    )
    write_text(args.out / "table.md", markdown(rows))
    Console(width=max(console.width, WIDE)).print(table(rows, title))
    console.print(f"written to {args.out}", highlight=False)


def measure(case: Case, rounds: int) -> dict[str, object]:
    """Return the times of one layer in milliseconds, and their ratios to the dense convolution.

    One thread, processor time of this thread. Layer and dense convolution take turns; each number is a median over the
    rounds, after one round to warm up. ``expand`` is the kernel alone, ``forward_backward`` a whole step without the
    optimizer, expansion included.

    Args:
        case: the layer and its input.
        rounds: how often each is measured.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = _times(case, rounds)
    finally:
        torch.set_num_threads(threads)
    medians = {name: 1000 * statistics.median(values[1:]) for name, values in times.items()}
    layer = case.layer()
    return {
        "name": case.name,
        "channels": [layer.in_type.channels, layer.out_type.channels],
        "input": [case.batch, *layer.in_type.shape, case.size, case.size],
        "kernel": case.kernel,
        "milliseconds": medians,
        "ratio_to_dense": {
            "expand": medians["expand"] / medians["dense_forward"],
            "forward": medians["forward"] / medians["dense_forward"],
            "forward_backward": medians["forward_backward"] / medians["dense_forward_backward"],
        },
    }


def _times(case: Case, rounds: int) -> dict[str, list[float]]:
    torch.manual_seed(0)
    layer = case.layer()
    dense = case.dense()
    flat = torch.randn(case.batch, layer.in_type.channels, case.size, case.size, requires_grad=True)
    x = layer.in_type.unflatten(flat.detach()).requires_grad_()
    tasks: dict[str, Callable[[], object]] = {
        "build": case.layer,
        "dense_build": lambda: nn.Conv2d(dense.in_channels, dense.out_channels, case.kernel),
        "expand": lambda: _quiet(layer.kernel),
        "forward": lambda: _quiet(lambda: layer(x)),
        "dense_forward": lambda: _quiet(lambda: dense(flat)),
        "forward_backward": lambda: layer(x).sum().backward(),
        "dense_forward_backward": lambda: dense(flat).sum().backward(),
    }
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds + 1):
        for name, task in tasks.items():
            start = time.thread_time()
            task()
            times[name].append(time.thread_time() - start)
    return times


def _quiet(task: Callable[[], object]) -> None:
    with torch.no_grad():
        task()


def _cells(row: dict) -> list[str]:
    times, ratios = row["milliseconds"], row["ratio_to_dense"]
    return [
        row["name"],
        " -> ".join(map(str, row["channels"])),
        *(f"{times[key]:.1f} ms" for key in ("build", "expand", "forward", "forward_backward")),
        f"{100 * ratios['expand']:.1f} %",
        f"{ratios['forward']:.2f} x",
        f"{ratios['forward_backward']:.2f} x",
    ]


def table(rows: Sequence[dict], title: str) -> Table:
    """Return the table for a terminal; the last three columns are relative to the dense convolution."""
    caption = "the last three columns are relative to the dense nn.Conv2d of the same expanded shape"
    result = Table(title=title, caption=caption, box=box.SIMPLE_HEAD)
    for index, header in enumerate(HEADERS):
        result.add_column(header, justify="right" if index else "left")
    for row in rows:
        result.add_row(*_cells(row))
    return result


def markdown(rows: Sequence[dict]) -> str:
    """Return the table in Markdown."""
    headers = [*HEADERS[:6], *(f"{header} / dense" for header in HEADERS[6:])]
    lines = [headers, ["---"] + ["--:"] * (len(headers) - 1), *map(_cells, rows)]
    return "".join(f"| {' | '.join(cells).replace('*', chr(92) + '*')} |\n" for cells in lines)
