"""Run the cells of a sweep; keep each result in a file of its own, so that a killed run resumes."""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import equiconv
from benchmarks.engines import Done, Engine, Event, Failed, Lost, Progress, Work, death
from benchmarks.files import write_json
from benchmarks.training import Hardware

__all__ = ["CellStore", "Labeled", "Outcome", "run_cells"]

Result = dict[str, Any]
HERE = Path(__file__).parent
PACKAGES = ("torch", "numpy", "kornia", "lightning-fabric", "pillow", "datasets")
SOURCES = (
    Path(equiconv.__file__).parent,
    *(HERE / name for name in ("training", "train.py", "networks.py", "groups.py")),
    *(
        HERE / "data" / f"{name}.py"
        for name in (
            "augment",
            "augmenting",
            "batch",
            "colors",
            "conditions",
            "dali",
            "families",
            "images",
            "jitter",
            "moves",
            "normalize",
            "policy",
            "sources",
            "stream",
        )
    ),
    *(HERE / "studies" / f"{name}.py" for name in ("cell", "row", "scores", "streaming", "study", "supply", "trained")),
    HERE / "robustness" / "probe.py",
)


class Labeled(Protocol):
    """One run of a sweep, as values that can be pickled and hashed."""

    @property
    def label(self) -> str:
        """What people call it."""

    @property
    def seed(self) -> int:
        """The seed of everything random in it."""

    @property
    def key(self) -> object:
        """What determines its result; its repr is hashed."""


@dataclass(frozen=True)
class Outcome:
    """Hold what became of a cell: its result, or what went wrong."""

    cell: Any
    result: Result | None
    failure: str | None = None


class CellStore:
    """Keep the results of cells as JSON files, under names that hash everything that determines them.

    That is: what the cells have in common, the key of the cell, the source code of the library and of the training, and
    the versions of the packages that compute.

    Args:
        folder: where the files are.
        common: what all cells have in common, such as data and protocol; its repr is hashed.
    """

    def __init__(self, folder: Path, common: object) -> None:
        self.folder = folder
        self._common = (common, _source_hash(), *map(metadata.version, PACKAGES))

    def on(self, hardware: Hardware) -> "CellStore":
        """Return the store, in the same folder, of cells that are computed on some hardware, which has its part."""
        return CellStore(self.folder, (self._common, hardware))

    def path(self, cell: Labeled) -> Path:
        """Return the file of a cell."""
        key = repr((self._common, cell.key))
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:20]}.json"

    def scratch(self, cell: Labeled) -> Path:
        """Return the folder where a cell keeps its state while it runs."""
        return self.path(cell).with_suffix(".run")

    def read(self, cell: Labeled) -> Result | None:
        """Return the stored result of a cell, under the cell's present label; None if it is not finished."""
        path = self.path(cell)
        return {**json.loads(path.read_text(encoding="utf-8")), "group": cell.label} if path.exists() else None

    def write(self, cell: Labeled, result: Result) -> None:
        """Store the result of a cell; the state that it kept while it ran is removed."""
        write_json(self.path(cell), result)
        shutil.rmtree(self.scratch(cell), ignore_errors=True)


def _source_hash() -> str:
    digest = hashlib.sha256()
    for source in SOURCES:
        for path in sorted(source.rglob("*.py")) if source.is_dir() else [source]:
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def run_cells(
    cells: Sequence[Any],
    work: Work,
    store: CellStore,
    engine: Engine,
    *,
    advance: Callable[[Any, float], None],
    finished: Callable[[Outcome], None],
) -> None:
    """Run cells, and store each result as soon as it is there.

    A cell whose process ends is tried once more, alone. Those that had not begun then run together again.

    Args:
        cells: what to run, in the order in which to start; nothing is started if there are none.
        work: runs one of them.
        store: where the results are written.
        engine: where they run.
        advance: called with a cell and the work done in it since the last call.
        finished: called once for each cell.

    Raises:
        KeyboardInterrupt: if the user interrupts; the workers are ended, finished cells stay.
    """
    again: set[int] = set()
    lost: set[int] = set()

    def hear(event: Event) -> None:
        if isinstance(event, Progress):
            advance(cells[event.index], event.work)
        elif isinstance(event, Lost):
            lost.add(event.index)
        elif isinstance(event, Failed) and event.died and event.index not in again:
            again.add(event.index)
        else:
            finished(_stored(cells[event.index], event, store))

    waiting = set(range(len(cells)))
    while waiting:
        engine.run({index: cells[index] for index in sorted(waiting)}, work, hear)
        if lost == waiting:  # whatever ends the processes does so before they begin
            again |= lost
        waiting = lost - again
        lost.clear()
    for index in sorted(again):
        engine.run({index: cells[index]}, work, hear)
        if lost:
            hear(death(index))
            lost.clear()


def _stored(cell: Any, event: Done | Failed, store: CellStore) -> Outcome:
    if isinstance(event, Failed):
        return Outcome(cell, None, event.reason)
    store.write(cell, event.result)
    return Outcome(cell, event.result)
