"""What a study is, and how its file is read."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.data.normalize import UNIT
from benchmarks.studies.checks import check_study
from benchmarks.studies.implicit import Watched
from benchmarks.studies.made import made
from benchmarks.studies.row import Row, Sweep
from benchmarks.studies.streaming import Reading
from benchmarks.studies.supply import Supply
from benchmarks.training import Recipe
from equiconv import EquiconvError

__all__ = ["STUDIES", "Study", "load_study"]

FOLDER = Path(__file__).parent
CROP = "resized-crop"
PIXELS = (CROP, "crop", "cutout")  # the augmentations whose values are lengths
VARIED = (
    "title",
    "data",
    "image",
    "channels",
    "seeds",
    "samples",
    "augment",
    "normalize",
    "recipe",
    "rows",
    "published",
    "watched",
)
STUDIES = tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


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
        augment: augmentations of all rows that have none of their own.
        normalize: normalizations of all rows that have none of their own.
        samples: the number of training images of each row, the first ones; None takes all.
        normalize_first: images are normalized before they are augmented.
        curves: the moves of the test images under which accuracy is measured, of ``benchmarks.data.families.FAMILIES``.
        curve_images: the number of test images that are moved, the first ones, or of a stream the first that each
            process reads; None takes all.
        quick: training and test images of a quick run, of networks that take their time.
        sweeps: rows whose width, or number of images, varies.
        sweep: the one of them whose points are the rows.
        dataset: the name of the other data set for which this is; None for that of the table.
        others: the study on other data sets, by the names that ``--dataset`` takes.
        reading: how images are read that are not held in memory.
        watched: the equivariance that is measured layer by layer after each epoch, of each row under the group that it
            is taught unless it says another; None measures none.
        categories: names of several classes together, and their numbers: the first and the last one of each range.
    """

    name: str
    title: str
    data: str
    image: int
    channels: int
    seeds: int
    recipe: Recipe
    rows: tuple[Row, ...]
    published_by: str = ""
    augment: Mapping[str, float] = field(default_factory=dict)
    normalize: tuple[str, ...] = ()
    samples: int | None = None
    normalize_first: bool = False
    curves: tuple[str, ...] = ()
    curve_images: int | None = None
    quick: tuple[int, int] = (400, 200)
    sweeps: tuple[Sweep, ...] = ()
    sweep: Sweep | None = None
    reading: Reading = field(default_factory=Reading)
    watched: Watched | None = None
    categories: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    dataset: str | None = None
    others: Mapping[str, "Study"] = field(default_factory=dict, compare=False)

    def on(self, name: str | None) -> "Study":
        """Return the study on another data set; None, or the name of its own, takes that of the table.

        Raises:
            EquiconvError: if it is not for that data set.
        """
        if name in (None, self.data):
            return self
        if name not in self.others:
            known = ", ".join((self.data, *self.others))
            raise EquiconvError(f"--dataset: {self.name} is for {known}; got {name!r}")
        return self.others[name]

    def swept(self, name: str | None) -> "Study":
        """Return the study with the points of a sweep as its rows; None takes the table.

        Raises:
            EquiconvError: if there is no such sweep.
        """
        if name is None:
            return self
        known = {sweep.name: sweep for sweep in self.sweeps}
        if name not in known:
            raise EquiconvError(f"--sweep: {self.name} has {', '.join(known) or 'none'}; got {name!r}")
        return replace(self, rows=known[name].rows({row.name: row for row in self.rows}), sweep=known[name])

    def select(self, names: str | None) -> "Study":
        """Return the study with some rows only, named with commas; None takes all.

        Raises:
            EquiconvError: if there is no row of a name.
        """
        if names is None:
            return self
        wanted = list(dict.fromkeys(name.strip() for name in names.split(",")))
        known = {row.line or row.name: None for row in self.rows}
        if unknown := [name for name in wanted if name not in known]:
            raise EquiconvError(f"--rows: {self.name} has no row {', '.join(unknown)}; its rows: {', '.join(known)}")
        return replace(self, rows=tuple(row for name in wanted for row in self.rows if name == (row.line or row.name)))

    def trained(self, changes: Mapping[str, object]) -> "Study":
        """Return the study with another recipe, whatever its rows say.

        Args:
            changes: as of ``Recipe.changed``.

        Raises:
            EquiconvError: if there is no such value.
        """
        rows = (
            replace(row, recipe={name: value for name, value in row.recipe.items() if name not in changes})
            for row in self.rows
        )
        return replace(self, recipe=self.recipe.changed(changes), rows=tuple(rows))

    def shrunk(self, most: int) -> "Study":
        """Return the study with no more training images than so many in any row; fewer ones keep their ratio."""
        counts = [count for count in map(self.samples_of, self.rows) if count is not None]
        scale = min(1.0, most / max(counts, default=most))
        rows = (replace(row, samples=row.samples and max(1, round(scale * row.samples))) for row in self.rows)
        samples = self.samples and max(1, round(scale * self.samples))
        return replace(self, rows=tuple(rows), samples=samples)

    def smaller(self, most: int) -> "Study":
        """Return the study with images of at most so many rows and columns, and without categories."""
        scale = min(1.0, most / self.image)

        def scaled(steps: Mapping[str, float]) -> dict[str, float]:
            return {name: max(1, round(scale * v)) if name in PIXELS else v for name, v in steps.items()}

        rows = tuple(replace(row, augment=scaled(row.augment)) for row in self.rows)
        return replace(self, image=min(most, self.image), augment=scaled(self.augment), rows=rows, categories={})

    def check(self, data: Mapping[str, Supply]) -> None:
        """Raise EquiconvError if a row wants more of its images than they can give, or a category other classes."""
        for row in self.rows:
            data[self.data_of(row)].check(row.name, self.samples_of(row), self.normalize_of(row))
        last = max((last for ranges in self.categories.values() for _, last in ranges), default=-1)
        if last >= len(data[self.data].classes):
            raise EquiconvError(
                f"{self.name}: categories go to class {last}; got {len(data[self.data].classes)} classes"
            )

    def recipe_of(self, row: Row) -> Recipe:
        """Return how a row is trained."""
        return self.recipe.changed(row.recipe)

    def watched_of(self, row: Row) -> Watched | None:
        """Return the equivariance that is measured of a row, with its group; None if there is none.

        Raises:
            EquiconvError: if neither the study nor the row says a group.
        """
        return self.watched and self.watched.of(row.taught)

    def augment_of(self, row: Row) -> Mapping[str, float]:
        """Return the augmentations of a row."""
        return row.augment or self.augment

    @property
    def datasets(self) -> tuple[str, ...]:
        """The data sets of the rows."""
        return tuple(dict.fromkeys(map(self.data_of, self.rows)))

    def data_of(self, row: Row) -> str:
        """Return the data set of a row."""
        return row.data or self.data

    def samples_of(self, row: Row) -> int | None:
        """Return the number of training images of a row; None for all."""
        return row.samples or self.samples

    def image_of(self, row: Row) -> int:
        """Return the rows and columns of what the network of a row sees."""
        return int(self.augment_of(row).get(CROP, self.image)) + self.normalize_of(row).count("pad")

    def normalize_of(self, row: Row) -> tuple[str, ...]:
        """Return the normalizations of a row."""
        return row.normalize or self.normalize


def load_study(name: str) -> Study:
    """Return a study.

    Args:
        name: one of ``STUDIES``.

    Raises:
        EquiconvError: if there is none of that name, or its file has an entry that is not known or makes no sense.
    """
    if name not in STUDIES:
        raise EquiconvError(f"a study is one of {', '.join(STUDIES)}; got {name!r}")
    entries = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    rows = _rows(f"{name}, row", entries.pop("row", []))
    lists = {key: _rows(f"{name}, rows {key}", each) for key, each in entries.pop("rows", {}).items()}
    sweeps = tuple(made(Sweep, f"{name}, sweep", _tuples(sweep)) for sweep in entries.pop("sweep", []))
    recipe = made(Recipe, f"{name}, recipe", _tuples(entries.pop("recipe", {})))
    reading = made(Reading, f"{name}, reading", _tuples(entries.pop("reading", {})))
    if "watched" in entries:
        entries["watched"] = made(Watched, f"{name}, watched", _tuples(entries["watched"]))
    others = entries.pop("dataset", {})
    own = {"name": name, "recipe": recipe, "rows": rows, "sweeps": sweeps, "reading": reading}
    study = made(Study, name, {**_tuples(entries), **own})
    study = replace(study, others={key: _elsewhere(study, key, _tuples(each), lists) for key, each in others.items()})
    study = replace(_suited(study), others={key: _suited(each) for key, each in study.others.items()})
    for each in (study, *study.others.values()):
        check_study(each)
    return study


def _suited(study: Study) -> Study:
    """Return a study whose rows have, of its normalizations, those that their groups take."""
    rows = []
    for row in study.rows:
        kept = tuple(name for name in study.normalize_of(row) if name in (*row.normalizations, *row.normalize))
        rows.append(row if kept == study.normalize_of(row) else replace(row, normalize=kept or (UNIT,)))
    return replace(study, rows=tuple(rows))


def _elsewhere(study: Study, dataset: str, entries: Mapping[str, Any], lists: Mapping[str, tuple[Row, ...]]) -> Study:
    """Return a study on another data set: with other entries, and with the numbers that were published for it."""
    where = f"{study.name}, dataset {dataset}"
    if unknown := [key for key in entries if key not in VARIED]:
        raise EquiconvError(f"{where}: unknown {', '.join(unknown)}; known: {', '.join(VARIED)}")
    own = {"title": f"{study.title}: {dataset}", "data": dataset, **entries}
    if (name := own.pop("rows", None)) is not None and name not in lists:
        raise EquiconvError(
            f"{where}: rows are a list [[rows.NAME]], one of {', '.join(lists) or 'none'}; got {name!r}"
        )
    rows, published = study.rows if name is None else lists[name], own.pop("published", {})
    if unknown := [key for key in published if key not in [row.name for row in rows]]:
        raise EquiconvError(f"{where}: published numbers of {', '.join(unknown)}, of which there is no row")
    if "watched" in own:
        own["watched"] = made(Watched, f"{where}, watched", own["watched"])
    own["rows"] = tuple(replace(row, published=published.get(row.name, {})) for row in rows)
    own["recipe"] = study.recipe.changed(own.get("recipe", {}))
    return replace(study, dataset=dataset, sweeps=(), **own)


def _rows(where: str, entries: Sequence[Mapping[str, Any]]) -> tuple[Row, ...]:
    return tuple(made(Row, where, _tuples(row)) for row in entries)


def _tuples(entries: Any) -> Any:
    """Return the entries of a file with tuples for lists, and None for ``"none"``, which TOML does not have."""
    if isinstance(entries, dict):
        return {key: _tuples(value) for key, value in entries.items()}
    if isinstance(entries, list):
        return tuple(map(_tuples, entries))
    return None if entries == "none" else entries
