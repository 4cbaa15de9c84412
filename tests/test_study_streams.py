"""Studies of streamed data: end to end, whatever ended them, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from stored import coded, store, store_imagenet
from streamed import READING, TINY, tiny_study

from benchmarks.__main__ import main
from benchmarks.data import dali
from benchmarks.data.stream import CentralCut, RandomCut, batches, pick_decoder, stream
from benchmarks.networks import count_parameters
from benchmarks.studies import load_study
from benchmarks.studies.cell import StudyCell, run_cell
from benchmarks.studies.plots import draw
from benchmarks.studies.streaming import Streaming
from equiconv import EquiconvError


@pytest.fixture
def tiny(home, monkeypatch, tmp_path):
    """The study, with images to stream."""
    return tiny_study(home, monkeypatch, tmp_path)


def study_command(folder, *words):
    assert main(["study", "tiny", "--out", str(folder), *words]) == 0
    return json.loads((folder / "results.json").read_text())


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
