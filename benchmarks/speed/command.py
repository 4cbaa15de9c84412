"""The command: ``python -m benchmarks speed``."""

import argparse
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import track

from benchmarks.files import write_json, write_text
from benchmarks.peers import PEERS
from benchmarks.provenance import provenance
from benchmarks.speed.builds import Builds
from benchmarks.speed.exported import ExportedNetworks
from benchmarks.speed.implicit import ImplicitSteps
from benchmarks.speed.layers import Layers
from benchmarks.speed.networks import Networks
from benchmarks.speed.plans import Plans
from benchmarks.speed.rates import Rates
from benchmarks.speed.section import Section
from benchmarks.speed.setting import DEVICES, DTYPES, Setting
from benchmarks.speed.sweeps import Sweeps
from equiconv.errors import EquiconvError

__all__ = ["SECTIONS", "add_arguments", "run"]

SECTIONS: dict[str, Section] = {
    "layers": Layers(),
    "plans": Plans(),
    "sweeps": Sweeps(),
    "networks": Networks(),
    "builds": Builds(),
    "implicit": ImplicitSteps(),
    "export": ExportedNetworks(),
    "rates": Rates(),
}
DEFAULT = [name for name in SECTIONS if name != "rates"]
COMPILED = ("plans", "networks")
ROUNDS = 7
QUICK = " (quick: the layers are too small to compare)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``speed``."""
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help=f"measurements of which the median is taken (default {ROUNDS})"
    )
    parser.add_argument("--quick", action="store_true", help="tiny layers: shows that it runs, measures nothing of use")
    text = "what is measured (default: all but rates, by which execution plans are chosen)"
    parser.add_argument("--sections", choices=SECTIONS, nargs="+", default=DEFAULT, help=text)
    parser.add_argument(
        "--peers", choices=PEERS, nargs="*", default=[], help="measure the layers of these libraries in the same run"
    )
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="one thread of the CPU (default), or a GPU")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="of input, weights and products")
    text = f"measure {' and '.join(COMPILED)} after torch.compile too; compiling takes many minutes"
    parser.add_argument("--compile", action="store_true", help=text)
    parser.add_argument("--out", type=Path, default=Path("results/speed"), help="folder for what is written")


def run(args: argparse.Namespace) -> None:
    """Measure the sections; each writes its report, ``layers.json`` and so on, and its tables and plots.

    Raises:
        EquiconvError: if options do not fit together.
    """
    setting = _setting(args)
    console = Console()
    for name in dict.fromkeys(args.sections):
        section = SECTIONS[name]
        items = section.items(args.quick)
        own = replace(setting, compiled=setting.compiled and name in COMPILED)
        rows = [section.measure(item, own) for item in track(items, f"measuring {name}", console=console)]
        report = {"command": _command(args, name), "quick": args.quick, **_facts(setting)}
        stem = section.stem(name, setting)
        write_json(args.out / f"{stem}.json", report | {"provenance": provenance(), "rows": rows})
        for file, text in section.files(rows, setting).items():
            write_text(args.out / file, text)
            if file.endswith(".md"):
                console.print(f"\n{file}{QUICK if args.quick else ''}\n{text}", markup=False, soft_wrap=True)
    console.print(f"written to {args.out}", highlight=False)


def _setting(args: argparse.Namespace) -> Setting:
    if args.peers and "layers" not in args.sections:
        raise EquiconvError("--peers are measured in the section layers; add it to --sections")
    if args.compile and not set(COMPILED) & set(args.sections):
        raise EquiconvError(f"--compile is for the sections {' and '.join(COMPILED)}; add one of them to --sections")
    return Setting(args.rounds, args.device, args.dtype, args.compile, tuple(args.peers))


def _facts(setting: Setting) -> dict[str, object]:
    return {"rounds": setting.rounds, "device": setting.device_name, "dtype": setting.dtype}


def _command(args: argparse.Namespace, section: str) -> str:
    """Return the command that measures one section as this one does."""
    command = f"python -m benchmarks speed --sections {section} --rounds {args.rounds}"
    command += " --quick" if args.quick else ""
    command += f" --peers {' '.join(args.peers)}" if args.peers and section == "layers" else ""
    command += f" --device {args.device}" if args.device != "cpu" else ""
    command += f" --dtype {args.dtype}" if args.dtype != "float32" else ""
    return command + (" --compile" if args.compile and section in COMPILED else "")
