"""What has to hold for a study whose file was read."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from benchmarks.data.augment import augmentation
from benchmarks.data.families import FAMILIES
from benchmarks.data.normalize import check_names
from benchmarks.studies.row import Row
from equiconv import EquiconvError

if TYPE_CHECKING:
    from benchmarks.studies.study import Study

__all__ = ["check_study"]

CLASSES = 2  # of networks that are but looked at


def check_study(study: "Study") -> None:
    """Raise if rows are there twice, or a row, a move or a sweep cannot be as it says."""
    name = study.name if study.dataset is None else f"{study.name}, dataset {study.dataset}"
    _check_different(name, study.rows)
    _check_categories(study)
    networks: dict[str, nn.Module] = {}
    for row in study.rows:
        _check(study, row, networks)
    if unknown := [curve for curve in study.curves if curve not in FAMILIES]:
        raise EquiconvError(f"{name}: curves are {', '.join(FAMILIES)}; got {', '.join(unknown)}")
    for sweep in study.sweeps:
        _check_different(f"{name}, sweep {sweep.name}", study.swept(sweep.name).rows)


def _check_different(where: str, rows: Sequence[Row]) -> None:
    """Raise if two rows have one name, or are the same but for their names."""
    for what in ([row.name for row in rows], [str(row.key) for row in rows]):
        if twice := [row.name for row, each in zip(rows, what, strict=True) if what.count(each) > 1]:
            raise EquiconvError(f"{where}: each row is there once; alike are {', '.join(twice)}")


def _check_categories(study: "Study") -> None:
    """Raise unless categories are ranges that rise, and no class is in two of them."""
    ranges = sorted(each for category in study.categories.values() for each in category)
    numbers = [number for first, last in ranges for number in (first, last + 1)]
    if numbers != sorted(numbers) or any(first > last for first, last in ranges):
        raise EquiconvError(f"{study.name}: categories are ranges of classes that do not overlap; got {ranges}")


def _check(study: "Study", row: Row, networks: dict[str, nn.Module]) -> None:
    """Raise if a row cannot be trained as it says; networks are those of earlier rows."""
    try:
        row.check()
        study.recipe_of(row)
        augmentation(study.augment_of(row))
        check_names(study.normalize_of(row))
        _check_colors(row, study.normalize_of(row))
        _check_layers(study, row, networks)
    except EquiconvError as error:
        raise EquiconvError(f"{study.name}, row {row.name}: {error}") from None


def _check_colors(row: Row, normalize: Sequence[str]) -> None:
    """Raise if the group of a row shifts colors of images that are not normalized so."""
    if odd := [name for name in normalize if name not in row.normalizations]:
        raise EquiconvError(
            f"{row.groups} shifts the colors of images in [0, 1], which {', '.join(odd)} makes others: leave it out. "
            f"Normalizations it takes: {', '.join(row.normalizations)}"
        )


def _check_layers(study: "Study", row: Row, networks: dict[str, nn.Module]) -> None:
    """Raise unless the network of a row, which holds no numbers here, has the layers that are taught or watched."""
    parts = [part for part in (row.taught, study.watched_of(row)) if part is not None]
    if not parts:
        return
    key = str((row.model, row.group, sorted(row.options.items())))
    if key not in networks:
        with torch.device("meta"):
            networks[key] = replace(row, init=None).network(study.channels, CLASSES)
    for part in parts:
        part.check(networks[key])
