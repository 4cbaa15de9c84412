"""The comparison of symmetries: parser, data, protocol, resuming, report."""

import dataclasses
import io
import json
import re
import subprocess
import sys
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from torch import nn

from benchmarks import __main__ as command_line
from benchmarks import cells as cells_module
from benchmarks import compare as compare_module
from benchmarks import measure, networks
from benchmarks.cells import CellStore, Outcome
from benchmarks.compare import Config, compare
from benchmarks.data import load
from benchmarks.data.dataset import stratified
from benchmarks.data.moves import CONDITIONS, hue_shifted, moved, rotated
from benchmarks.files import write_json
from benchmarks.groups import KNOWN, parse_groups
from benchmarks.summary import answer, checks, contains, spread
from benchmarks.train import Cell, Protocol, cell_cost, run_cell
from equiconv import P4, P4M, Cyclic, EquiconvError, Flip, HueShift, Trivial

ROOT = Path(__file__).parent.parent
SMALL = {"budget": 3000, "epochs": 1, "seeds": 1, "quick": True, "workers": 1}
GROUPS = "P4,HueShift(3)*P4"


def recording():
    return Console(file=io.StringIO(), width=200)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of images: 3 classes of 10, told apart by a bright corner-to-corner pattern."""
    root = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    for label in range(3):
        (root / f"class{label}").mkdir()
        for index in range(10):
            pixels = generator.integers(0, 80, (20, 24, 3), dtype=np.uint8)
            pixels[4 : 8 + 4 * label, 6:12, 0] = 255
            Image.fromarray(pixels).save(root / f"class{label}" / f"{index}.png")
    return root


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    """A run from end to end; its configuration, its folder and what it wrote on the console."""
    out = tmp_path_factory.mktemp("out")
    config = Config(dataset=str(folder), groups=GROUPS, size=14, out=str(out), **SMALL)
    console = recording()
    assert compare(config, console) == []
    return config, out, console.file.getvalue()


# -- groups ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("P4", [P4()]),
        ("HueShift(3)*P4, P4M()", [HueShift(3) * P4(), P4M()]),
        (" Cyclic(2) ,Flip,Trivial()", [Cyclic(2), Flip(), Trivial()]),
        ("Flip(0.0)*(HueShift(3)*Cyclic(2)),Flip(-1)", None),
    ],
)
def test_groups_are_read(text, groups):
    found = [named.group for named in parse_groups(text)] if groups else None
    assert found == groups if groups else parse_groups(text)[0].group.order == 12
    again = ",".join(named.label for named in parse_groups(text))
    assert [named.group for named in parse_groups(again)] == [named.group for named in parse_groups(text)]


@pytest.mark.parametrize(
    "text",
    [
        *[
            "__import__('os').system('true')",
            "P4.order",
            "P4[0]",
            "(lambda: 0)()",
            "P5",
            "exec('1')",
            "P4+P4M",
            "",
            "()",
            "P4*",
            "P4(3)",
        ],
        *["Cyclic('4')", "Cyclic(n=4)", "Cyclic(10**9)", "Cyclic(1000000)", "Cyclic(True)", "P4*2", "[P4]", "*P4"],
        "HueShift(99)*HueShift(99)",
        "(" * 999,
        "P4*" * 9999 + "P4",
    ],
)
def test_what_is_not_a_group_lists_the_known_ones(text):
    with pytest.raises(EquiconvError) as caught:
        parse_groups(text)
    assert all(name in str(caught.value) for name in KNOWN)
    assert "\n" not in str(caught.value)


def test_a_group_named_twice_is_refused():
    with pytest.raises(EquiconvError, match="P4 and Cyclic"):
        parse_groups("P4,Trivial,Cyclic(4)")


# -- data ------------------------------------------------------------------------------------------------------------


def test_digits_are_the_same_every_time_balanced_and_reddish():
    one, two = load("digits", 14), load("digits", 14)
    assert one.fingerprint() == two.fingerprint() != load("digits", 16).fingerprint()
    for labels in (one.train_labels, one.test_labels):
        counts = np.bincount(labels)
        assert len(counts) == 10
        assert counts.max() - counts.min() <= 0.1 * counts.max()
    assert len(one.train_labels) + len(one.test_labels) == 1797
    for images in (one.train_images, one.test_images):
        assert images.min() >= 0 <= images.max() <= 1
        red, green, blue = images.sum((2, 3)).T
        assert (red > 1.2 * green).all()
        assert (red > 1.2 * blue).all()


def test_split_is_disjoint_and_stratified():
    labels = np.repeat([0, 1, 2], [2, 40, 8])
    first, second = stratified(labels, 0.25)
    assert sorted([*first, *second]) == list(range(50))
    assert np.bincount(labels[second]).tolist() == [1, 10, 2]
    assert not np.array_equal(second, np.sort(second)[::-1])


def test_conditions_move_images_as_they_say():
    x = torch.rand(2, 3, 6, 6, dtype=torch.float64)
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
    assert torch.equal(rotated(x, 90)[..., 0, 0], x[..., 0, -1])  # counter-clockwise: top right goes to top left
    assert hue_shifted(red, 120).flatten().tolist() == [0, 1, 0]
    assert hue_shifted(red, 60).flatten().tolist() == pytest.approx([1, 1, 0])
    assert torch.allclose(hue_shifted(hue_shifted(x, 75), 45), hue_shifted(x, 120))
    assert [len(set(moves)) for moves in CONDITIONS.values()] == [1, 3, 2, 6]
    assert torch.equal(moved(x, (180, 240)), torch.stack([x[:, 1], x[:, 2], x[:, 0]], 1).flip(-1, -2))


def test_rotation_between_quarter_turns_goes_the_same_way():
    x = torch.zeros(1, 1, 21, 21, dtype=torch.float64)
    x[..., 9:12, 17:20] = 1  # on the right
    turned = rotated(x, 30)[0, 0]
    rows, columns = torch.meshgrid(torch.arange(21.0) - 10, torch.arange(21.0) - 10, indexing="ij")
    y, across = -(turned * rows).sum() / turned.sum(), (turned * columns).sum() / turned.sum()
    assert torch.rad2deg(torch.atan2(y, across)).item() == pytest.approx(30, abs=1)
    for angle in (30, 45, 75):
        assert torch.equal(rotated(x, angle + 90), torch.rot90(rotated(x, angle), 1, (-2, -1)))


def test_folder_is_read_and_split(folder):
    data = load(str(folder), 14)
    assert data.classes == ("class0", "class1", "class2")
    assert data.train_images.shape == (24, 3, 14, 14)
    assert np.bincount(data.test_labels).tolist() == [2, 2, 2]
    assert load(str(folder), 14).fingerprint() == data.fingerprint()
    assert data.test_images[data.test_labels == 2].mean() > data.test_images[data.test_labels == 0].mean() + 0.02


def test_folder_with_train_and_test_is_not_split_again(folder, tmp_path):
    (tmp_path / "train").symlink_to(folder)
    (tmp_path / "test").symlink_to(folder)
    data = load(str(tmp_path), 14)
    assert len(data.train_labels) == len(data.test_labels) == 30


def _image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 14)).save(path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "found 0"),
        (["a/1.png", "a/2.png"], "at least 2 classes; found 1"),
        (["a/1.png", "a/2.png", "b/1.png"], "b: a class needs at least 2 images"),
        (["a/1.png", "a/2.png", "b/1.txt", "b/2.txt"], "b: a class needs at least 2 images"),
        (["a/1.png", "a/2.png", "b/1.png", "b/broken.png"], "broken.png: cannot be read as an image"),
        (["train/a/1.png", "train/b/1.png", "test/a/1.png", "test/c/1.png"], "only one of them has: b, c"),
    ],
)
def test_folders_that_cannot_be_used(tmp_path, files, message):
    for file in files:
        path = tmp_path / file
        if path.suffix == ".txt" or path.stem == "broken":
            path.parent.mkdir(exist_ok=True)
            path.write_text("no image")
        else:
            _image(path)
    with pytest.raises(EquiconvError, match=re.escape(message)):
        load(str(tmp_path), 14)


# -- networks and costs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [Trivial(), HueShift(3) * P4()])
@pytest.mark.parametrize("budget", [900, 11000])
def test_width_is_the_nearest_to_the_budget(group, budget):
    distance = {
        width: abs(networks.count_parameters(networks.network(group, width, 10)) - budget) for width in range(1, 24)
    }
    assert networks.nearest_width(group, budget, 10) == min(distance, key=distance.get)


def test_memory_is_counted_as_by_hand():
    x = torch.zeros(100)  # 400 bytes
    with measure.LiveMemory([x]) as memory:
        y = x + 1  # 800
        z = y.view(10, 10)  # the same storage
        del y
        a = z * 2  # 1200
        del z  # 800
        b = a[:5] + 1  # 1000
        assert memory.live == 1000
        del a, b
    assert (memory.live, memory.peak) == (400, 1200)


def test_memory_of_a_step_is_counted_as_by_hand():
    class Expanded(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(2))  # 8 bytes

        def forward(self, x):
            big = x.double().sum()  # the copy of the images in double precision is the peak of the step
            return (self.scale * big.float()).expand(len(x), 2)

    images = 4 * 3 * 8 * 8 * 4
    labels, sums = 4 * 8, 8
    assert measure.peak_memory(Expanded(), 8, 4) == 8 + images + labels + 2 * images + sums
    net = networks.network(P4(), 2, 3)
    peaks = [measure.peak_memory(net, 16, batch) for batch in (2, 4, 6, 2)]
    assert peaks[0] == peaks[3]
    assert peaks[2] - peaks[1] == pytest.approx(peaks[1] - peaks[0], rel=0.05)


def test_macs_are_counted_as_by_hand():
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Flatten(), nn.Linear(5 * 36, 7))
    assert measure.macs(net, 8) == 5 * 3 * 9 * 36 + 5 * 36 * 7


def test_time_ratios_compare_rounds_with_each_other():
    assert measure.time_ratios([[2.0, 40.0, 6.0], [1.0, 10.0, 2.0]], [1.0, 10.0, 2.0]) == [3.0, 1.0]


# -- checks and words ------------------------------------------------------------------------------------------------


def test_which_groups_promise_what():
    promised = {
        named.label: [name for name, moves in CONDITIONS.items() if contains(named.group, moves)]
        for named in parse_groups("Trivial,P4,HueShift(3),HueShift(6),HueShift(2),Cyclic(2),HueShift(3)*P4M,Cyclic(8)")
    }
    assert promised == {
        "Trivial": ["upright"],
        "P4": ["upright", "rotated"],
        "HueShift(3)": ["upright", "hue-shifted"],
        "HueShift(6)": ["upright", "hue-shifted"],
        "HueShift(2)": ["upright"],
        "Cyclic(2)": ["upright"],
        "HueShift(3)*P4M": ["upright", "rotated", "hue-shifted", "both"],
        "Cyclic(8)": ["upright", "rotated"],
    }


def _row(group, order, upright, moved_error):
    error = {name: spread(upright if name == "upright" else moved_error) for name in CONDITIONS}
    return {"group": group, "order": order, "error": error, "changed": dict.fromkeys(CONDITIONS, 0.25)}


def test_answer_names_winner_ties_and_the_safest():
    rows = [
        _row("Trivial", 1, [0.010, 0.014], [0.8, 0.9]),
        _row("P4", 4, [0.013, 0.017], [0.1, 0.1]),
        _row("P4M", 8, [0.2, 0.2], [0.05, 0.05]),
    ]
    text = answer(rows)
    assert "P4M is the safest of these: its worst error under the four conditions is 20.0 %" not in " ".join(text)
    assert "P4 is the safest" in text[0]
    upright = next(line for line in text if "upright)" in line)
    assert "Trivial has the lowest test error: 1.2 ± 0.3 %; P4 is within the spread." in upright
    assert "85.0 ± 7.1 %" in next(line for line in text if "turned by" in line)


def test_one_group_alone_wins_nothing():
    assert "has a test error of 1.2 %" in answer([_row("P4", 4, [0.012], [0.5])])[0]
    assert "lowest" not in " ".join(answer([_row("P4", 4, [0.012], [0.5])]))


def test_a_broken_promise_is_told():
    held = checks(parse_groups("P4"), [_row("P4", 4, [0.1], [0.1])])
    assert held == [{"group": "P4", "condition": "rotated", "held": False}]


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
    assert "HueShift(3)*P4, seed 0: test error" in log
    assert not list(out.rglob(".*"))


def test_report_is_self_contained(finished):
    page = (finished[1] / "report.html").read_text()
    loaded = re.findall(r"""(?:src|href|srcset|data)\s*=\s*["']([^"']*)""", page) + re.findall(r"url\(([^)]*)\)", page)
    assert loaded
    assert all(target.startswith(("#", "data:")) for target in loaded)
    assert not re.search(r"<(script|link|iframe)|@import", page)
    assert page.count("<svg") == 3
    assert page.count("data:image/png") == 4
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    for word in ("Quick run", "at equal parameters", "What this does not say", "--size 14", "HueShift(3)*P4"):
        assert word in page


def test_finished_cells_are_not_trained_again(finished, monkeypatch):
    config, out, _ = finished
    before = json.loads((out / "results.json").read_text())

    def refuse(*_):
        raise AssertionError("training was started")

    monkeypatch.setattr(cells_module, "_pool", refuse)
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
    again = run_cell(cell, data, config.protocol, work.append)
    assert max(again.pop("equivariance_error"), stored.pop("equivariance_error")) < 1e-12  # rounding: not repeatable
    assert again == stored
    assert sum(work) == pytest.approx(cell_cost(data, config.protocol))
    other = run_cell(dataclasses.replace(cell, seed=1), data, config.protocol, work.append)
    assert other["losses"] != stored["losses"]


def test_a_killed_run_resumes(folder, tmp_path):
    options = ["--dataset", str(folder), "--groups", "Trivial,Flip", "--size", "14", "--seeds", "2", "--epochs", "60"]
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


def test_keys_depend_on_everything(folder):
    data, protocol = load(str(folder), 14), Protocol(1)
    cell = Cell("P4", P4(), 3, 0)
    store = CellStore(Path(), data, protocol)
    others = [dataclasses.replace(cell, **change) for change in ({"group": P4M()}, {"width": 4}, {"seed": 1})]
    paths = {store.path(one) for one in (cell, *others)}
    paths |= {CellStore(Path(), data, Protocol(2)).path(cell), CellStore(Path(), load("digits"), protocol).path(cell)}
    assert len(paths) == 6
    assert store.path(dataclasses.replace(cell, label="Cyclic(4)")) == store.path(cell)


def test_a_failed_cell_does_not_lose_the_others(finished, monkeypatch, tmp_path):
    config, out, _ = finished
    good = json.loads((out / "results.json").read_text())["cells"][0]

    def one_fails(cells, *_, finished, **__):
        finished(Outcome(cells[0], None, "FloatingPointError: the loss became nan"))
        finished(Outcome(cells[1], good))

    monkeypatch.setattr(compare_module, "run_cells", one_fails)
    console = recording()
    failed = compare(dataclasses.replace(config, out=str(tmp_path)), console)
    assert [(outcome.cell.label, outcome.cell.seed) for outcome in failed] == [("HueShift(3)*P4", 0)]
    assert "HueShift(3)*P4, seed 0 failed: FloatingPointError" in console.file.getvalue()
    assert "Incomplete" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("error", "words"),
    [(FloatingPointError("nan"), "FloatingPointError: nan"), (BrokenProcessPool("gone"), "out of memory?")],
)
def test_what_goes_wrong_in_a_worker_is_told_and_not_stored(error, words, folder, tmp_path):
    future = Future()
    future.set_exception(error)
    cell = Cell("P4", P4(), 3, 0)
    store = CellStore(tmp_path, load(str(folder), 14), Protocol(1))
    outcome = cells_module._settle(cell, future, store)
    assert outcome.result is None
    assert words in outcome.failure
    assert not list(tmp_path.iterdir())
    assert store.read(cell) is None


def test_a_loss_that_is_not_finite_stops_the_cell(folder):
    data = load(str(folder), 14)
    broken = dataclasses.replace(data, train_images=np.full_like(data.train_images, np.nan))
    with pytest.raises(FloatingPointError, match="nan in epoch 1"):
        run_cell(Cell("P4", P4(), 2, 0), broken, Protocol(2), lambda _: None)


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
    monkeypatch.setattr(compare_module, "run_cells", None)
    assert command_line.main(["compare", *options, "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())


def test_out_that_is_a_file_is_told_before_training(capsys, monkeypatch):
    monkeypatch.setattr(compare_module, "run_cells", None)
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
