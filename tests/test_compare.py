"""The comparison of symmetries: parser, data, protocol, resuming, report."""

import dataclasses
import io
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from benchmarks import __main__ as command_line
from benchmarks import compare as compare_module
from benchmarks import sweep as sweep_module
from benchmarks.cells import CellStore, Outcome
from benchmarks.compare import Config, compare
from benchmarks.data import load
from benchmarks.data.conditions import CONDITIONS
from benchmarks.engines import local
from benchmarks.files import write_json
from benchmarks.train import Cell, Protocol, cell_cost, run_cell
from equiconv import P4, P4M, HueShift

ROOT = Path(__file__).parent.parent
SMALL = {"budget": 3000, "epochs": 1, "seeds": 1, "quick": True, "workers": 1}
GROUPS = "P4,HueShift(3)*P4"


def recording():
    return Console(file=io.StringIO(), width=200)


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    """A run from end to end; its configuration, its folder and what it wrote on the console."""
    out = tmp_path_factory.mktemp("out")
    config = Config(dataset=str(folder), groups=GROUPS, size=14, out=str(out), **SMALL)
    console = recording()
    assert compare(config, console) == []
    return config, out, console.file.getvalue()


# -- the run ---------------------------------------------------------------------------------------------------------


def test_run_writes_everything(finished):
    config, out, log = finished
    results = json.loads((out / "results.json").read_text())
    assert [row["group"] for row in results["summary"]] == ["P4", "HueShift(3)*P4"]
    assert results["config"] == dataclasses.asdict(config)
    assert results["data"]["classes"] == ["class0", "class1", "class2"]
    assert {"equiconv", "commit", "versions", "cpu"} <= results["provenance"].keys()
    assert all(check["held"] for check in results["checks"])
    assert len(results["checks"]) == 4
    for row in results["summary"]:
        assert row["macs"] > 0 < row["peak_memory"]
        assert 0 <= row["equivariance_error"] < 1e-10
        assert set(row["curves"]["rotation"]) == {str(angle) for angle in range(0, 360, 30)}
        assert row["error"]["rotated"] == row["error"]["upright"]
    assert results["summary"][1]["error"]["both"] == results["summary"][1]["error"]["upright"]
    assert {path.name for path in out.glob("*.svg")} == {"accuracy_rotation.svg", "accuracy_hue.svg", "error_macs.svg"}
    assert (out / "table.md").read_text().count("\n") == 4
    assert "HueShift(3)*P4, seed 0: error" in log
    assert not list(out.rglob(".*"))


def test_report_is_self_contained(finished):
    page = (finished[1] / "report.html").read_text()
    loaded = re.findall(r"""(?:src|href|srcset|data)\s*=\s*["']([^"']*)""", page) + re.findall(r"url\(([^)]*)\)", page)
    assert loaded
    assert all(target.startswith(("#", "data:")) for target in loaded)
    assert not re.search(r"<(script|link|iframe)|@import", page)
    assert page.count("<svg") == 3
    assert page.count("data:image/png") == len(CONDITIONS)
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    for word in ("Quick run", "at equal parameters", "What this does not say", "--size 14", "HueShift(3)*P4"):
        assert word in page


def test_finished_cells_are_not_trained_again(finished, monkeypatch):
    config, out, _ = finished
    before = json.loads((out / "results.json").read_text())

    def refuse(*_):
        raise AssertionError("training was started")

    monkeypatch.setattr(local, "_pool", refuse)
    assert compare(config, recording()) == []
    after = json.loads((out / "results.json").read_text())
    assert after["cells"] == before["cells"]
    with pytest.raises(AssertionError, match="training was started"):
        compare(dataclasses.replace(config, epochs=2), recording())


def test_the_same_cell_gives_the_same_numbers_in_any_process(finished):
    config, out, _ = finished
    data = load(config.dataset, config.size).limited(*compare_module.QUICK_IMAGES)
    stored = json.loads((out / "results.json").read_text())["cells"][1]
    cell = Cell("HueShift(3)*P4", HueShift(3) * P4(), stored["width"], 0)
    work = []
    torch.rand(7)  # whatever happened before
    again = run_cell(cell, work.append, data=data, protocol=config.protocol)
    assert max(again.pop("equivariance_error"), stored.pop("equivariance_error")) < 1e-12  # rounding: not repeatable
    assert again == stored
    assert sum(work) == pytest.approx(cell_cost(data, config.protocol))
    other = run_cell(dataclasses.replace(cell, seed=1), work.append, data=data, protocol=config.protocol)
    assert other["losses"] != stored["losses"]


def test_a_killed_run_resumes(folder, tmp_path):
    options = ["--dataset", str(folder), "--groups", "Trivial,Flip", "--size", "14", "--seeds", "2", "--epochs", "20"]
    words = [sys.executable, "-m", "benchmarks", "compare", *options, "--budget", "600", "--workers", "1", "--quick"]
    process = subprocess.Popen([*words, "--out", str(tmp_path)], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        _wait_for(lambda: list((tmp_path / "cells").glob("*.json")), process)
    finally:
        process.kill()
        process.wait()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "cells").glob("*.json")}
    assert 1 <= len(kept) < 4
    assert not (tmp_path / "results.json").exists()
    again = subprocess.run([*words, "--out", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"{len(kept)} of 4 cells were finished before" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len(json.loads((tmp_path / "results.json").read_text())["cells"]) == 4


def _wait_for(condition, process, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the run ended by itself"
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.005)


def common(data, protocol):
    return data.fingerprint(), dataclasses.asdict(protocol)


def test_keys_depend_on_everything(folder):
    data, protocol = load(str(folder), 14), Protocol(1)
    cell = Cell("P4", P4(), 3, 0)
    store = CellStore(Path(), common(data, protocol))
    others = [dataclasses.replace(cell, **change) for change in ({"group": P4M()}, {"width": 4}, {"seed": 1})]
    paths = {store.path(one) for one in (cell, *others)}
    paths |= {
        CellStore(Path(), common(data, Protocol(2))).path(cell),
        CellStore(Path(), common(load("digits"), protocol)).path(cell),
    }
    assert len(paths) == 6
    assert store.path(dataclasses.replace(cell, label="Cyclic(4)")) == store.path(cell)


def test_a_failed_cell_does_not_lose_the_others(finished, monkeypatch, tmp_path):
    config, out, _ = finished
    good = json.loads((out / "results.json").read_text())["cells"][0]

    def one_fails(cells, *_, finished, **__):
        finished(Outcome(cells[0], None, "FloatingPointError: the loss became nan"))
        finished(Outcome(cells[1], good))

    monkeypatch.setattr(sweep_module, "run_cells", one_fails)
    console = recording()
    failed = compare(dataclasses.replace(config, out=str(tmp_path)), console)
    assert [(outcome.cell.label, outcome.cell.seed) for outcome in failed] == [("HueShift(3)*P4", 0)]
    assert "HueShift(3)*P4, seed 0 failed: FloatingPointError" in console.file.getvalue()
    assert "Incomplete" in (tmp_path / "report.html").read_text()


def test_a_loss_that_is_not_finite_stops_the_cell(folder):
    data = load(str(folder), 14)
    broken = dataclasses.replace(data, train_images=np.full_like(data.train_images, np.nan))
    with pytest.raises(FloatingPointError, match="nan in epoch 1"):
        run_cell(Cell("P4", P4(), 2, 0), lambda _: None, data=broken, protocol=Protocol(2))


# -- the command line ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--groups", "P5"], "known groups"),
        (["--seeds", "0"], "--seeds is at least 1"),
        (["--epochs", "0"], "--epochs is at least 1"),
        (["--budget", "0"], "--budget is at least 1"),
        (["--budget", "100"], "--budget 100 is too small"),
        (["--size", "15"], "even number"),
        (["--dataset", "nowhere"], "'nowhere'"),
        (["--workers", "-1"], "--workers"),
        (["--seeds", "many"], "invalid int value"),
    ],
)
def test_mistakes_are_told_in_one_line_before_training(options, message, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(sweep_module, "run_cells", None)
    assert command_line.main(["compare", *options, "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())


def test_out_that_is_a_file_is_told_before_training(capsys, monkeypatch):
    monkeypatch.setattr(sweep_module, "run_cells", None)
    assert command_line.main(["compare", "--groups", "P4", "--out", __file__]) == 2
    assert "cannot be made a folder" in capsys.readouterr().err


def test_a_failure_sets_the_exit_code(monkeypatch):
    monkeypatch.setattr(compare_module, "compare", lambda *_: ["a failed cell"])
    assert command_line.main(["compare"]) == 1


def test_json_is_written_whole_or_not_at_all(tmp_path):
    write_json(tmp_path / "a" / "x.json", {"x": 1})
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "a" / "x.json", {"x": float("nan")})
    assert json.loads((tmp_path / "a" / "x.json").read_text()) == {"x": 1}
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["x.json"]
