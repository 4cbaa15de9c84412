"""Cells run on the cores of this machine or on Ray: nothing that is finished is lost, and what dies is tried again."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from benchmarks.cells import CellStore, run_cells
from benchmarks.engines import ENGINES, Done, Failed, Lost, local, ray
from equiconv import EquiconvError

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Cell:
    label: str
    seed: int

    @property
    def key(self):
        return self.label, self.seed


def work(cell, report, folder):
    """Square the seed; some cells fail, die once, or die always."""
    mark = folder / f"{cell.label}-{cell.seed}"
    report(0.5)
    if cell.label == "fails":
        raise ValueError(f"not {cell.seed}")
    if cell.label == "dies" or (cell.label == "dies once" and not mark.exists()):
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    report(0.5)
    return {"square": cell.seed**2, "process": os.getpid()}


@pytest.fixture(params=["local", "ray"])
def engine(request, monkeypatch):
    if request.param == "ray":
        pytest.importorskip("ray", reason="Ray is not installed")
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
    return ENGINES[request.param](2)


def run(cells, engine, folder):
    store, outcomes, done = CellStore(folder / "cells", "test"), [], []
    run_cells(
        cells,
        partial(work, folder=folder),
        store,
        engine,
        advance=lambda cell, amount: done.append((cell, amount)),
        finished=outcomes.append,
    )
    return store, {outcome.cell: outcome for outcome in outcomes}, done


def test_results_failures_and_deaths(engine, tmp_path):
    good = [Cell("good", seed) for seed in range(3)]
    bad = [Cell("fails", 7), Cell("dies once", 2), Cell("dies", 3)]
    store, outcomes, done = run([*good, *bad], engine, tmp_path)
    assert set(outcomes) == {*good, *bad}
    for cell in (*good, bad[1]):
        assert outcomes[cell].result["square"] == cell.seed**2
        assert store.read(cell)["square"] == cell.seed**2
        assert outcomes[cell].result["process"] != os.getpid()
    assert outcomes[bad[0]].failure == "ValueError: not 7"
    assert "out of memory?" in outcomes[bad[2]].failure
    assert store.read(bad[0]) is store.read(bad[2]) is None
    assert len(list((tmp_path / "cells").glob("*.json"))) == 4
    assert sorted(cell.seed for cell, _ in done if cell in good) == [0, 0, 1, 1, 2, 2]
    assert all(amount == 0.5 for _, amount in done)


@dataclass
class Dying:
    """An engine in which the process of one cell ends, and with it the others, as a pool of processes does."""

    begun: int
    calls: list

    def run(self, cells, work, tell):
        self.calls.append(list(cells))
        for index in cells:
            if 3 not in cells:
                tell(Done(index, {"square": 0}))
            elif self.begun and (index < self.begun or index == 3):
                tell(Failed(index, "ended", died=True))
            else:
                tell(Lost(index))


@pytest.mark.parametrize(
    ("begun", "calls"),
    [
        (2, [[0, 1, 2, 3, 4, 5], [2, 4, 5], [0], [1], [3]]),
        (0, [[0, 1, 2, 3, 4, 5], *([number] for number in range(6))]),
    ],
)
def test_cells_that_had_not_begun_run_together_again(begun, calls, tmp_path):
    cells, engine = [Cell("good", seed) for seed in range(6)], Dying(begun, [])
    _, outcomes, _ = run(cells, engine, tmp_path)
    assert engine.calls == calls
    assert [cell.seed for cell, outcome in outcomes.items() if outcome.failure] == [3]
    assert len(outcomes) == 6


def test_nothing_to_do_starts_nothing(tmp_path):
    assert run([], None, tmp_path)[1:] == ({}, [])


def test_what_a_cell_kept_is_removed_when_it_is_done(tmp_path):
    store, cell = CellStore(tmp_path, "test"), Cell("good", 1)
    store.scratch(cell).mkdir(parents=True)
    (store.scratch(cell) / "last.pt").touch()
    store.write(cell, {"square": 1})
    assert json.loads(store.path(cell).read_text()) == {"square": 1}
    assert [path.name for path in tmp_path.iterdir()] == [store.path(cell).name]


def test_ray_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EquiconvError, match="--engine ray needs Ray"):
        run([Cell("good", 1)], ENGINES["ray"](1), tmp_path)


def look(cell, report, folder):
    """Return the GPUs that this process sees, when as many cells as there are workers have begun."""
    (folder / f"begun-{cell.seed}").touch()
    end = time.monotonic() + 60
    while len(list(folder.glob("begun-*"))) < 3 and time.monotonic() < end:
        time.sleep(0.01)
    return {"seen": os.environ.get("CUDA_VISIBLE_DEVICES")}


def test_workers_take_turns_on_the_gpus(monkeypatch, tmp_path):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    events, cells = [], {seed: Cell("looks", seed) for seed in range(3)}
    local.Local(3, "cuda").run(cells, partial(look, folder=tmp_path), events.append)
    assert sorted(event.result["seen"] for event in events) == ["4", "4", "7"]


def test_gpus_are_those_that_the_user_chose(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert local._cards("auto") == ["0", "1"]
    assert local._cards("cpu") == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    assert local._cards("cuda") == ["5"]


class Cluster:
    """What Ray is asked on a cluster with some GPUs."""

    def __init__(self, gpus):
        self.gpus = gpus

    def cluster_resources(self):
        return {"CPU": 8.0, "GPU": self.gpus} if self.gpus else {"CPU": 8.0}

    def put(self, work):
        return work

    def remote(self, **options):
        raise LookupError(options)


def test_a_cell_on_ray_has_a_gpu_if_there_are_some(monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.setattr("ray.util.queue.Queue", list)
    for accelerator, gpus in (("cuda", 1), ("auto", 0), ("cpu", 0)):
        with pytest.raises(LookupError, match=f"'num_gpus': {gpus}"):
            list(ray._events(Cluster(2.0), {}, work, ray._cards(Cluster(2.0), accelerator)))
    with pytest.raises(EquiconvError, match="--accelerator cuda needs a GPU that Ray finds"):
        ray._cards(Cluster(0), "cuda")


def test_accelerators_that_are_not_there(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(EquiconvError, match="--accelerator cuda needs a GPU that PyTorch finds"):
        ENGINES["local"](1, "cuda")
    assert local._cards("auto") == []


SCRIPT = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
import pathlib
from test_engines import ENGINES, slow
if __name__ == "__main__":
    ENGINES["local"](1).run({{0: None}}, slow, [].append)
"""


def slow(cell, report):
    sys.stdout.write(f"{os.getpid()}\n")
    sys.stdout.flush()
    time.sleep(60)


def test_workers_end_with_a_killed_parent(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(root=str(ROOT), tests=str(ROOT / "tests")))
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        worker = int(parent.stdout.readline())
        os.kill(parent.pid, signal.SIGKILL)
    end = time.monotonic() + 30
    while Path(f"/proc/{worker}").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()
