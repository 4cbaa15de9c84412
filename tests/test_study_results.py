"""Sweeps, recipes of rows, validation, and logs."""

import csv
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.data import Dataset, load
from benchmarks.studies import Row, Study, Sweep, load_study
from benchmarks.studies import study as study_module
from benchmarks.studies.cell import StudyCell, cost, run_cell
from benchmarks.studies.supply import InMemory
from benchmarks.training import Recipe
from benchmarks.training.logs import LogFolder
from equiconv import EquiconvError

pytestmark = pytest.mark.usefixtures("inline")

RUN = sys.modules["benchmarks.studies.run"]  # the package has a function of that name
ROW = Row("tiny", "Trivial", {"width": 2, "kernel_sizes": (3, 3)})
STUDY = Study("tiny", "A tiny one", "digits", 14, 1, 1, Recipe(2, batch_size=16, learning_rate=0.02), (ROW,))


@pytest.fixture(scope="module")
def digits():
    return load("digits", 14).limited(60, 20)


def trained(data, row=ROW, study=STUDY, **options):
    return run_cell(StudyCell(row, 1), lambda _: None, data={"digits": InMemory(data, 1)}, study=study, **options)


def test_points_of_a_sweep_differ_in_one_number():
    study = load_study("rotmnist")
    widths = study.swept("width").select("P4CNN,g-P4CNN")
    assert [row.options["width"] for row in widths.rows] == [5, 10, 20, 30, 40, 50, 8, 10, 17, 34, 51, 68, 85]
    assert {row.line for row in widths.rows} == {"P4CNN", "g-P4CNN"}
    assert widths.rows[-1].options == {"width": 85, "factorization": "g"}
    assert len({row.name for row in widths.rows}) == len({str(row.key) for row in widths.rows}) == 13
    samples = study.swept("samples").rows
    assert [row.samples for row in samples[:6]] == [2000, 4000, 6000, 8000, 10000, 12000]
    assert samples[0].options == study.rows[0].options
    assert not any(row.published for row in samples)


def test_a_row_with_fewer_images_sees_the_first_ones(digits):
    few = replace(
        digits,
        train_images=np.concatenate([digits.train_images[:16], np.zeros_like(digits.train_images)]),
        train_labels=np.concatenate([digits.train_labels[:16], digits.train_labels]),
    )
    row = replace(ROW, samples=16)
    assert trained(digits, row)["losses"] == trained(few, row)["losses"]
    assert trained(digits, row)["losses"] != trained(digits)["losses"]
    data = {"digits": InMemory(digits, 1)}
    assert cost(StudyCell(row, 1), data, STUDY) < cost(StudyCell(ROW, 1), data, STUDY)
    assert trained(digits, study=replace(STUDY, samples=16))["losses"] == trained(few, row)["losses"]


def test_a_sweep_may_be_over_the_data(digits):
    """Each point has its own images, and its own key."""
    sweep = Sweep("s", "s", "std", {"tiny": (1, 20)}, "colors:{}")
    study = replace(STUDY, sweeps=(sweep,)).swept("s")
    assert study.datasets == ("colors:1", "colors:20")
    assert len({str(row.key) for row in study.rows}) == 2
    other = digits.limited(30, 20)
    data = {name: InMemory(each, 1) for name, each in (("colors:1", digits), ("colors:20", other))}
    losses = [run_cell(StudyCell(row, 1), lambda _: None, data=data, study=study)["losses"] for row in study.rows]
    assert losses == [trained(digits)["losses"], trained(other)["losses"]]
    assert losses[0] != losses[1]
    assert sweep.describe()["axis"] == "value"


def test_a_row_may_be_trained_in_its_own_way(digits):
    longer = replace(ROW, recipe={"epochs": 3})
    assert len(trained(digits, longer)["losses"]) == 3
    assert len({str(row.key) for row in (ROW, longer, replace(ROW, augment={"crop": 1}))}) == 3
    shorter = replace(STUDY, rows=(longer,)).trained({"epochs": "1"})  # what the user says goes before the file
    assert len(trained(digits, shorter.rows[0], shorter)["losses"]) == 1
    turned = trained(digits, replace(ROW, augment={"rotation": 180}))["losses"]
    assert turned == trained(digits, study=replace(STUDY, augment={"rotation": 180}))["losses"]
    assert turned != trained(digits)["losses"]


def test_what_is_measured(digits):
    result = trained(digits, study=replace(STUDY, curves=("rotation",)))
    confusion = np.array(result["confusion"])
    assert confusion.sum(1).tolist() == np.bincount(digits.test_labels, minlength=10).tolist()
    assert 1 - confusion.trace() / confusion.sum() == pytest.approx(result["error"]["test"])
    accuracy = result["curves"]["rotation"]
    assert len(accuracy) == 72
    assert accuracy[0] == pytest.approx(1 - result["error"]["test"])
    turned = replace(digits, test_images=np.rot90(digits.test_images, 1, (2, 3)).copy())
    assert accuracy[18] == pytest.approx(1 - trained(turned)["error"]["test"])


def test_few_of_the_test_images_are_moved(digits):
    few = replace(STUDY, curves=("rotation",), curve_images=7)
    result = trained(digits, study=few)
    first = replace(digits, test_images=digits.test_images[:7], test_labels=digits.test_labels[:7])
    assert result["error"] == trained(digits)["error"]
    assert result["curves"] == trained(first, study=few)["curves"]
    assert result["curves"] != trained(digits, study=replace(few, curve_images=None))["curves"]
    cell, done = StudyCell(ROW, 1), []
    data = {"digits": InMemory(digits, 1)}
    run_cell(cell, done.append, data=data, study=few)
    assert sum(done) == pytest.approx(cost(cell, data, few))


def test_normalization_is_that_of_the_row_in_training_and_test(digits):
    bright = replace(digits, train_images=digits.train_images / 2 + 0.3, test_images=digits.test_images / 2 + 0.3)
    contrast = replace(ROW, normalize=("contrast",))
    dark, light = (trained(data, contrast) for data in (digits, bright))
    assert dark["losses"] == pytest.approx(light["losses"], rel=1e-3)
    assert dark["error"] == light["error"]
    assert trained(digits)["losses"] != pytest.approx(trained(bright)["losses"], rel=1e-3)
    assert trained(digits, study=replace(STUDY, normalize=("contrast",)))["losses"] == dark["losses"]
    first = replace(STUDY, normalize=("contrast",), augment={"crop": 3})
    padded = trained(digits, study=first)["losses"]
    assert padded != trained(digits, study=replace(first, normalize_first=True))["losses"]


def test_logs_of_every_epoch(digits, tmp_path):
    result = trained(digits, logs=LogFolder(tmp_path, ("tensorboard",)))
    rows = list(csv.DictReader((tmp_path / "tiny-seed1.csv").read_text().splitlines()))
    assert [float(row["loss"]) for row in rows] == result["losses"]
    assert list((tmp_path / "tiny-seed1").glob("events.*"))


def test_validation_never_sees_the_test(monkeypatch, tmp_path):
    def poisoned(name, size):
        data = load(name, size)
        return replace(data, test_images=np.full_like(data.test_images, np.nan), test_labels=data.test_labels - 1000)

    monkeypatch.setattr(RUN, "load", poisoned)
    monkeypatch.setattr(Dataset, "limited", lambda self, *_: self)
    assert study_command(tmp_path, "--rows", "Z2CNN", "--validation", "0.9") == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["part"] == "validation"
    assert results["data"]["train"] + results["data"]["test"] == 1347
    assert "--validation 0.9" in results["runs"][0]["command"]
    assert 0 < results["rows"][0]["error"] < 100


def study_command(folder, *words):
    return main(["study", "rotmnist", "--quick", "--epochs", "1", "--workers", "1", "--out", str(folder), *words])


def small(name, size):
    return load("digits", 28).limited(40, 20)


def test_precision_of_the_command_line_is_used(monkeypatch, digits):
    kinds = []
    monkeypatch.setattr(Row, "network", lambda *_: Watched(kinds))
    trained(digits, study=STUDY.trained({"precision": "64-true"}))
    assert set(kinds) == {torch.float64}


class Watched(torch.nn.Module):
    def __init__(self, kinds):
        super().__init__()
        self.kinds, self.head = kinds, torch.nn.Linear(14 * 14, 10)

    def forward(self, x):
        if self.training:
            self.kinds.append(x.dtype)
        return self.head(x.flatten(1).to(self.head.weight.dtype))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[row]]\nname = 'a'\ngroup = 'P4'\nrecipe = {epoch = 1}", "row a: a recipe has epochs, .*; got epoch"),
        ("[[row]]\nname = 'a'\ngroup = 'P4'\naugment = {turn = 1}", "row a: augmentations are crop, .*; got turn"),
        ("[[row]]\nname = 'a'\ngroup = 'P4'\n[[row]]\nname = 'a'\ngroup = 'P4M'", "alike are a, a"),
        ("[[row]]\nname = 'a'\ngroup = 'P4'\n[[row]]\nname = 'b'\ngroup = 'P4'", "alike are a, b"),
        ("[[sweep]]\nname = 's'\ntitle = 's'\nvaries = 'width'\nvalues = {b = [1]}", "sweep s: no row b"),
    ],
)
def test_mistakes_in_a_file_are_told(text, message, monkeypatch, tmp_path):
    head = "title = 't'\ndata = 'digits'\nimage = 16\nchannels = 1\nseeds = 1\n"
    (tmp_path / "broken.toml").write_text(head + text + "\n[recipe]\nepochs = 1")
    monkeypatch.setattr(study_module, "FOLDER", tmp_path)
    monkeypatch.setattr(study_module, "STUDIES", ("broken",))
    with pytest.raises(EquiconvError, match=message):
        load_study("broken")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sweep", "depth"], "--sweep: rotmnist has width, samples; got 'depth'"),
        (["--set", "epochs"], "--set takes NAME=VALUE; got epochs"),
        (["--set", "epoch=1"], "a recipe has epochs, "),
        (["--set", "epochs=x"], "epochs of a recipe is int; got 'x'"),
        (["--set", "compiled=2"], "compiled of a recipe is bool; got '2'"),
        (["--validation", "1.5"], "a validation part is a share between 0 and 1"),
        (["--first-seed", "0"], "--first-seed is at least 1; got 0"),
    ],
)
def test_mistakes_on_the_command_line_are_told(options, message, capsys, tmp_path):
    assert main(["study", "rotmnist", "--quick", *options, "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_table_of_what_is_finished(monkeypatch, tmp_path):
    monkeypatch.setattr(RUN, "load", small)
    assert study_command(tmp_path, "--rows", "Z2CNN") == 0
    assert study_command(tmp_path, "--rows", "Z2CNN,P4CNN", "--finished") == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert [(row["name"], row["seeds"]) for row in results["rows"]] == [("Z2CNN", 1), ("P4CNN", 0)]
    assert results["failures"] == []


def test_more_images_than_there_are_are_refused_and_few_keep_their_ratio(digits):
    study = load_study("rotmnist").swept("samples").shrunk(600)
    assert [row.samples for row in study.rows[:6]] == [100, 200, 300, 400, 500, 600]
    assert replace(STUDY, samples=1000).shrunk(60).samples == 60
    with pytest.raises(EquiconvError, match="tiny wants 61 training images, and there are 60: choose other --rows"):
        replace(STUDY, samples=61).check({"digits": InMemory(digits, 1)})
    replace(STUDY, samples=60).check({"digits": InMemory(digits, 1)})


def test_a_row_named_twice_is_run_once():
    assert [row.name for row in load_study("rotmnist").select("P4CNN,Z2CNN,P4CNN").rows] == ["P4CNN", "Z2CNN"]


def test_a_sweep_without_its_row():
    with pytest.raises(EquiconvError, match="sweep s: no row b; the rows: tiny"):
        Sweep("s", "s", "width", {"b": (1,)}).rows({"tiny": ROW})
