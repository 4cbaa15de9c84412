"""The tables of exactness in Markdown."""

from collections.abc import Mapping, Sequence

from benchmarks.exactness.measure import Cell
from benchmarks.exactness.settings import SETTINGS
from equiconv import errors

__all__ = ["Cells", "markdown"]

Cells = Mapping[str, Mapping[str, Cell]]  # by group and by name of the setting


def markdown(cells: Cells) -> str:
    """Return a table for each part of the settings, and which errors refuse.

    Args:
        cells: what was found, by the name of the group and by part and title of the setting.
    """
    blocks = []
    for part in dict.fromkeys(setting.part for setting in SETTINGS):
        titles = [setting.title for setting in SETTINGS if setting.part == part]
        lines = [_line(part, titles), _line("---", ["---"] * len(titles))]
        lines += [
            _line(f"`{group}`", [_shown(row[f"{part}: {each}"]) for each in titles]) for group, row in cells.items()
        ]
        blocks.append("\n".join(lines))
    refusals = sorted({cell.refusal for row in cells.values() for cell in row.values() if cell.refusal})
    blocks.append("\n".join(f"- {_letter(name)}: {{class}}`~{errors.__name__}.{name}`" for name in refusals))
    return "\n\n".join(blocks) + "\n"


def _shown(cell: Cell) -> str:
    found = [error for error in (cell.on_grid, cell.off_grid) if error is not None]
    number = _percent(max(found)) if found else ""
    match cell.kind:
        case "exact":
            return "exact"
        case "on quarter turns":
            return number
        case "refused":
            return f"refused ({_letter(cell.refusal)})" + (f", {number}" if number else "")
    return f"**{number}**"


def _percent(error: float) -> str:
    number = f"{100 * error:.2g}" if error < 0.995 else f"{100 * error:.0f}"
    return f"{number}\N{NO-BREAK SPACE}%"


def _letter(refusal: str) -> str:
    return refusal[0]


def _line(head: str, cells: Sequence[str]) -> str:
    return f"| {head} | {' | '.join(cells)} |"
