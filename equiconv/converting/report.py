"""What a conversion did."""

from dataclasses import dataclass

from equiconv.groups import Group

__all__ = ["Report", "Row"]

HEADINGS = ("module", "was", "is", "note")


@dataclass(frozen=True)
class Row:
    """Tell what became of a module.

    Args:
        name: in the new network, and in the original if it was there.
        was: what it was; empty if it is new.
        became: what it is.
        status: ``"converted"``, ``"kept"``, ``"changed"``, if it does not compute what the original does even on
            ``Trivial()``, ``"inserted"``, or ``"left"``, if the caller asked for that.
        why: what there is to say of it.
    """

    name: str
    was: str
    became: str
    status: str
    why: str


@dataclass(frozen=True)
class Report:
    """Tell what a conversion did, and what it costs; ``print`` shows a table.

    Args:
        group: the group of the new network.
        match: what was kept equal, ``"parameters"``, ``"compute"`` or None.
        scale: the number of fields for each channel of the original, before rounding.
        image_size: height and width for which multiplications are counted.
        parameters: the number of parameters before and after.
        multiplications: those of convolutions and linear layers for one image before and after, each kernel on the
            group being convolved as one ordinary kernel.
        rows: a row for each module, in the order of the calls.
    """

    group: Group
    match: str | None
    scale: float
    image_size: tuple[int, int]
    parameters: tuple[int, int]
    multiplications: tuple[int, int]
    rows: tuple[Row, ...]

    @property
    def changed(self) -> tuple[Row, ...]:
        """The rows of what does not compute what the original does even on ``Trivial()``."""
        return tuple(row for row in self.rows if row.status == "changed")

    def __str__(self) -> str:
        lines = [HEADINGS, *((row.name, row.was, row.became, _note(row)) for row in self.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(3)]
        table = ["  ".join([*map(str.ljust, line, widths), line[3]]).rstrip() for line in lines]
        height, width = self.image_size
        matched = "same widths" if self.match is None else f"equal {self.match}, {self.scale:.4g} fields for a channel"
        return "\n".join(
            [
                f"on {self.group!r}: {matched}",
                _counted("parameters", self.parameters),
                _counted(f"multiplications for {height}x{width}", self.multiplications),
                *table,
            ]
        )


def _note(row: Row) -> str:
    return row.status if not row.why else f"{row.status}: {row.why}"


def _counted(what: str, counts: tuple[int, int]) -> str:
    before, after = counts
    return f"{what}: {before:,} -> {after:,} ({100 * (after - before) / max(before, 1):+.2f} %)"
