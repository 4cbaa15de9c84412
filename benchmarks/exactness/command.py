"""The command: measure all groups and settings, and the clipping of hues; write the tables."""

import argparse
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import track

from benchmarks.exactness.clipping import HUES, clipping_markdown, measure_clipping
from benchmarks.exactness.measure import GROUPS, Cell, measure
from benchmarks.exactness.settings import SETTINGS
from benchmarks.exactness.table import markdown
from benchmarks.files import write_json, write_text
from benchmarks.provenance import provenance

__all__ = ["add_arguments", "read", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``exactness``."""
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=list(GROUPS), help="default: all")
    parser.add_argument("--out", type=Path, default=Path("results/exactness"), help="folder for what is written")


def run(args: argparse.Namespace) -> None:
    """Measure; write ``exactness.json``, and the tables ``exactness.md`` and ``clipping.md``."""
    console = Console()
    groups = {name: GROUPS[name]() for name in args.groups}
    cells = {
        name: {f"{each.part}: {each.title}": measure(group, each) for each in SETTINGS}
        for name, group in track(groups.items(), "measuring", console=console)
    }
    clipping = {f"HueShift({n})": measure_clipping(n) for n in HUES}
    report = {
        "command": f"python -m benchmarks exactness --groups {' '.join(map(repr, args.groups))}",
        "provenance": provenance(),
        "rows": {name: {key: asdict(cell) for key, cell in row.items()} for name, row in cells.items()},
        "clipping": clipping,
    }
    write_json(args.out / "exactness.json", report)
    write_text(args.out / "exactness.md", markdown(cells))
    write_text(args.out / "clipping.md", clipping_markdown(clipping))
    console.print(markdown(cells), markup=False, highlight=False, soft_wrap=True)
    console.print(f"written to {args.out}", highlight=False)


def read(rows: dict[str, dict[str, dict]]) -> dict[str, dict[str, Cell]]:
    """Return the cells of the rows in JSON."""
    return {name: {key: Cell(**cell) for key, cell in row.items()} for name, row in rows.items()}
