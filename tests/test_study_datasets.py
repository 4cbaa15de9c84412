"""Studies on other data sets than that of their table."""

import json
import sys
from dataclasses import replace

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.data import Dataset, load
from benchmarks.networks import count_parameters
from benchmarks.studies import STUDIES, Row, Study, load_study
from benchmarks.studies import study as study_module
from benchmarks.training import Recipe
from equiconv import EquiconvError
from equiconv.testing import equivariance_error

RUN = sys.modules["benchmarks.studies.run"]  # the package has a function of that name
RESULTS = sys.modules["benchmarks.studies.results"]
OTHERS = [(name, dataset) for name in STUDIES for dataset in load_study(name).others]
CLASSES = {"cifar100": 100}


def shape(row):
    """Return a row whose kernels are drawn by the layers themselves, for the meta device and for narrow networks."""
    return replace(row, init=None)


def test_every_row_of_every_data_set_can_be_built():
    studies = [load_study(name).others[dataset] for name, dataset in OTHERS]
    rows = {str(row.key): (row, study.channels) for study in studies for row in study.rows}
    with torch.device("meta"):
        assert all(count_parameters(shape(row).network(channels, 10)) > 0 for row, channels in rows.values())


@pytest.mark.parametrize(("name", "dataset"), OTHERS)
def test_a_study_on_another_data_set(name, dataset):
    study = load_study(name).on(dataset)
    assert study.name == name
    assert study.dataset == dataset
    assert study.title != load_study(name).title
    assert study.datasets == (study.data,)
    assert study.rows
    with pytest.raises(EquiconvError, match=f"--sweep: {name} has none"):
        study.swept("width")


PUBLISHED = [  # study, data set, rows with published parameters
    *(("cifar-color", "cifar100", 9), ("cifar-color", "stl10", 13), ("cifar-color", "pets", 0)),
    *(("steerable-cifar", "cifar10", 8), ("steerable-cifar", "cifar100", 8), ("steerable-cifar", "stl10", 5)),
    ("steerable-cifar", "cifar10-33", 0),
]
# The published plain networks have smaller stems, and no convolution beside the last block.
MORE = {"WRN-28-10+AA": 640**2 + 16 * 3 * (25 - 9), "WRN-16-8": 512**2 + 16 * 3 * (25 - 9)}


@pytest.mark.parametrize(("name", "dataset", "known"), PUBLISHED)
def test_parameters_are_those_published_for_the_classes_of_the_data(name, dataset, known):
    study = load_study(name).on(dataset)
    rows = [row for row in study.rows if row.published]
    assert len(rows) == known
    with torch.device("meta"):
        for row in rows:
            found = count_parameters(shape(row).network(3, CLASSES.get(dataset, 10)))
            assert found - MORE.get(row.name, 0) == row.published["parameters"], row.name


def test_what_is_added_to_the_steerable_networks_has_as_many_parameters():
    with torch.device("meta"):
        for dataset in ("cifar10", "cifar10-33", "stl10"):
            rows = {row.name: row for row in load_study("steerable-cifar").on(dataset).rows}
            found = {n: count_parameters(shape(row).network(3, 10)) for n, row in rows.items()}
            pairs = [(n, f"{n.removeprefix('hue-')}") for n in found if n.startswith("hue-")]
            assert pairs
            for ours, theirs in pairs:
                other = found.get(theirs, found.get(theirs.removesuffix("+AA")))
                assert abs(found[ours] / other - 1) < 0.03, ours


def test_steerable_networks_are_exact_on_odd_images_only():
    table = load_study("steerable-cifar")
    odd = table.on("cifar10-33")
    assert odd.image == 33
    assert not any("exact" in row.options for row in odd.rows)
    assert all(row.options["exact"] is False for row in table.rows[1:])
    row = {row.name: row for row in odd.rows}["D4D4D4-28-10+AA"]
    net = replace(shape(row), options={**row.options, "depth": 10, "widen": 0.4}).network(3, 10).eval()
    assert equivariance_error(net, size=(17, 17)) < 1e-3
    with pytest.raises(EquiconvError):
        net(torch.zeros(1, 3, 16, 16))


def test_what_is_otherwise_and_what_is_not():
    table = load_study("cifar-color")
    assert table.on(None) is table.on("cifar10") is table
    flowers = table.on("flowers102")
    assert (flowers.data, flowers.image, flowers.recipe, flowers.seeds) == ("flowers102", 256, table.recipe, 3)
    assert {row.model for row in flowers.rows} == {"resnet18"}
    assert {flowers.image_of(row) for row in flowers.rows} == {224}
    assert {table.image_of(row) for row in table.rows} == {32}
    hundred = table.on("cifar100")
    assert [replace(row, published={}) for row in hundred.rows] == [replace(row, published={}) for row in table.rows]
    assert (hundred.image, hundred.augment) == (table.image, table.augment)
    with pytest.raises(EquiconvError, match=r"--dataset: cifar-color is for cifar10, cifar100, .*; got 'mnist'"):
        table.on("mnist")
    with pytest.raises(EquiconvError, match="--dataset: rotmnist is for rotmnist; got 'mnist'"):
        load_study("rotmnist").on("mnist")


def test_lengths_keep_their_share_of_smaller_images():
    small = load_study("cifar-color").on("flowers102").smaller(33)
    assert small.image == 33
    assert {small.image_of(row) for row in small.rows} == {29}
    assert small.augment == {"resized-crop": 29, "mirror": 0.5}
    table = load_study("cifar-color")
    assert table.smaller(33).image == 32
    assert table.smaller(33).augment == table.augment
    study = Study("a", "a", "digits", 96, 3, 1, Recipe(1), (Row("r", "P4"),), augment={"crop": 12, "mirror": 0.5})
    assert study.smaller(32).augment == {"crop": 4, "mirror": 0.5}
    assert study.smaller(1).augment == {"crop": 1, "mirror": 0.5}


@pytest.fixture
def counted(monkeypatch):
    """Count what is loaded and what is hashed; costs are not measured."""
    loaded, hashed = [], []
    fingerprint = Dataset.fingerprint

    def loads(name, size=None):
        loaded.append(name)
        return load(name, size)

    def hashes(data):
        hashed.append(data.name)
        return fingerprint(data)

    monkeypatch.setattr(RUN, "load", loads)
    monkeypatch.setattr(Dataset, "fingerprint", hashes)
    monkeypatch.setattr(RESULTS, "costs", lambda *_: {"parameters": 1, "macs": 1, "peak_memory": 1})
    return loaded, hashed


def test_data_are_loaded_and_hashed_once(counted, tmp_path):
    words = ["study", "colormnist-biased", "--sweep", "std", "--quick", "--finished", "--out", str(tmp_path)]
    assert main(words) == 0
    assert counted == (["digits"], ["digits"])
    results = json.loads((tmp_path / "results.json").read_text())
    assert len(results["more_data"]) > 1
    assert {each["name"] for each in results["more_data"]} == {"digits"}


def test_the_data_set_is_told_and_results_of_another_are_not_put_together(counted, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["study", "cifar-color", "--rows", "ResNet-18,CE-ResNet-18", "--dataset", "stl10"]
    assert main([*words, "--quick", "--finished"]) == 0
    path = tmp_path / "results" / "cifar-color-stl10" / "results.json"
    results = json.loads(path.read_text())
    assert results["dataset"] == "stl10"
    assert results["title"] == "Color equivariant ResNet-18 on STL-10"
    assert "--dataset stl10" in results["runs"][0]["command"]
    assert main([*words, "--join", str(path)]) == 0
    other = ["study", "cifar-color", "--dataset", "pets", "--join", str(path), "--out", str(tmp_path / "no")]
    assert main(other) == 2
    assert "is on the data set stl10, not on pets" in capsys.readouterr().err
    assert main(["study", "cifar-color", "--join", str(path), "--out", str(tmp_path / "no")]) == 2
    assert not (tmp_path / "no").exists()


HEAD = "title = 't'\ndata = 'digits'\nimage = 16\nchannels = 1\nseeds = 1\n[recipe]\nepochs = 1\n"
ROWS = "[[row]]\nname = 'a'\ngroup = 'P4'\n[[rows.more]]\nname = 'b'\ngroup = 'P4'\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[dataset.mnist]\nsize = 1", "broken, dataset mnist: unknown size; known: title, data, image"),
        ("[dataset.mnist]\nrows = 'few'", r"rows are a list \[\[rows.NAME\]\], one of more; got 'few'"),
        ("[dataset.mnist.published]\nb = {error = 1}", "published numbers of b, of which there is no row"),
        ("[dataset.mnist]\naugment = {turn = 1}", "row a: augmentations are crop"),
        ("[dataset.mnist]\nrecipe = {epoch = 1}", "a recipe has epochs"),
        ("[[rows.more]]\nname = 'c'\nwidth = 1", "broken, rows more: unknown width"),
    ],
)
def test_mistakes_in_a_file_are_told(text, message, monkeypatch, tmp_path):
    (tmp_path / "broken.toml").write_text(HEAD + ROWS + text)
    monkeypatch.setattr(study_module, "FOLDER", tmp_path)
    monkeypatch.setattr(study_module, "STUDIES", ("broken",))
    with pytest.raises(EquiconvError, match=message):
        load_study("broken")


def test_another_data_set_in_a_file(monkeypatch, tmp_path):
    text = "[dataset.wide]\ndata = 'mnist'\nimage = 29\nseeds = 2\nrows = 'more'\nrecipe = {epochs = 7}\n"
    text += "normalize = ['contrast']\n[dataset.wide.published]\nb = {error = 1.5}"
    (tmp_path / "made.toml").write_text(HEAD + ROWS + text)
    monkeypatch.setattr(study_module, "FOLDER", tmp_path)
    monkeypatch.setattr(study_module, "STUDIES", ("made",))
    wide = load_study("made").on("wide")
    assert (wide.data, wide.image, wide.seeds, wide.recipe.epochs) == ("mnist", 29, 2, 7)
    assert (wide.normalize, wide.title, wide.dataset) == (("contrast",), "t: wide", "wide")
    assert [(row.name, row.published) for row in wide.rows] == [("b", {"error": 1.5})]
