"""Measuring what is exact: on quarter turns and flips, and on all elements."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.exactness.settings import Setting
from equiconv.errors import EquiconvError
from equiconv.groups import O2, P4, P4M, SO2, Cyclic, Dihedral, Flip, Group, HueShift
from equiconv.testing import equivariance_error

__all__ = ["GROUPS", "SEEDS", "Cell", "measure"]

GROUPS: Mapping[str, Callable[[], Group]] = {
    "HueShift(3)": lambda: HueShift(3),
    "HueShift(4)": lambda: HueShift(4),
    "Flip()": Flip,
    "P4()": P4,
    "P4M()": P4M,
    "HueShift(3) * P4()": lambda: HueShift(3) * P4(),
    "Cyclic(8)": lambda: Cyclic(8),
    "Dihedral(6)": lambda: Dihedral(6),
    "HueShift(3) * Cyclic(8)": lambda: HueShift(3) * Cyclic(8),
    "SO2(2)": lambda: SO2(2),
    "O2(2)": lambda: O2(2),
}
SEEDS = 3  # draws of the weights and images
EVERY = 4  # of the 96 rotations in the tables of a continuous group, those that are measured
EXACT = 1e-10


@dataclass(frozen=True)
class Cell:
    """Hold what was found for a group and a setting.

    Args:
        on_grid: the largest error on the elements that send pixels to pixels; None if the layer could not be made.
        off_grid: the largest error on all elements; None if there are no others.
        refusal: the kind of error that refuses the setting; empty if none does.
        message: what it says. The errors are then those with ``exact=False``, if that lets it pass.
    """

    on_grid: float | None
    off_grid: float | None = None
    refusal: str = ""
    message: str = ""

    @property
    def kind(self) -> str:
        """``exact``, ``on quarter turns``, ``approximate`` or ``refused``."""
        if self.refusal:
            return "refused"
        if self.on_grid is None or self.on_grid >= EXACT:
            return "approximate"
        return "exact" if (self.off_grid or 0.0) < EXACT else "on quarter turns"


def measure(group: Group, setting: Setting) -> Cell:
    """Return how exact a layer is; where it is refused, how exact it would be with ``exact=False``.

    Args:
        group: the group.
        setting: the layer.
    """
    try:
        return Cell(*_errors(group, setting, exact=True))
    except EquiconvError as refusal:
        told: Any = partial(Cell, refusal=type(refusal).__name__, message=str(refusal))
    try:
        return told(*_errors(group, setting, exact=False))
    except EquiconvError:
        return told(None)


def _errors(group: Group, setting: Setting, *, exact: bool) -> tuple[float, float | None]:
    """Return the largest error on the elements that send pixels to pixels, and on all if there are others."""
    grid = group.subgroup(_on_grid(group)).source
    others = None if group.keeps_grid else _measured(group)
    found = []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        layer = setting.make(group, exact)
        parts = [grid] if others is None else [grid, others]
        found.append([_error(layer, part, setting.size, seed) for part in parts])
    largest = np.max(found, axis=0).tolist()
    return largest[0], largest[1] if others is not None else None


def _error(layer: nn.Module, part: Group, size: int, seed: int) -> float:
    types: Any = layer  # each layer has these
    source, target = (kind.restrict(part) for kind in (types.in_type, types.out_type))
    return equivariance_error(layer, source, target, size=(size, size), seed=seed)


def _on_grid(group: Group) -> list[int]:
    """Return the elements that send pixels to pixels."""
    whole = np.abs(group.plane - group.plane.round()).max((1, 2)) < 1e-9
    return np.flatnonzero(whole).tolist()


def _measured(group: Group) -> Group:
    """Return a group, or the part of a continuous one that is measured."""
    if not isinstance(group, SO2 | O2):
        return group
    generators = [EVERY] if group.order == group.steps else [EVERY, group.steps]
    return group.subgroup(generators).source
