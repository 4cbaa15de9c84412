"""The conditions of the comparison: how test images are moved."""

from collections.abc import Iterator

from torch import Tensor

from benchmarks.data.families import FAMILIES

__all__ = ["CONDITIONS", "Move", "curve", "moved"]

Move = tuple[tuple[str, int], ...]  # families of moves and the number of each, one after the other

TURNS, SHIFTS = (90, 180, 270), (120, 240)
CONDITIONS: dict[str, tuple[Move, ...]] = {
    "upright": ((),),
    "rotated": tuple((("rotation", turn),) for turn in TURNS),
    "hue-shifted": tuple((("hue", shift),) for shift in SHIFTS),
    "both": tuple((("rotation", turn), ("hue", shift)) for turn in TURNS for shift in SHIFTS),
    "saturation": tuple((("saturation", percent),) for percent in (-80, -40)),
    "value": tuple((("value", percent),) for percent in (-60, 60)),
    "gamma": tuple((("gamma", percent),) for percent in (-60, 60)),
    "white balance": tuple((("white-balance", percent),) for percent in (-60, 60)),
}


def curve(what: str, step: int) -> Iterator[tuple[int, Move]]:
    """Yield every ``step`` degrees of ``"rotation"`` or ``"hue"``, from 0 to below 360, and the moves by them."""
    for degrees in range(0, 360, step):
        yield degrees, ((what, degrees),) if degrees else ()


def moved(x: Tensor, move: Move) -> Tensor:
    """Return moved images ``(B, 3, S, S)``."""
    for name, value in move:
        x = FAMILIES[name].move(x, value)
    return x
