"""Studies of streamed data: the same numbers however many processes there are, and whatever ended them."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from stored import coded, store, store_imagenet
from torch import nn

from benchmarks.__main__ import main
from benchmarks.data import Dataset, dali
from benchmarks.data.stream import CentralCut, RandomCut, batches, pick_decoder, stream
from benchmarks.engines import ENGINES, Done
from benchmarks.engines.local import Local
from benchmarks.networks import count_parameters
from benchmarks.studies import Row, Study, load_study
from benchmarks.studies import study as study_module
from benchmarks.studies.cell import StudyCell, run_cell
from benchmarks.studies.columns import markdown
from benchmarks.studies.plots import draw
from benchmarks.studies.scores import measured
from benchmarks.studies.streaming import Reading, Streaming
from benchmarks.studies.supply import InMemory
from benchmarks.studies.table import summarize
from benchmarks.training import Hardware, Images, Recipe, Task, fit
from equiconv import EquiconvError

ROOT = Path(__file__).parent.parent
RUN = sys.modules["benchmarks.studies.run"]  # the package has a function of that name
SHARDS = 6, 6, 6, 6
READING = Reading(readers=0, decoder="pil")
TINY = """
title = "A tiny one"
data = "imagenet"
image = 32
channels = 3
seeds = 1
augment = { mirror = 0.5 }
normalize = ["common"]
curves = ["hue-linear"]
[recipe]
epochs = 2
batch_size = 5
learning_rate = 0.05
optimizer = "sgd"
schedule = "milestones"
milestones = [60]
warmup = 45
told_for = 90
[reading]
readers = 0
[categories]
even = [[0, 0], [2, 2], [4, 4]]
"odd and more" = [[1, 1], [3, 3], [5, 23]]
[[row]]
name = "tiny"
group = "HueShift(3)"
options = { width = 2, kernel_sizes = [3, 3] }
"""


class Inline(Local):
    """An engine that runs cells in this process."""

    def run(self, cells, work, tell):
        for index, cell in cells.items():
            tell(Done(index, work(cell, lambda _: None)))


def small(monkeypatch, folder):
    """Make a tiny study, and no pass over a stream wait for threads."""
    monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)
    monkeypatch.setattr("datasets.config.HF_UPDATE_DOWNLOAD_COUNTS", False)
    monkeypatch.setitem(ENGINES, "local", Inline)
    (folder / "tiny.toml").write_text(TINY)
    monkeypatch.setattr(study_module, "FOLDER", folder)
    monkeypatch.setattr(study_module, "STUDIES", ("tiny",))
    monkeypatch.setattr(RUN, "STUDIES", ("tiny",))


@pytest.fixture
def tiny(home, monkeypatch, tmp_path):
    """The study, with images to stream."""
    store_imagenet(home, SHARDS)
    small(monkeypatch, tmp_path)
    return load_study("tiny")


def study_command(folder, *words):
    assert main(["study", "tiny", "--out", str(folder), *words]) == 0
    return json.loads((folder / "results.json").read_text())


# -- what is counted -------------------------------------------------------------------------------------------------


class Shown(nn.Module):
    """Take an image for the class that its gray value is, then for those nearest to it."""

    def __init__(self, classes):
        super().__init__()
        self.numbers = nn.Parameter(torch.arange(classes, dtype=torch.float32))

    def forward(self, x):
        return -((255 * x[:, 0, 0, 0, None] - self.numbers) ** 2)


def shades(classes, labels, values):
    """Return a data set whose test images are plain gray."""
    images = np.array(values, np.uint8)[:, None, None, None].repeat(3, 1)
    names = tuple(f"class {number}" for number in range(classes))
    return Dataset("shades", "Shades.", names, images, np.array(labels), images, np.array(labels))


def found(data, curves=()):
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    return measured(Shown(len(data.classes)).eval(), InMemory(data, 3), curves, fabric, lambda _: None)


LABELS = [0, 0, 0, 3, 3, 3, 11, 11, 5, 5]
VALUES = [0, 2, 3, 3, 5, 9, 11, 7, 5, 6]  # the classes that they are taken for


def test_errors_are_counted_at_first_and_among_five():
    result = found(shades(12, LABELS, VALUES), ("hue-linear",))
    assert result["error"] == {"test": pytest.approx(0.6)}
    among = [abs(label - value) <= 2 or value <= 2 >= label - 2 for label, value in zip(LABELS, VALUES, strict=True)]
    assert among == [True, True, False, True, True, False, True, False, True, True]
    assert result["error_top5"] == pytest.approx(0.3)
    assert result["curves"] == {"hue-linear": pytest.approx([0.4] * 37)}  # gray has no hue
    assert result["curves_top5"] == {"hue-linear": pytest.approx([0.7] * 37)}
    assert result["by_class"]["right"] == [1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1]
    assert result["by_class"]["images"] == [3, 0, 0, 3, 0, 2, 0, 0, 0, 0, 0, 2]
    assert result["confusion"][3] == [0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0]


def test_few_classes_have_no_top_five_and_many_no_table_of_what_is_taken_for_what():
    few, many = found(shades(10, [1, 2], [1, 3])), found(shades(130, [1, 129], [1, 129]))
    assert not {"error_top5", "curves_top5"} & few.keys()
    assert many["confusion"] is None
    assert many["error_top5"] == 0
    assert sum(many["by_class"]["right"]) == 2


def test_errors_of_categories():
    row, recipe = Row("tiny", "Trivial"), Recipe(1)
    ranges = {"low": ((0, 3),), "rest": ((4, 10), (11, 11))}
    study = Study("s", "s", "shades", 1, 3, 1, recipe, (row,), categories=ranges)
    results = [found(shades(12, LABELS, values)) for values in (VALUES, LABELS)]
    made = summarize(row, study, results, {"parameters": 1, "macs": 1e6, "peak_memory": 0})
    assert made["categories"]["low"]["error"] == pytest.approx(100 * (4 / 6) / 2)
    assert made["categories"]["rest"]["error"] == pytest.approx(100 * (2 / 4) / 2)
    assert made["error_top5"] == pytest.approx(15)
    header, _, line = markdown({"part": "test", "sweep": None, "rows": [made], "categories": ranges}).splitlines()
    assert "| top-5 error (%) | low (%) | rest (%) |" in header
    assert "| 15.00 ± 21.21 | 33.33 ± 47.14 | 25.00 ± 35.36 |" in line


# -- end to end ------------------------------------------------------------------------------------------------------


def test_the_command_streams_trains_and_tests(tiny, tmp_path):
    results = study_command(tmp_path / "out", "--readers", "0")
    assert results["data"]["train"] == 24
    assert "NOT COMPLETE: 24 + 5 of 1,281,167 + 50,000 images" in results["data"]["description"]
    assert results["data"]["train_by_class"] == [1] * 24
    assert results["data"]["guessing_error"] == pytest.approx(0.8)
    (cell,), (row,) = results["cells"], results["rows"]
    assert sum(cell["by_class"]["images"]) == 5
    assert row["error"] == pytest.approx(100 * (1 - sum(cell["by_class"]["right"]) / 5))
    assert row["error_top5"] <= row["error"]
    right, images = (np.array(cell["by_class"][name]) for name in ("right", "images"))
    assert images.tolist() == [1] * 5 + [0] * 19
    assert row["categories"]["even"]["error"] == pytest.approx(100 * (1 - right[[0, 2, 4]].mean()))
    curve = cell["curves"]["hue-linear"]
    assert curve[18] == curve[6] == curve[30]  # the network and its images are invariant to thirds of a turn
    assert {"tiny_categories", "tiny_curve_hue-linear", "tiny_curve_top5_hue-linear"} <= {
        plot.name for plot in draw(results)
    }
    assert "--readers 0" in results["runs"][0]["command"]


def test_a_run_that_was_killed_goes_on_to_the_same_numbers(tiny, tmp_path):
    (row,) = tiny.rows
    data = {"imagenet": Streaming("imagenet", 32, READING)}

    def run(folder, report=lambda _: None):
        result = run_cell(StudyCell(row, 1), report, data=data, study=tiny, scratch=lambda _: folder)
        return {name: value for name, value in result.items() if name != "seconds"}

    seen = []

    def interrupt(work):
        seen.append(work)
        if sum(seen) > 30:  # in the second epoch
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", interrupt)
    assert len(torch.load(tmp_path / "cut" / "last.pt")["history"]) == 1
    assert run(tmp_path / "cut") == run(tmp_path / "whole")


def test_a_quick_run_is_on_a_few_small_digits(tiny, tmp_path):
    large = TINY.replace("image = 32", "image = 224\nquick = [40, 20]")
    (tmp_path / "tiny.toml").write_text(large)
    results = study_command(tmp_path / "out", "--quick", "--epochs", "1")
    assert (results["data"]["size"], results["data"]["train"]) == (33, 40)
    assert results["categories"] == {}
    assert "error_top5" not in results["cells"][0]


# -- several processes -----------------------------------------------------------------------------------------------


def numbers_of(processes=1):
    """Return what a network of fixed weights does on images in memory and on a stream."""
    fabric = Hardware(devices=processes).fabric("32-true")
    torch.manual_seed(3)
    net = nn.Sequential(nn.Conv2d(3, 4, 5, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 24))
    images = np.random.default_rng(0).integers(0, 255, (7, 3, 16, 16), dtype=np.uint8)
    memory = Dataset("m", "m", tuple(map(str, range(24))), images, np.arange(7), images, np.arange(7))
    supplies = InMemory(memory, 3), Streaming("imagenet", 32, READING)
    return [measured(net.eval(), supply, ("hue-linear",), fabric, lambda _: None) for supply in supplies]


def trained_buffers():
    """Return the batch statistics after each process has trained on its own part of each batch."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2))
    feed = Images(torch.rand(10, 3, 2, 2), torch.arange(10) % 2)
    fit(Task(net, feed), Recipe(1, batch_size=4), Hardware(devices=2).fabric("32-true"))
    return net[0].running_mean.tolist()


TOGETHER = """
import sys
sys.path[:0] = [{tests!r}, {root!r}]
import json, os, pathlib
import pytest, torch
import test_study_streams as streams
torch.set_num_threads(1)
folder = pathlib.Path({folder!r})
streams.small(pytest.MonkeyPatch(), folder)
found = [streams.numbers_of(2), streams.trained_buffers()]
(folder / f"found-{{os.environ['RANK']}}.json").write_text(json.dumps(found))
sys.exit(streams.main(["study", "tiny", "--engine", "torchrun", "--out", str(folder / "out")]))
"""


def test_two_processes_share_the_test_and_lose_no_image(tiny, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(TOGETHER.format(tests=str(ROOT / "tests"), root=str(ROOT), folder=str(tmp_path)))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone", str(script)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    (first, buffers), (second, same) = (json.loads((tmp_path / f"found-{rank}.json").read_text()) for rank in (0, 1))
    assert first == second == json.loads(json.dumps(numbers_of()))
    assert [sum(result["by_class"]["images"]) for result in first] == [7, 5]
    assert buffers == same
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["failures"] == []
    assert sum(results["cells"][0]["by_class"]["images"]) == 5
    assert "torchrun --nproc_per_node=2" in results["runs"][0]["command"]


def test_every_image_of_the_test_is_one_process_s(tiny):
    streamed = Streaming("imagenet", 32, READING)
    memory = InMemory(shades(12, LABELS, VALUES), 3)
    for supply, expected in ((streamed, [0, 1, 2, 3, 4]), (memory, sorted(LABELS))):
        for world in (1, 2, 3, 11):
            shared = [labels for rank in range(world) for _, labels in supply.tests(rank, world)]
            assert sorted(torch.cat(shared).tolist()) == expected


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words", "message"),
    [
        ((), ["--validation", "0.1"], "--validation takes images in memory, and imagenet is streamed: leave it out"),
        ((), ["--readers", "-1"], "--readers is at least 0; got -1"),
        ((), ["--quick", "--decoder", "pil"], "--decoder is about streams, and these images are in memory"),
        (('"imagenet"', '"digits"'), ["--readers", "1"], "--readers is about streams, and these images are in memory"),
        (("seeds = 1", "seeds = 1\nsamples = 9"), [], "tiny: imagenet is streamed, all of it; got samples = 9"),
        (('["common"]', '["whiten"]'), [], "whiten is fitted to images in memory: normalize otherwise"),
        (("[5, 23]", "[5, 24]"), [], "tiny: categories go to class 24; got 24 classes"),
        (("[5, 23]", "[4, 23]"), [], "tiny: categories are ranges of classes that do not overlap"),
        (("[5, 23]", "[23, 5]"), [], "tiny: categories are ranges of classes that do not overlap"),
        (("readers = 0", "area = [0.5, 0.1]"), [], "area and share are shares above 0"),
        (("readers = 0", "reader = 0"), [], "tiny, reading: unknown reader; known: area, aspect, share, readers"),
        ((), ["--decoder", "dali"], "decoding by DALI needs nvidia.dali, which is not installed"),
    ],
)
def test_what_makes_no_sense_is_refused(change, words, message, tiny, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(dali, "is_installed", lambda: False)
    if change:
        assert change[0] in TINY
        (tmp_path / "tiny.toml").write_text(TINY.replace(*change))
    assert main(["study", "tiny", *words, "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_test_images_without_labels_are_refused(tiny, home):
    store(home / "imagenet" / "test-00000-of-00001.parquet", coded(2, 64), [-1, -1], [f"n{i}" for i in range(24)])
    with pytest.raises(EquiconvError, match="expected labels from 0 to 23; got -1 to -1: take the validation images"):
        Streaming("imagenet", 32, READING)


def test_a_damaged_image_ends_all_processes(tiny, home):
    """It is no error of all of them, which the others would share."""
    import datasets

    path = home / "imagenet" / "test-00000-of-00001.parquet"
    data = datasets.Dataset.from_parquet(str(path)).cast_column("image", datasets.Image(decode=False))
    data.map(lambda row: {"image": {"bytes": row["image"]["bytes"][:50], "path": None}}).to_parquet(str(path))
    with pytest.raises(RuntimeError, match="cannot be decoded"):
        list(Streaming("imagenet", 32, READING).tests(0, 1))


def test_the_fingerprint_is_that_of_the_files_and_of_the_cuts(tiny, home):
    def fingerprint(**changes):
        return Streaming("imagenet", 32, replace(READING, **changes)).fingerprint()

    one = fingerprint()
    assert fingerprint(readers=3) == one
    assert len({one, fingerprint(share=1.0), fingerprint(area=(0.2, 1.0)), fingerprint(decoder="dali")}) == 4
    store_imagenet(home, (6, 6, 6, 5))
    assert fingerprint() != one


# -- DALI ------------------------------------------------------------------------------------------------------------


def test_dali_is_taken_where_it_is_and_a_gpu_computes(monkeypatch):
    for installed, on_gpu in ((True, "dali"), (False, "pil")):
        monkeypatch.setattr(dali, "is_installed", lambda there=installed: there)
        assert [pick_decoder("auto", accelerator) for accelerator in ("cpu", "cuda")] == ["pil", on_gpu]
        assert pick_decoder("pil", "cuda") == "pil"
    with pytest.raises(EquiconvError, match=r"needs nvidia\.dali, which is not installed: pip install"):
        pick_decoder("dali", "cuda")


def test_dali_is_told_rows_before_columns():
    (columns,) = dali._columns([[{"encoded": b"ab", "box": [1.0, 2.0, 3.0, 4.0], "label": 7}]])
    assert [column[0].tolist() for column in columns] == [[97, 98], [2, 1], [4, 3], [7]]


def passed(split, cut, decoder):
    torch.manual_seed(0)
    part = stream("imagenet", split, cut, size=32, decoder=decoder)
    images, labels = zip(*batches(part, 7), strict=True)
    return torch.cat(images), torch.cat(labels)


@pytest.mark.parametrize(("split", "cut"), [("train", RandomCut()), ("test", CentralCut())])
def test_dali_sees_what_the_plain_path_sees(split, cut, tiny):
    pytest.importorskip("nvidia.dali", reason="DALI is not installed")
    (images, labels), (expected, same) = passed(split, cut, "dali"), passed(split, cut, "pil")
    assert labels.tolist() == same.tolist()
    assert images.dtype == torch.uint8
    assert images.shape == expected.shape
    apart = (images.int() - expected.int()).abs().float()
    assert apart.mean() < 1.5
    turned = (images.transpose(2, 3).int() - expected.int()).abs().float()
    assert turned.mean() > 10 * apart.mean()


# -- the rows of the published table ---------------------------------------------------------------------------------


def test_parameters_on_imagenet_are_those_published_and_what_is_added_has_no_more():
    study = load_study("imagenet-color")
    with torch.device("meta"):
        counts = [count_parameters(row.network(3, 1000)) for row in study.rows]
    known = [row.published["parameters"] for row in study.rows if row.published]
    assert counts[: len(known)] == known
    assert len(known) == 12
    assert all(0.9 * counts[0] <= count <= counts[0] for count in counts[len(known) :])


def test_categories_of_imagenet_are_all_classes_once():
    ranges = [each for category in load_study("imagenet-color").categories.values() for each in category]
    assert sorted(number for first, last in ranges for number in range(first, last + 1)) == list(range(1000))
