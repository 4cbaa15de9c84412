"""What a study is, and how its file is read."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from benchmarks.groups import parse_groups
from benchmarks.training import Recipe
from equiconv import EquiconvError
from equiconv.models import create

__all__ = ["STUDIES", "Row", "Study", "load_study"]

T = TypeVar("T")
FOLDER = Path(__file__).parent
STUDIES = tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


@dataclass(frozen=True)
class Row:
    """Describe one network of a study.

    Args:
        name: what the table calls it.
        group: the group, such as ``"HueShift(3)*P4"``; or several, one for each part of a hybrid.
        options: those of ``equiconv.models.create``, besides the numbers of channels and classes.
        model: the name of the network, one of ``equiconv.models.list_models()``.
        published: what was published: ``error`` in percent, ``parameters``, ``macs``.
    """

    name: str
    group: str | tuple[str, ...]
    options: Mapping[str, Any] = field(compare=False)
    model: str = "cnn"
    published: Mapping[str, float] = field(default_factory=dict, compare=False)

    @property
    def groups(self) -> str:
        """The groups as the table shows them."""
        return self.group if isinstance(self.group, str) else ", ".join(self.group)

    @property
    def key(self) -> object:
        """What determines the network."""
        return self.model, self.group, sorted(self.options.items())

    def network(self, channels: int, classes: int) -> nn.Module:
        """Return the network.

        Args:
            channels: those of the images.
            classes: the number of classes.
        """
        names = (self.group,) if isinstance(self.group, str) else self.group
        groups = [parse_groups(name)[0].group for name in names]
        group = groups[0] if isinstance(self.group, str) else groups
        return create(self.model, group, in_channels=channels, classes=classes, **self.options)


@dataclass(frozen=True)
class Study:
    """Hold what a study trains, and how.

    Args:
        name: the name of its file.
        title: of its page.
        data: the data set, a name that ``benchmarks.data.load`` knows.
        image: rows and columns of the images.
        channels: 1 for gray images, 3 for colored ones.
        seeds: runs of each row.
        recipe: how the networks are trained.
        rows: the networks.
        published_by: whose the published numbers are.
    """

    name: str
    title: str
    data: str
    image: int
    channels: int
    seeds: int
    recipe: Recipe
    rows: tuple[Row, ...]
    published_by: str

    def select(self, names: str | None) -> "Study":
        """Return the study with some rows only, named with commas; None takes all.

        Raises:
            EquiconvError: if there is no row of a name.
        """
        if names is None:
            return self
        wanted = [name.strip() for name in names.split(",")]
        known = {row.name: row for row in self.rows}
        if unknown := [name for name in wanted if name not in known]:
            raise EquiconvError(f"--rows: {self.name} has no row {', '.join(unknown)}; its rows: {', '.join(known)}")
        return replace(self, rows=tuple(known[name] for name in wanted))


def load_study(name: str) -> Study:
    """Return a study.

    Args:
        name: one of ``STUDIES``.

    Raises:
        EquiconvError: if there is none of that name, or its file has an entry that is not known.
    """
    if name not in STUDIES:
        raise EquiconvError(f"a study is one of {', '.join(STUDIES)}; got {name!r}")
    entries = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    rows = tuple(_made(Row, f"{name}, row", _tuples(row)) for row in entries.pop("row", []))
    recipe = _made(Recipe, f"{name}, recipe", entries.pop("recipe", {}))
    return _made(Study, name, {**entries, "name": name, "recipe": recipe, "rows": rows})


def _tuples(entries: Any) -> Any:
    """Return the entries of a file with tuples for lists."""
    if isinstance(entries, dict):
        return {key: _tuples(value) for key, value in entries.items()}
    return tuple(map(_tuples, entries)) if isinstance(entries, list) else entries


def _made(kind: type[T], where: str, entries: Mapping[str, Any]) -> T:
    """Return a dataclass of some entries, or raise if one is unknown or missing."""
    known = [each.name for each in fields(kind)]  # type: ignore[arg-type]
    if unknown := [key for key in entries if key not in known]:
        raise EquiconvError(f"{where}: unknown {', '.join(unknown)}; known: {', '.join(known)}")
    try:
        return kind(**entries)
    except TypeError as error:
        raise EquiconvError(f"{where}: {error}") from None
