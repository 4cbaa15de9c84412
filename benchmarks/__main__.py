"""The command line: ``python -m benchmarks COMMAND``, COMMAND being one of ``COMMANDS``."""

import argparse
import importlib
import sys
from typing import Any

from rich.console import Console

from equiconv import EquiconvError

COMMANDS = {
    "colors": "how exactly do layers follow shifts of hue, saturation and brightness?",
    "compare": "which symmetry helps on my data, at equal parameters?",
    "exactness": "what is exact for which group, layer by layer and setting by setting?",
    "equivariance": "how exactly do networks turn with their input, at every angle?",
    "robustness": "what do trained networks do with images that are turned, mirrored, or of other hues?",
    "speed": "how fast are the layers and networks?",
    "study": "the table of a paper, measured anew",
}
MODULES = {"study": "studies"}


def main(argv: list[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: the words after ``python -m benchmarks``; None takes those of this process.

    Returns:
        0; 1 if a part failed, 2 for a mistake on the command line, 130 if interrupted.
    """
    words = sys.argv[1:] if argv is None else argv
    try:
        args = _parser(words[0] if words else "").parse_args(words)
        _module(args.command).run(args)
    except EquiconvError as error:
        return _say(f"error: {error}", 2)
    except KeyboardInterrupt:
        return _say("interrupted; the same command goes on from here", 130)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def _parser(command: str) -> argparse.ArgumentParser:
    """Return the parser; only the module of the command that is asked for is imported."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Benchmarks of equiconv.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="{" + ",".join(COMMANDS) + "}")
    for name, text in COMMANDS.items():
        subparser = commands.add_parser(name, help=text, description=text)
        if name == command:
            _module(name).add_arguments(subparser)
    return parser


def _module(command: str) -> Any:
    return importlib.import_module(f"benchmarks.{MODULES.get(command, command)}")


def _say(text: str, code: int) -> int:
    Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
