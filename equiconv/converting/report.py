"""What a conversion did."""

from dataclasses import dataclass

from torch import nn

from equiconv.groups import Group
from equiconv.layers.convolution import Convolution

__all__ = ["Report", "Row"]

CLOSE = 0.05  # what is called equal
HEADINGS = ("module", "was", "is", "note")


@dataclass(frozen=True)
class Row:
    """Tell what became of a module.

    Args:
        name: in the new network, and in the original if it was there.
        was: what it was; empty if it is new.
        became: what it is.
        status: ``"converted"``, ``"kept"``, ``"changed"``, if it does not compute what the original does even on
            ``Trivial()``, ``"inserted"``, ``"left"``, if the caller asked for that, or ``"unused"``, if it is never
            called, and not in the new network.
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
        scale: the number of fields for each channel of the original, on the average of those that are scaled.
        image_size: height and width for which multiplications are counted.
        parameters: the number of parameters before, of all that the forward uses, and after.
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

    @property
    def _nearness(self) -> str:
        before, after = self.parameters if self.match == "parameters" else self.multiplications
        if abs(after - before) <= CLOSE * before:
            return f"equal {self.match}"
        bounds = "whole fields, their blocks and what is as wide as the output"
        return f"nearest possible {self.match}, as {bounds} allow no other"

    def __str__(self) -> str:
        lines = [HEADINGS, *((row.name, row.was, row.became, _note(row)) for row in self.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(3)]
        table = ["  ".join([*map(str.ljust, line, widths), line[3]]).rstrip() for line in lines]
        height, width = self.image_size
        matched = "same widths" if self.match is None else f"{self._nearness}, {self.scale:.4g} fields for a channel"
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


def described(module: nn.Module) -> str:
    """Return a module in a few words: its class, and of convolutions the channels or fields and the kernel."""
    name = type(module).__name__
    if isinstance(module, nn.Linear):
        return f"{name} {module.in_features} -> {module.out_features}"
    if isinstance(module, Convolution):
        window = module.window
        place = _place(window.kernel, window.stride, module.channel_groups)
        return f"{name} {module.in_type.n} -> {module.out_type.n}, {place}"
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        place = _place(module.kernel_size, module.stride, module.groups)
        return f"{name} {module.in_channels} -> {module.out_channels}, {place}"
    return name


def _place(kernel: tuple[int, ...], stride: tuple[int, ...], blocks: int) -> str:
    """Return how a kernel is placed: ``7x7, stride 2``."""
    steps = str(stride[0]) if len(set(stride)) == 1 else "x".join(map(str, stride))
    stepping = "" if steps == "1" else f", stride {steps}"
    return "x".join(map(str, kernel)) + stepping + ("" if blocks == 1 else f", groups {blocks}")
