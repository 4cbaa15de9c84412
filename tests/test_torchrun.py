"""Cells that several processes compute together: the numbers of one process, written once."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial, partialmethod
from pathlib import Path

import pytest
import torch
from rich.console import Console
from test_training import RECIPE
from torch import nn

from benchmarks.__main__ import main
from benchmarks.cells import CellStore
from benchmarks.data import float_batch, load
from benchmarks.engines import ENGINES
from benchmarks.sweep import sweep
from benchmarks.training import CPU, Checkpoint, Images, Recipe, Task, fit
from equiconv import EquiconvError

ROOT = Path(__file__).parent.parent
EPOCHS = 2


@dataclass(frozen=True)
class Cell:
    label: str
    seed: int

    @property
    def key(self):
        return self.label, self.seed


def train(cell, report, *, hardware, folder, scratch=None):
    """Train on a few digits without batch statistics; some cells fail, or end in one process only."""
    data, fabric = load("digits").limited(40, 10), hardware.fabric("32-true")
    (folder / f"{cell.label}-{cell.seed}-by-{fabric.global_rank}-of-{fabric.world_size}").touch()
    if cell.label == "one breaks" and fabric.global_rank == 1:
        raise ValueError("out of step")
    torch.manual_seed(cell.seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(data.train_images[0].size, 10))
    scale = float("nan") if cell.label == "diverges" else 1.0
    images = Images(scale * float_batch(data.train_images), torch.tensor(data.train_labels))
    recipe, kept = Recipe(EPOCHS, batch_size=7, learning_rate=0.01), scratch and scratch(cell)
    history = fit(Task(net, images, seed=cell.seed), recipe, fabric, folder=kept, report=report)
    return {"group": cell.label, "error": {"test": 0.5}, "losses": [epoch["loss"] for epoch in history]}


CELLS = [Cell("good", 1), Cell("diverges", 2), Cell("good", 3)]


def note_writes(folder):
    """Let each process note what it writes, in a file of its own."""

    def noted(write, *arguments):
        with (folder / f"writes-{os.environ['RANK']}").open("a") as file:
            file.write(f"{write.__name__}\n")
        return write(*arguments)

    CellStore.write = partialmethod(partial(noted, CellStore.write))
    Checkpoint.save = partialmethod(partial(noted, Checkpoint.save))


def together(folder, *labels):
    """Run cells; what the processes of ``torchrun`` do."""
    note_writes(folder)
    cells = [Cell(label, 1) for label in labels] or CELLS
    cells = cells if os.environ["RANK"] == "0" else []  # the others are told what to run
    store, work = CellStore(folder / "cells", "test"), partial(train, folder=folder)
    outcomes = sweep(cells, work, store, Console(width=200), cost=lambda _: EPOCHS * 40, engine="torchrun")
    sys.stdout.write(json.dumps([[o.result, o.failure] for o in outcomes.values()]) + "\n")


SCRIPT = """
import sys
sys.path[:0] = [{tests!r}, {root!r}]
import pathlib
from test_torchrun import together
together(pathlib.Path({folder!r}), *sys.argv[1:])
"""


def torchrun(*words):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300)


def script(folder):
    path = folder / "script.py"
    path.write_text(SCRIPT.format(tests=str(ROOT / "tests"), root=str(ROOT), folder=str(folder)))
    return str(path)


def test_two_processes_find_the_numbers_of_one_and_write_them_once(tmp_path):
    done = torchrun(script(tmp_path))
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert [line.split(":")[0] for line in said[:-1]] == [
        "[1/3] good, seed 1",
        "[2/3] diverges, seed 2 failed",
        "[3/3] good, seed 3",
    ]
    outcomes = json.loads(said[-1])
    assert "FloatingPointError: the loss became nan in epoch 1" in outcomes[1][1]
    one = tmp_path / "one"
    one.mkdir()
    for cell, (result, failure) in zip(CELLS[::2], outcomes[::2], strict=True):
        assert failure is None
        expected = train(cell, lambda _: None, hardware=CPU, folder=one)
        assert result["losses"] == pytest.approx(expected["losses"], rel=1e-5)
        assert {**result, "losses": None} == {**expected, "losses": None}
    assert {path.name for path in tmp_path.glob("*-by-*")} == {
        f"{cell.label}-{cell.seed}-by-{rank}-of-2" for cell in CELLS for rank in (0, 1)
    }
    assert (tmp_path / "writes-0").read_text().split() == [*["save"] * EPOCHS, "write"] * 2
    assert not (tmp_path / "writes-1").exists()
    assert len(list((tmp_path / "cells").iterdir())) == 2


def test_an_error_of_one_process_ends_the_run(tmp_path):
    done = torchrun(script(tmp_path), "one breaks", "good")
    assert done.returncode != 0
    assert "out of step" in done.stderr
    assert not (tmp_path / "cells").exists()


def test_the_command_line_trains_together_and_goes_on(tmp_path):
    words = ["-m", "benchmarks", "study", "rotmnist", "--quick", "--rows", "Z2CNN", "--epochs", "1"]
    words += ["--engine", "torchrun", "--accelerator", "cpu", "--out", str(tmp_path)]
    done = torchrun(*words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("report: ") == done.stdout.count("[1/1] Z2CNN, seed 1") == 1
    results = json.loads((tmp_path / "results.json").read_text())
    assert len(results["cells"]) == 1
    assert results["failures"] == []
    again = torchrun(*words)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("1 of 1 cells were finished before") == again.stdout.count("report: ") == 1
    assert json.loads((tmp_path / "results.json").read_text())["cells"] == results["cells"]


def test_without_torchrun_or_with_another_engine_it_says_what_to_do(capsys, monkeypatch, tmp_path):
    words = ["study", "rotmnist", "--quick", "--out", str(tmp_path)]
    assert main([*words, "--engine", "torchrun"]) == 2
    assert "--engine torchrun needs processes that torchrun started" in capsys.readouterr().err
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    assert main(words) == 2
    assert "add --engine torchrun" in capsys.readouterr().err
    with pytest.raises(EquiconvError, match="got --workers 3: leave it out"):
        ENGINES["torchrun"](3)
    assert not list(tmp_path.iterdir())


def test_the_devices_of_all_machines_are_taken(monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "12"}.items():
        monkeypatch.setenv(name, value)
    hardware = ENGINES["torchrun"](0, "auto").hardware
    assert (hardware.accelerator, hardware.devices, hardware.nodes) == ("cpu", 4, 3)


KILLED = """
import sys
sys.path[:0] = [{tests!r}, {root!r}]
import os, pathlib, time
from test_training import RECIPE, Hardware, fit, task
folder, seconds = pathlib.Path(sys.argv[1]), float(sys.argv[2])
(folder / f"process-{{os.getpid()}}").touch()
def wait(net):
    time.sleep(seconds)
    return {{}}
fabric = Hardware(devices=2).fabric("32-true")
history = fit(task(validate=wait), RECIPE, fabric, folder=folder / str(fabric.global_rank // int(sys.argv[3])))
if fabric.is_global_zero:
    print([epoch["loss"] for epoch in history])
"""


def test_processes_that_were_killed_go_on_to_the_bit(tmp_path):
    """Also where only the first one finds what was kept, as on machines with folders of their own."""
    path = tmp_path / "script.py"
    path.write_text(KILLED.format(tests=str(ROOT / "tests"), root=str(ROOT)))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone", str(path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([*command, str(cut), "1", "2"], env=environment, stderr=subprocess.DEVNULL) as process:
        while not (cut / "0" / "last.pt").exists():
            time.sleep(0.01)
        for found in cut.glob("process-*"):
            os.kill(int(found.name.split("-")[1]), signal.SIGKILL)
        process.kill()
    assert len(torch.load(cut / "0" / "last.pt")["history"]) < RECIPE.epochs
    runs = [torchrun(str(path), str(folder), "0", own) for folder, own in ((whole, "2"), (cut, "1"))]
    assert [run.returncode for run in runs] == [0, 0], [run.stderr for run in runs]
    assert runs[0].stdout == runs[1].stdout != ""
    first, second = (torch.load(folder / "0" / "last.pt")["net"] for folder in (whole, cut))
    assert all(torch.equal(first[name], second[name]) for name in first)
