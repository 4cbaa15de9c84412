"""The committed tables of results, so that pages can name a number without repeating it."""

from pathlib import Path

RESULTS = Path(__file__).parent / "results"
TABLES = (
    "cifar-narrow",
    "color",
    "color-digits",
    "color-digits-moved",
    "color-moved",
    "colormnist-biased-std",
    "colormnist-longtailed",
    "compare",
    "ien-compared",
    "robustness",
    "rotmnist",
    "rotmnist-25k",
    "steerable",
)


def cells(line: str) -> list[str]:
    """Return the cells of a line of a Markdown table."""
    return [cell.strip().replace("\\", "") for cell in line.strip("|\n").split("|")]


def table(name: str) -> dict[str, dict[str, str]]:
    """Return a table: ``table("compare")["P4"]["rotated"]``."""
    head, _, *rows = (RESULTS / f"{name}.md").read_text().splitlines()
    return {cells(row)[0]: dict(zip(cells(head), cells(row), strict=True)) for row in rows}


def tables() -> dict[str, dict[str, dict[str, str]]]:
    """Return all tables, by names that a substitution of MyST can have."""
    return {name.replace("-", "_"): table(name) for name in TABLES}
