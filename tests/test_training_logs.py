"""Logs of a run: a table, TensorBoard, Weights & Biases."""

import csv
import sys
from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmarks.training.logs import CSVLog, LogFolder, TensorBoardLog
from equiconv import EquiconvError

HISTORY = [{"loss": 2.0}, {"loss": 1.5, "accuracy": 0.5}, {"loss": 1.0, "accuracy": 0.75}]


def written(log, epochs=range(1, 4)):
    for epoch in epochs:
        log.write(HISTORY[:epoch])


def test_the_table_has_every_epoch_and_number(tmp_path):
    written(CSVLog(tmp_path / "run.csv"))
    rows = list(csv.DictReader((tmp_path / "run.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [row["loss"] for row in rows] == ["2.0", "1.5", "1.0"]
    assert [row["accuracy"] for row in rows] == ["", "0.5", "0.75"]


def test_events_of_a_run_that_went_on_are_told_once(tmp_path):
    written(TensorBoardLog(tmp_path))
    written(TensorBoardLog(tmp_path), [3])  # killed after it was written, before the state was kept
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(1, 2.0), (2, 1.5), (3, 1.0)]


def test_weights_and_biases(monkeypatch, tmp_path):
    started, logged, ended = [], [], []
    run = SimpleNamespace(log=lambda *row, step: logged.append((*row, step)), finish=lambda: ended.append(len(logged)))
    fake = SimpleNamespace(init=lambda **options: (started.append(options), run)[1])
    monkeypatch.setitem(sys.modules, "wandb", fake)
    with LogFolder(tmp_path, ("wandb",)).opened("project", "P4CNN-seed1") as logs:
        for log in logs:
            written(log)
        assert not ended
    with pytest.raises(FloatingPointError), LogFolder(tmp_path, ("wandb",)).opened("project", "next"):
        raise FloatingPointError
    assert ended == [3, 3]  # the first before the second starts
    assert started.pop()["id"] == "next"
    assert started == [{"project": "project", "id": "P4CNN-seed1", "resume": "allow"}]
    assert logged == [(HISTORY[0], 1), (HISTORY[1], 2), (HISTORY[2], 3)]
    assert (tmp_path / "P4CNN-seed1.csv").exists()


def test_weights_and_biases_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(EquiconvError, match="pip install wandb"):
        LogFolder(tmp_path, ("wandb",))
    LogFolder(tmp_path, ("tensorboard",))
