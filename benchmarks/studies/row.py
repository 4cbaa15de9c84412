"""What one row of a study's table is, and rows that differ in one number."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from torch import nn

from benchmarks.data.normalize import NORMALIZATIONS, taken
from benchmarks.groups import parse_groups
from benchmarks.networks import BASES
from benchmarks.studies.implicit import Taught
from benchmarks.studies.made import made
from equiconv import EquiconvError, Group
from equiconv.init import delta_orthogonal_, he_normal_
from equiconv.models import create
from equiconv.models.registry import check_group

__all__ = ["NO_GROUP", "Row", "Sweep"]

T = TypeVar("T")

NO_GROUP = "none"  # what tables show of an ordinary network
SAMPLES = "samples"
INITIALIZATIONS = {"delta-orthogonal": delta_orthogonal_, "he-normal": he_normal_}


@dataclass(frozen=True)
class Row:
    """Describe one network of a study, and what is special in its training.

    Args:
        name: what the table calls it.
        group: the group, such as ``"HueShift(3)*P4"``; or several, one for each part of a hybrid; None for an ordinary
            network that has none.
        options: those of ``equiconv.models.create``, besides the numbers of channels and classes; ``basis`` may be a
            name in ``benchmarks.networks.BASES``.
        model: the name of the network, one of ``equiconv.models.list_models()``.
        init: how its kernels are drawn, ``"delta-orthogonal"`` or ``"he-normal"``, if it has ``initialize``; None takes
            what the layers do by themselves.
        recipe: what differs from the recipe of the study.
        implicit: the equivariance that a loss teaches it, the arguments of ``benchmarks.studies.implicit.Taught``; none
            if it only classifies.
        augment: the augmentations, as of ``benchmarks.data.augment.augmentation``; those of the study if there are
            none.
        normalize: names of normalizations, as of ``benchmarks.data.normalize``; if a file gives none, those of the
            study that its group takes.
        data: the data set; None takes that of the study.
        samples: the number of training images, the first ones; None takes as many as the study.
        published: what was published: ``error`` in percent, ``parameters``, ``macs``.
        line: in a sweep the row of which this is a point.
        value: in a sweep the number that differs.
    """

    name: str
    group: str | tuple[str, ...] | None = None
    options: Mapping[str, Any] = field(default_factory=dict, compare=False)
    model: str = "cnn"
    init: str | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict, compare=False)
    implicit: Mapping[str, Any] = field(default_factory=dict, compare=False)
    augment: Mapping[str, float] = field(default_factory=dict, compare=False)
    normalize: tuple[str, ...] = ()
    data: str | None = None
    samples: int | None = None
    published: Mapping[str, float] = field(default_factory=dict, compare=False)
    line: str | None = None
    value: float | None = None

    @property
    def groups(self) -> str:
        """The groups as the table shows them."""
        return self.group if isinstance(self.group, str) else ", ".join(self.group or [NO_GROUP])

    @property
    def key(self) -> object:
        """What determines the network and its training."""
        changes = [sorted(each.items()) for each in (self.options, self.recipe, self.implicit, self.augment)]
        return self.model, self.init, self.group, *changes, self.normalize, self.data, self.samples

    def network(self, channels: int, classes: int) -> nn.Module:
        """Return the network.

        Args:
            channels: those of the images.
            classes: the number of classes.
        """
        options = {**self.options, "in_channels": channels, "classes": classes}
        if "basis" in options:
            options["basis"] = _named("basis", options["basis"], BASES)
        net = create(self.model, _parsed(self.group), **options)
        return net if self.init is None else _initialized(net, self.init)

    @property
    def taught(self) -> Taught | None:
        """What a loss teaches it; None if it only classifies."""
        return made(Taught, "implicit", self.implicit) if self.implicit else None

    @property
    def normalizations(self) -> tuple[str, ...]:
        """The names of the normalizations whose images the network takes, by the group of its first part."""
        group = _parsed(self.group)
        first = group[0] if isinstance(group, list) else group
        return NORMALIZATIONS if first is None else taken(first)

    @property
    def copies(self) -> int:
        """How often an image goes through the network in a step: twice if a loss compares it with a moved one."""
        return 2 if self.implicit else 1

    def check(self) -> None:
        """Raise EquiconvError if there is no such network, or no such way to make or to draw its kernels."""
        check_group(self.model, self.group)
        if "basis" in self.options:
            _named("basis", self.options["basis"], BASES)
        if self.init is not None:
            _named("init", self.init, INITIALIZATIONS)
        _ = self.taught

    def varied(self, what: str, value: float, data: str | None = None) -> "Row":
        """Return a point of a sweep.

        Args:
            what: an option of the network, ``"samples"``, or, with ``data``, what varies in the data.
            value: its number.
            data: the name of the data set, with ``{}`` for the number.
        """
        changed: dict[str, Any] = {"options": {**self.options, what: value}}
        if data is not None:
            changed = {"data": data.format(value)}
        elif what == SAMPLES:
            changed = {SAMPLES: value}
        return replace(self, published={}, name=f"{self.name}, {what} {value}", line=self.name, value=value, **changed)


@dataclass(frozen=True)
class Sweep:
    """Say which number of which rows varies.

    Args:
        name: of the sweep, within its study.
        title: of its plot.
        varies: an option of the networks, such as ``"width"``, or ``"samples"``, the number of training images, or,
            with ``data``, what varies in the data.
        values: the numbers for each row, by its name.
        data: the name of the data set, with ``{}`` for the number.
    """

    name: str
    title: str
    varies: str
    values: Mapping[str, tuple[float, ...]] = field(compare=False)
    data: str | None = None

    def describe(self) -> dict[str, str]:
        """Return what a plot of it needs to know: also along which axis its points lie; fit for JSON."""
        axis = "value" if self.data else SAMPLES if self.varies == SAMPLES else "parameters"
        return {"name": self.name, "title": self.title, "varies": self.varies, "axis": axis}

    def rows(self, table: Mapping[str, Row]) -> tuple[Row, ...]:
        """Return the points.

        Args:
            table: the rows of the study by name.

        Raises:
            EquiconvError: if there is no row of a name.
        """
        if unknown := [name for name in self.values if name not in table]:
            raise EquiconvError(f"sweep {self.name}: no row {', '.join(unknown)}; the rows: {', '.join(table)}")
        return tuple(
            table[name].varied(self.varies, value, self.data)
            for name, values in self.values.items()
            for value in values
        )


def _parsed(group: str | tuple[str, ...] | None) -> Group | list[Group] | None:
    """Return what is written as text."""
    if group is None:
        return None
    return parse_groups(group)[0].group if isinstance(group, str) else [parse_groups(name)[0].group for name in group]


def _initialized(net: Any, init: str) -> nn.Module:
    """Return a network whose kernels are drawn anew."""
    function = _named("init", init, INITIALIZATIONS)
    if not hasattr(net, "initialize"):
        raise EquiconvError(f"init is for networks that have initialize; {type(net).__name__} has not: leave it out")
    return net.initialize(function)


def _named(what: str, name: str, known: Mapping[str, T]) -> T:
    """Return what has a name."""
    if name not in known:
        raise EquiconvError(f"{what} is one of {', '.join(known)}; got {name!r}")
    return known[name]
