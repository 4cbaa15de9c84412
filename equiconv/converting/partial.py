"""Maps on the way to a global average: with their pixels in one axis, or one axis of the plane averaged."""

from dataclasses import dataclass
from typing import Any

import torch

from equiconv.converting.draft import Value
from equiconv.converting.planes import averaged
from equiconv.converting.step import Step

REDUCTIONS: dict[str, Any] = {"mean": torch.mean, "sum": torch.sum, "amax": torch.amax, "max": torch.amax}


@dataclass(frozen=True)
class Partial:
    """Stand for maps whose plane the original has reduced in part; here they are still whole.

    Args:
        value: the maps.
        axes: the axes of the original's tensor that are left of the plane.
        rank: the number of its axes.
        reduction: the name of what was done to the axis that is gone; empty if both are left.
    """

    value: Value
    axes: tuple[int, ...]
    rank: int
    reduction: str = ""


def merged(value: Value) -> Partial:
    """Return maps whose pixels the original has put in one axis."""
    return Partial(value, (2,), 3)


def reduced(value: Value, axis: int, name: str, *, keepdim: bool) -> Partial:
    """Return maps of which the original has reduced the rows or the columns."""
    other = 5 - axis
    return Partial(value, (other if keepdim else 2,), 4 if keepdim else 3, name)


def complete(step: Step, partial: Partial, name: str, given: dict[str, Any]) -> Any:
    """Convert what reduces the rest of the plane."""
    dims = given["dim"] if isinstance(given["dim"], list | tuple) else [given["dim"]]
    axes = tuple(each % partial.rank for each in dims if each is not None)
    same = partial.reduction in ("", name) and bool(given["keepdim"]) == (partial.rank == 4)
    if name not in REDUCTIONS or axes != partial.axes or not same:
        step.refuse("it takes maps of which a part of the plane was averaged, and does not average the rest likewise")
    result = averaged(step, partial.value, function=REDUCTIONS[name], keepdim=partial.rank == 4)
    return [result, None] if isinstance(step.node.meta["value"], tuple) else result


def reshaped(step: Step, partial: Partial) -> Any:
    """Convert what makes maps again of their pixels, or drops an axis of one pixel."""
    value, shape = partial.value, tuple(step.node.meta["value"].shape)
    if not partial.reduction and shape[2:] == value.plane:
        return value
    if not partial.reduction and value.plane == (1, 1) and len(shape) == 2:
        return step.vector(value)
    return step.refuse("it takes maps whose pixels lie in one axis, which convert knows in front of an average only")
