"""The table of the comparison, once for the terminal, Markdown and HTML."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table

from benchmarks.data.conditions import CONDITIONS
from benchmarks.summary import Row, error_text

__all__ = ["Column", "columns", "markdown_table", "rich_tables"]

WIDE = 170  # characters that the whole table needs


@dataclass(frozen=True)
class Column:
    """Hold a column: its header, what it means, and its text for a row."""

    header: str
    meaning: str
    text: Callable[[Row], str]


def _millions(count: float) -> str:
    return f"{count / 1e6:.2f} M" if count < 9.995e6 else f"{count / 1e6:.1f} M"


def _equivariance(row: Row) -> str:
    if row["order"] == 1:
        return "-"
    return "constant" if row["equivariance_error"] is None else f"{row['equivariance_error']:.0e}"


COLUMNS = (
    Column("group", "The symmetry of the network.", lambda row: row["group"]),
    Column(
        "upright",
        "Test error in percent on images like the training images: mean over the seeds ± standard deviation.",
        lambda row: error_text(row, "upright"),
    ),
    Column(
        "rotated",
        "The same on every test image turned by 90, 180 and 270 degrees.",
        lambda row: error_text(row, "rotated"),
    ),
    Column(
        "hue-shifted",
        "The same on every test image with its hue shifted by 120 and 240 degrees.",
        lambda row: error_text(row, "hue-shifted"),
    ),
    Column("both", "The same with all six combinations of those.", lambda row: error_text(row, "both")),
    Column(
        "saturation",
        "The same on every test image with its saturation, as HSV has it, multiplied by 0.2 and 0.6.",
        lambda row: error_text(row, "saturation"),
    ),
    Column(
        "value",
        "The same with its value, the largest of R, G and B, multiplied by 0.4 and 1.6, and cut off at 1.",
        lambda row: error_text(row, "value"),
    ),
    Column(
        "gamma",
        "The same with all values raised to the power of 1.93 and of 1 / 1.93.",
        lambda row: error_text(row, "gamma"),
    ),
    Column(
        "white balance",
        "The same with red multiplied by 1.52 in linear light and blue divided by that, and the reverse.",
        lambda row: error_text(row, "white balance"),
    ),
    Column("parameters", "Trainable parameters; the width is chosen for this.", lambda row: f"{row['parameters']:,}"),
    Column(
        "width", "Fields in each layer; a field has one channel for each group element.", lambda row: str(row["width"])
    ),
    Column(
        "MACs",
        "Multiply-accumulate operations of one image's forward pass (half of the FLOPs that PyTorch counts).",
        lambda row: _millions(row["macs"]),
    ),
    Column(
        "step time",
        "Time of one training step, as a multiple of the network with no symmetry at the same budget. One thread, "
        "measured after the training with nothing else running.",
        lambda row: f"{row['step_time_ratio']:.1f} x",
    ),
    Column(
        "memory",
        "Peak memory of one training step: parameters, activations and gradients that are alive at once, counted from "
        "the tensors. Scratch space within operations is not part of it.",
        lambda row: f"{row['peak_memory'] / 2**20:.1f} MiB",
    ),
    Column(
        "equivariance error",
        "How far the trained network is from the symmetry it claims: the largest relative change of its output over "
        "all elements of its group and all seeds, in double precision. Rounding alone gives about 1e-15; a dash means "
        "that there is no symmetry to test, constant that the output of a network does not depend on the image. Shifts "
        "of saturation, value and luminance are exact where no color is moved beyond an end of the interval; on the "
        "random images that are measured here many are.",
        _equivariance,
    ),
)


def columns(rows: Sequence[Row]) -> list[Column]:
    """Return the columns of a table: of the conditions those that were measured."""
    measured = set.intersection(*(set(row["error"]) for row in rows))
    return [column for column in COLUMNS if column.header not in CONDITIONS or column.header in measured]


def rich_tables(rows: Sequence[Row], title: str, width: int) -> list[Table]:
    """Return the table for a terminal of a width; in two parts, errors and costs, where it is narrow."""
    shown = columns(rows)
    if width >= WIDE:
        return [_rich_table(rows, title, shown)]
    errors, costs = ([each for each in shown[1:] if (each.header in CONDITIONS) is kind] for kind in (True, False))
    return [_rich_table(rows, title, [shown[0], *errors]), _rich_table(rows, "", [shown[0], *costs])]


def _rich_table(rows: Sequence[Row], title: str, columns: Sequence[Column]) -> Table:
    caption = "test error in %, mean ± std over the seeds" if title else None
    table = Table(title=title or None, box=box.SIMPLE_HEAD, caption=caption, padding=(0, 0, 0, 1))
    for index, column in enumerate(columns):
        table.add_column(column.header, justify="right" if index else "left", no_wrap=index == 0)
    for row in rows:
        table.add_row(*(column.text(row) for column in columns))
    return table


def markdown_table(rows: Sequence[Row]) -> str:
    """Return the table in Markdown."""
    shown = columns(rows)
    lines = [[column.header for column in shown], ["---"] + ["--:"] * (len(shown) - 1)]
    lines += [[column.text(row).replace("*", r"\*") for column in shown] for row in rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
