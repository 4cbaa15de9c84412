"""The elements of a group as a table of panels: turns in columns, hues and mirrors in rows."""

import math
from dataclasses import dataclass
from itertools import product

import numpy as np

from equiconv.groups import O2, SO2, Cyclic, Dihedral, Flip, Group, HueShift, Luminance, Saturation, Subgroup, Value
from equiconv.groups.laws import Ints

MOST = 12  # rows, or columns, that are shown
FEWEST = 6  # of those that are spread evenly, if this many can be


@dataclass(frozen=True)
class Axis:
    """Hold what a part of an element may be: ``labels[i]`` for the elements ``stride * i`` plus the other parts.

    Args:
        labels: short names; empty where nothing happens that needs a name.
        steps: the parts, ``0 .. len(labels) - 1``, or some of them.
        stride: how the index of the element grows with the part.
        turns: whether these are turns.
    """

    labels: tuple[str, ...]
    steps: tuple[int, ...]
    stride: int
    turns: bool = False


@dataclass(frozen=True)
class Table:
    """Hold the elements that are shown, in rows and columns.

    Args:
        elements: ``(rows, columns)``.
        rows: the names of the rows.
        columns: the names of the columns.
        title: which part of the group is shown; empty if it is all.
    """

    elements: Ints
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    title: str


def name(group: Group, g: int) -> str:
    """Return what an element does, such as ``hue 120°, turn 90°``; ``identity`` for the element 0.

    Args:
        group: the group.
        g: the element.
    """
    g = group.check_element(g)
    steps = ((axis, g // axis.stride % len(axis.labels)) for axis in _axes(group, 1))
    return ", ".join(axis.labels[step] for axis, step in steps if step) or "identity"


def table(group: Group) -> Table:
    """Return the elements of a group in rows and columns; of a large group some, spread evenly.

    Args:
        group: the group.
    """
    axes = _axes(group, 1)
    across = [axis for axis in axes if axis.turns] or axes[-1:]
    down = _thinned([axis for axis in axes if axis not in across])
    across = _thinned(across)
    rows, columns = _places(down), _places(across)
    elements = np.array([[i + j for j in columns] for i in rows])
    title = "" if elements.size == group.order else f"{elements.size} of the {group.order} elements of {group!r}"
    if group.max_frequency is not None:
        title = f"{elements.size} elements of {group!r}"
    return Table(elements, tuple(rows.values()), tuple(columns.values()), title)


def _axes(group: Group, stride: int) -> list[Axis]:
    """Return the parts that the elements of a group are made of, the one that runs fastest last."""
    if len(group.factors) > 1:
        found: list[Axis] = []
        for factor in reversed(group.factors):
            found = _axes(factor, stride) + found
            stride *= factor.order
        return found
    match group:
        case Cyclic() | Dihedral() | SO2() | O2():
            n = group.steps if isinstance(group, (SO2, O2)) else group.n
            turns = Axis(_degrees("turn", n), tuple(range(n)), stride, turns=True)
            axis = group.axis if isinstance(group, Dihedral) else 0.0
            mirrors = [_mirrors(stride * n, axis, 0.0)] if group.order > n else []
            return [*mirrors, turns]
        case Flip():
            return [_mirrors(stride, group.axis, math.pi / 2)]
        case HueShift():
            return [Axis(_degrees("hue", group.n), tuple(range(group.n)), stride)]
        case Saturation() | Value() | Luminance():
            what = type(group).__name__.lower()
            names = ("", *(f"{what} {shift:+.4g}" for shift in group.tone.shift.sum(1)[1:]))
        case Subgroup():
            names = tuple(name(group.parent, element) for element in group.elements)
        case _:
            names = tuple(f"element {g}" for g in range(group.order))
    return [Axis(names, tuple(range(group.order)), stride)]


def _degrees(what: str, n: int) -> tuple[str, ...]:
    return tuple(f"{what} {360 * step / n:.4g}°" for step in range(n))


def _mirrors(stride: int, axis: float, default: float) -> Axis:
    """Return the mirror, with the angle of its line unless that is the group's default."""
    where = "" if axis == default else f" at {math.degrees(axis):.4g}°"
    return Axis(("", f"mirrored{where}"), (0, 1), stride)


def _thinned(axes: list[Axis]) -> list[Axis]:
    """Return the axes with so few parts that not more than ``MOST`` combinations are left."""
    axes = list(axes)
    while math.prod(len(axis.steps) for axis in axes) > MOST:
        longest = max(range(len(axes)), key=lambda i: len(axes[i].steps))
        others = math.prod(len(axis.steps) for i, axis in enumerate(axes) if i != longest)
        axis = axes[longest]
        axes[longest] = Axis(axis.labels, _spread(axis.steps, max(1, MOST // others)), axis.stride, axis.turns)
    return axes


def _spread(steps: tuple[int, ...], most: int) -> tuple[int, ...]:
    """Return at most so many of the steps, evenly if that leaves enough of them."""
    count = next(count for count in range(most, 0, -1) if len(steps) % count == 0)
    count = count if count >= min(most, FEWEST) else most
    return tuple(steps[len(steps) * i // count] for i in range(count))


def _places(axes: list[Axis]) -> dict[int, str]:
    """Return the indices that combinations of parts add to an element, with the names of the combinations."""
    found = {}
    for steps in product(*(axis.steps for axis in axes)):
        parts = [axis.labels[step] for axis, step in zip(axes, steps, strict=True)]
        index = sum(axis.stride * step for axis, step in zip(axes, steps, strict=True))
        found[index] = "\n".join(part for part in parts if part)
    return found
