"""Tables in Markdown, and numbers in them."""

from collections.abc import Sequence

__all__ = ["markdown", "millions", "ratio", "share"]


def markdown(headers: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """Return a table in Markdown; the first columns, so many as ``words``, are aligned left, the others right."""
    line = ["---"] * words + ["--:"] * (len(headers) - words)
    return "".join(f"| {' | '.join(map(_escaped, cells))} |\n" for cells in (headers, line, *rows))


def _escaped(cell: str) -> str:
    """Return a cell whose stars are no marks of Markdown; in code they are none anyway."""
    return cell if "`" in cell else cell.replace("*", r"\*")


def millions(count: float) -> str:
    """Return a count in millions."""
    return f"{count / 1e6:.2f} M"


def ratio(reference: float, value: float) -> str:
    """Return how many times faster than the reference something is, of their times."""
    return f"{reference / value:.2f} x"


def share(reference: int | None, value: int | None) -> str:
    """Return how much memory something takes, as a part of what the reference takes; a dash if that is not known."""
    return f"{value / reference:.2f}" if value is not None and reference else "-"
