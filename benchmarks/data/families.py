"""Families of moves of the test images, each with one number: by code that shares nothing with the groups."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.data.colors import (
    exposed,
    gamma_corrected,
    saturation_scaled,
    saturation_shifted,
    value_shifted,
    warmed,
)
from benchmarks.data.moves import hue_shifted, rotated

__all__ = ["FAMILIES", "GRIDS", "Family", "Grid"]


@dataclass(frozen=True)
class Family:
    """Hold moves of one kind.

    Args:
        title: what the number says.
        unit: of the number.
        values: the numbers at which accuracy is measured; one of them is 0, which moves nothing, but for reflections.
        move: moves images ``(B, C, S, S)`` by a number.
        colors: whether it needs three channels.
        cyclic: whether the first value and the last are neighbors.
    """

    title: str
    unit: str
    values: tuple[int, ...]
    move: Callable[[Tensor, int], Tensor]
    colors: bool = False
    cyclic: bool = True

    def by(self, value: int) -> Callable[[Tensor], Tensor]:
        """Return what moves images by one of the numbers."""
        return lambda x: self.move(x, value)


@dataclass(frozen=True)
class Grid:
    """Hold pairs of moves of two kinds, one after the other.

    Args:
        title: what the pairs are.
        first: the family of the first move.
        second: that of the second.
        rows: the numbers of the first move.
        columns: those of the second.
    """

    title: str
    first: str
    second: str
    rows: tuple[int, ...]
    columns: tuple[int, ...]

    @property
    def colors(self) -> bool:
        """Whether they need three channels."""
        return FAMILIES[self.first].colors or FAMILIES[self.second].colors

    def by(self, row: int, column: int) -> Callable[[Tensor], Tensor]:
        """Return what moves images by a pair of numbers."""
        return lambda x: FAMILIES[self.second].move(FAMILIES[self.first].move(x, row), column)


def mirrored(x: Tensor, degrees: int) -> Tensor:
    """Mirror images about the horizontal axis, then turn them."""
    return rotated(x.flip(-2), degrees)


def hue_rotated(x: Tensor, degrees: int) -> Tensor:
    """Turn colors about the gray axis of RGB, red towards green; what leaves [0, 1] is not clipped."""
    angle = math.radians(degrees)
    cosine, third, sine = math.cos(angle), (1 - math.cos(angle)) / 3, math.sin(angle) / math.sqrt(3)
    row = cosine + third, third - sine, third + sine
    matrix = torch.tensor([row, (row[2], row[0], row[1]), (row[1], row[2], row[0])], dtype=x.dtype, device=x.device)
    return torch.einsum("dc,bchw->bdhw", matrix, x)


def translated(x: Tensor, pixels: int) -> Tensor:
    """Move images to the right, black from the left."""
    moved = torch.zeros_like(x)
    moved[..., pixels:] = x[..., : x.shape[-1] - pixels]
    return moved


def _change(title: str, values: range, move: Callable[[Tensor, int], Tensor]) -> Family:
    """Return a family that changes colors from one end to another."""
    return Family(title, "%", tuple(values), move, True, cyclic=False)


FAMILIES = {
    "rotation": Family("rotation of the test images", "degrees", tuple(range(0, 360, 5)), rotated),
    "reflection": Family("reflection, then rotation of the test images", "degrees", tuple(range(0, 360, 5)), mirrored),
    "hue": Family("hue shift of the test images, in HSV", "degrees", tuple(range(-180, 181, 10)), hue_shifted, True),
    "hue-linear": Family("rotation of RGB about gray", "degrees", tuple(range(-180, 181, 10)), hue_rotated, True),
    "translation": Family("translation to the right", "pixels", tuple(range(9)), translated, cyclic=False),
    "saturation": _change("change of the saturation", range(-100, 101, 20), saturation_scaled),
    "saturation-shift": _change("shift of the saturation", range(-100, 101, 20), saturation_shifted),
    "value": _change("change of the value", range(-80, 101, 20), exposed),
    "value-shift": _change("shift of the value", range(-80, 81, 20), value_shifted),
    "gamma": _change("gamma correction by 3 to the power of", range(-100, 101, 20), gamma_corrected),
    "white-balance": _change("warmer light", range(-100, 101, 20), warmed),
}
GRIDS = {
    "turn-hue": Grid(
        "turned, then shifted in hue", "rotation", "hue", tuple(range(0, 360, 45)), tuple(range(0, 360, 30))
    ),
    "saturation-hue": Grid(
        "changed in saturation, then shifted in hue",
        "saturation",
        "hue",
        tuple(range(0, -101, -20)),
        tuple(range(0, 360, 30)),
    ),
}
