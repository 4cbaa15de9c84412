"""Rows that a loss teaches, and equivariance that is watched while a network trains."""

import json
from dataclasses import asdict, replace

import pytest
import torch
from test_study_results import STUDY
from torch import nn

from benchmarks.cells import Outcome
from benchmarks.data import load
from benchmarks.files import write_json
from benchmarks.studies import Row, load_study
from benchmarks.studies import study as study_module
from benchmarks.studies.cell import StudyCell, run_cell
from benchmarks.studies.implicit import Taught, Watched
from benchmarks.studies.results import joined, study_results
from benchmarks.studies.supply import InMemory
from benchmarks.studies.table import costs, summarize
from equiconv import EquiconvError, GroupConv2d
from equiconv.groups import P4, Cyclic
from equiconv.layers import ChannelMaxPool, GroupPool
from equiconv.models import create
from equiconv.testing import equivariance_profile

PLAIN = Row("plain", "Trivial", {"width": 2, "kernel_sizes": (3, 3)})
TEACHING = {"group": "P4", "layers": ("GroupConv2d",), "draw": "others"}
TAUGHT = replace(PLAIN, name="taught", implicit=TEACHING)
WATCHING = replace(STUDY, rows=(PLAIN, TAUGHT), watched=Watched("P4", 4, ("GroupConv2d",)))


@pytest.fixture(scope="module")
def digits():
    return load("digits", 14).limited(48, 12)


def trained(data, row, study=WATCHING, **options):
    return run_cell(StudyCell(row, 1), lambda _: None, data={"digits": InMemory(data, 1)}, study=study, **options)


def test_a_row_that_is_taught_tells_its_penalties(digits, tmp_path):
    plain, taught = trained(digits, PLAIN), trained(digits, TAUGHT)
    assert plain["equivariance_penalties"] == []
    assert len(taught["equivariance_penalties"]) == len(taught["losses"]) == 2
    assert all(penalty > 0.1 for penalty in taught["equivariance_penalties"])
    assert taught["losses"] != plain["losses"]
    for result in (plain, taught):
        assert len(result["watched"]) == 2
        assert all(len(errors) == 2 and min(errors) > 0.01 for errors in result["watched"].values())
    write_json(tmp_path / "cell.json", taught)  # which refuses NaN and infinity
    assert trained(digits, TAUGHT) | {"seconds": 0} == taught | {"seconds": 0}
    weights = [trained(digits, replace(TAUGHT, implicit={**TEACHING, "beta": beta})) for beta in (0.0, 10.0)]
    assert weights[0]["equivariance_penalties"] == [0, 0]
    assert weights[1]["equivariance_penalties"][0] == pytest.approx(10 * taught["equivariance_penalties"][0], rel=0.3)
    assert weights[0]["losses"] != weights[1]["losses"]


def test_what_is_watched_is_the_profile_of_the_first_images(digits):
    net = PLAIN.network(1, 10).eval()
    images = torch.rand(4, 1, 14, 14)
    found = WATCHING.watched.errors(net, images)
    profile = equivariance_profile(net, P4(), images, layers=GroupConv2d, angles=(), hues=())
    assert list(found) == list(profile.layers)
    assert list(found.values()) == pytest.approx(profile.elements[:, 1:].mean(1).tolist())
    pooled = Watched("P4", 4, ("GroupConv2d",), (2,)).errors(net, images)
    carried = {nn.Module: nn.Sequential(nn.Flatten(1, -3), ChannelMaxPool(2))}
    profile = equivariance_profile(net, P4(), images, layers=GroupConv2d, carried=carried, angles=(), hues=())
    assert list(pooled.values()) == pytest.approx(profile.elements[:, 1:].mean(1).tolist())
    exact = replace(PLAIN, group="P4").network(1, 10).eval()
    assert max(Watched("P4", 4, ("GroupConv2d",), (2,)).errors(exact, images).values()) < 1e-5
    assert len(Watched("P4").errors(exact, images)) > 3


def test_what_cannot_be_measured_is_told_as_nothing(digits, tmp_path, monkeypatch):
    numbers = iter([float("inf"), 0.5])
    monkeypatch.setattr(Watched, "errors", lambda *_: {"a": next(numbers), "b": 1.0})
    result = trained(digits, PLAIN)
    assert result["watched"] == {"a": [None, 0.5], "b": [1.0, 1.0]}
    write_json(tmp_path / "cell.json", result)
    assert trained(digits, PLAIN, STUDY)["watched"] == {}


def test_what_is_taught_determines_the_result():
    rows = [
        PLAIN,
        TAUGHT,
        *(replace(TAUGHT, implicit={**TEACHING, **more}) for more in ({"beta": 2.0}, {"group": "P4M"})),
    ]
    assert len({str(row.key) for row in rows}) == len(rows)
    assert [row.copies for row in rows[:2]] == [1, 2]
    assert summarize(TAUGHT, WATCHING, [], {})["implicit"] == dict(TEACHING)
    assert summarize(PLAIN, WATCHING, [], {})["implicit"] is None
    passes = [costs(row, WATCHING, 10)["training_macs"] / costs(row, WATCHING, 10)["macs"] for row in rows[:2]]
    assert passes == [6, 12]  # two epochs, forward and backward


def test_words_of_a_file_become_the_loss():
    net = create("cnn-basic", None, in_channels=1, orders=4, width=16, classes=10)
    own = Taught("P4", normalized=False).objective(net).equivariance
    assert own.layers == net.taps
    assert own.carried == {nn.Module: net.pool}
    assert not own.normalized
    assert own.probabilities.tolist() == [0.25] * 4
    eighths = Taught("Cyclic(8)", 3.0, draw="ien", interpolation="nearest").objective(net).equivariance
    assert (eighths.group, eighths.beta, eighths.interpolation) == (Cyclic(8), 3.0, "nearest")
    assert eighths.probabilities[0] == 0
    others = Taught("P4", draw="others", layers=("GroupPool", "Conv2d", "conv", "norm"))
    loss = others.loss(net, others.layers)
    assert loss.layers == (GroupPool, nn.Conv2d, "conv", "norm")  # modules of Python are no layers
    assert loss.carried == {}
    assert loss.probabilities.tolist() == pytest.approx([0, *[1 / 3] * 3])
    fields = torch.randn(2, 3, 4, 5, 5)
    (largest,) = Taught("P4", layers=("conv",), pooled=True).loss(net, ("conv",)).carried.values()
    assert torch.equal(largest(fields), fields.amax(2))
    (channels,) = Taught("P4", layers=("conv",), orders=(4, 2)).loss(net, ("conv",)).carried.values()
    flat = torch.randn(2, 12, 5, 5)
    assert torch.equal(channels(flat), ChannelMaxPool((4, 2))(flat))
    assert torch.equal(channels(flat[:, :, None]), channels(flat))
    assert " at 0x" not in repr(Taught("P4", layers=("conv",), pooled=True).objective(net))
    assert PLAIN.taught is None


HEAD = "title = 't'\ndata = 'digits'\nimage = 16\nchannels = 1\nseeds = 1\n"
ROWS = "[recipe]\nepochs = 1\n[[row]]\nname = 'a'\ngroup = 'Trivial'\noptions = {width = 2}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{ROWS}implicit = {{group = 'P5'}}", "broken, row a: .*P5"),
        (f"{ROWS}implicit = {{group = 'P4,P4M'}}", "row a: one group is taught or watched; got 'P4,P4M'"),
        (f"{ROWS}implicit = {{beta = 1.0}}", "row a: implicit: .*missing"),
        (f"{ROWS}implicit = {{group = 'P4', weight = 1.0}}", "implicit: unknown weight; known: group, beta, layers"),
        (f"{ROWS}implicit = {{group = 'P4', beta = -1.0}}", "row a: EquivarianceLoss: beta is a number"),
        (f"{ROWS}implicit = {{group = 'P4', draw = 'all'}}", "draw is one of uniform, others, ien; got 'all'"),
        (f"{ROWS}implicit = {{group = 'Flip', draw = 'ien'}}", "the published draw is of"),
        (f"{ROWS}implicit = {{group = 'P4', interpolation = 'cubic'}}", "interpolation is"),
        (f"{ROWS}implicit = {{group = 'P4', layers = 'conv'}}", "layers are a list of names, such as"),
        (f"{ROWS}implicit = {{group = 'P4', pooled = true, orders = [4]}}", "not both: leave out pooled or orders"),
        (f"{ROWS}implicit = {{group = 'P4', orders = [0]}}", "orders has integers >= 1"),
        (f"watched = {{group = 'P5'}}\n{ROWS}", "P5"),
        (f"watched = {{group = 'P4', image = 3}}\n{ROWS}", "broken, watched: unknown image; known: group, images"),
        (f"watched = {{group = 'P4', images = 1}}\n{ROWS}", "images that are watched are at least 2; got 1"),
        (f"watched = {{images = 3}}\n{ROWS}", "broken, row a: watched needs a group for rows that have no implicit"),
        (f"watched = {{group = 'P4', orders = [0]}}\n{ROWS}", "orders has integers >= 1"),
        (
            f"watched = {{group = 'P4', layers = ['Pointwize']}}\n{ROWS}",
            "row a: layers: CNN has no 'Pointwize'; it has",
        ),
        (f"{ROWS}implicit = {{group = 'P4', layers = ['pool']}}", "row a: layers: CNN has no 'pool'; it has"),
        (f"{ROWS}implicit = {{group = 'P4', layers = ['LayerNorm']}}", "row a: layers: CNN has no .*LayerNorm"),
        (f"{ROWS}implicit = {{group = 'P4'}}", "row a: implicit needs layers: CNN does not say which ones"),
        (f"watched = {{group = 'P4', layers = 'conv'}}\n{ROWS}", "layers are a list of names"),
    ],
)
def test_mistakes_in_a_file_are_told(text, message, monkeypatch, tmp_path):
    (tmp_path / "broken.toml").write_text(HEAD + text)
    monkeypatch.setattr(study_module, "FOLDER", tmp_path)
    monkeypatch.setattr(study_module, "STUDIES", ("broken",))
    with pytest.raises(EquiconvError, match=message):
        load_study("broken")


def test_lists_in_a_file_are_lists_of_names(monkeypatch, tmp_path):
    text = (
        f"watched = {{group = 'P4', layers = ['GroupConv2d']}}\n{ROWS}implicit = {{group = 'P4', layers = ['Linear']}}"
    )
    (tmp_path / "whole.toml").write_text(HEAD + text)
    monkeypatch.setattr(study_module, "FOLDER", tmp_path)
    monkeypatch.setattr(study_module, "STUDIES", ("whole",))
    study = load_study("whole")
    assert study.watched.layers == ("GroupConv2d",)
    assert study.rows[0].taught.layers == ("Linear",)


def test_a_network_that_does_not_say_its_layers(digits):
    with pytest.raises(EquiconvError, match="implicit needs layers: CNN does not say which ones"):
        trained(digits, replace(PLAIN, implicit={"group": "P4"}))


def test_results_are_strict_and_join_older_ones(digits, tmp_path):
    """Results from before there was anything to teach or to watch are of rows that only classify."""
    study = replace(STUDY, rows=(PLAIN,))
    outcomes = [Outcome(StudyCell(PLAIN, seed), trained(digits, PLAIN, study) | {"seed": seed}) for seed in (1, 2)]
    new, old = (study_results(study, [digits.describe()], [outcome], "x") for outcome in outcomes)
    assert new["watched"] is None
    assert {row["watched"] for row in new["rows"]} == {None}
    assert [cell["equivariance_penalties"] for cell in new["cells"]] == [[]]
    old["rows"] = [
        {key: row[key] for key in row if key not in ("implicit", "watched", "training_macs")} for row in old["rows"]
    ]
    old["cells"] = [
        {key: cell[key] for key in cell if key not in ("equivariance_penalties", "watched")} for cell in old["cells"]
    ]
    older = {key: old[key] for key in old if key != "watched"}
    files = tmp_path / "new.json", tmp_path / "older.json", tmp_path / "other.json"
    for path, content in zip(files, (new, older), strict=False):
        write_json(path, content)
    for pair in (files[:2], files[1::-1]):
        assert joined(study, pair)["rows"][0]["seeds"] == 2
    watched = json.loads(json.dumps(asdict(WATCHING.watched)))
    taught = [{**row, "implicit": {"group": "P4"}} for row in older["rows"]]
    for change, message in (
        ({"watched": watched}, "another watched of plain"),
        ({"rows": taught}, "another implicit of"),
    ):
        write_json(files[2], {**older, **change})
        with pytest.raises(EquiconvError, match=message):
            joined(study, (files[0], files[2]))


def test_each_row_is_watched_under_the_group_that_it_is_taught(digits, monkeypatch):
    seen = []
    monkeypatch.setattr(Watched, "errors", lambda self, *_: seen.append(self.group) or {"a": 1.0})
    own = replace(TAUGHT, implicit={**TEACHING, "group": "P4M"})
    for watching in (Watched(images=4), Watched("Flip", 4)):
        study = replace(WATCHING, rows=(own,), watched=watching)
        trained(digits, own, study)
        assert summarize(own, study, [], {})["watched"] == asdict(study.watched_of(own))
    assert seen == ["P4M"] * 2 + ["Flip"] * 2  # after each epoch
    with pytest.raises(EquiconvError, match="watched needs a group"):
        trained(digits, PLAIN, replace(WATCHING, watched=Watched(images=4)))
    monkeypatch.undo()
    with pytest.raises(EquiconvError, match="one group is taught or watched; got None"):
        Watched().errors(nn.Identity(), torch.rand(2, 1, 5, 5))


def test_results_join_where_the_same_was_watched(digits, tmp_path):
    """Earlier results tell one group for all rows: that of the rows is the same, or they were watched otherwise."""
    path, result = tmp_path / "results.json", trained(digits, TAUGHT)
    content = study_results(WATCHING, [digits.describe()], [Outcome(StudyCell(TAUGHT, 1), result)], "x")
    content["rows"] = [{key: row[key] for key in row if key != "watched"} for row in content["rows"]]
    write_json(path, content)
    own = replace(WATCHING, rows=(TAUGHT,), watched=replace(WATCHING.watched, group=None))
    found = joined(own, [path])
    assert found["watched"]["group"] is None
    assert [(row["watched"]["group"], row["seeds"]) for row in found["rows"]] == [("P4", 1)]
    for other in ({"group": "P4M"}, {"images": 5}):
        with pytest.raises(EquiconvError, match="was measured with another watched of taught"):
            joined(replace(own, watched=replace(WATCHING.watched, **other)), [path])


def test_results_tell_what_was_taught_and_watched(digits, tmp_path):
    result, path = trained(digits, TAUGHT), tmp_path / "results.json"
    write_json(path, study_results(WATCHING, [digits.describe()], [Outcome(StudyCell(TAUGHT, 1), result)], "x"))
    found = joined(WATCHING, [path])
    assert found["watched"] == {"group": "P4", "images": 4, "layers": ("GroupConv2d",), "orders": ()}
    assert {row["name"]: row["watched"]["group"] for row in found["rows"]} == {"plain": "P4", "taught": "P4"}
    assert found["cells"][0]["watched"] == result["watched"]
    assert found["cells"][0]["equivariance_penalties"] == result["equivariance_penalties"]
    told = {row["name"]: row["implicit"] for row in json.loads(path.read_text())["rows"]}
    assert told == {"plain": None, "taught": json.loads(json.dumps(TEACHING))}


def test_the_study_of_implicit_equivariance():
    study = load_study("ien")
    assert study.watched.group is None
    assert {study.watched_of(row).group for row in study.rows} == {"P4", "Cyclic(8)", "P4M"}
    pairs = [row.name.removesuffix(" beta 0") for row in study.rows if row.name.endswith(" beta 0")]
    assert [row.name for row in study.rows] == [f"{name} beta {beta}" for name in pairs for beta in (0, 1)]
    for row in study.rows:
        loss = row.taught.loss(row.network(1, 10) if "narrow" in row.name else nn.Identity(), ("conv",))
        assert not loss.normalized
        assert loss.beta == float(row.name[-1])
        assert loss.interpolation == ("nearest" if loss.group == Cyclic(8) else "bicubic")
