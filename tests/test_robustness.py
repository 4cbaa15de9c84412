"""Trained networks in files, and what they do with moved images."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.__main__ import main
from benchmarks.data import float_batch, load
from benchmarks.data.families import FAMILIES, GRIDS
from benchmarks.data.normalize import normalization
from benchmarks.robustness import wheels
from benchmarks.robustness.probe import Probe, measure
from benchmarks.robustness.table import markdown
from benchmarks.studies.row import Row
from benchmarks.studies.trained import TrainedNetwork
from equiconv import EquiconvError

pytestmark = pytest.mark.usefixtures("inline")

DIGITS = load("digits", 28)


def network(group="P4", seed=1, channels=3, normalize=(), **other):
    """Return a network with random weights that is said to be trained on the digits."""
    torch.manual_seed(seed)
    row = Row(f"{group} net", group, {"width": 3, "dropout": 0.3})
    net = row.network(channels, 10)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.momentum = None
    net(float_batch(DIGITS.train_images[:100, :channels]))  # with their statistics its answers vary
    prepare = normalization(normalize, DIGITS.train_images[:50, :channels])
    made = TrainedNetwork(
        study="a study",
        row=row,
        seed=seed,
        data="digits",
        image=28,
        channels=channels,
        classes=DIGITS.classes,
        normalize=normalize,
        augment={},
        net=net,
        prepare=prepare,
    )
    return replace(made, **other)


def test_a_network_comes_back_from_its_file(tmp_path):
    made = network("HueShift(3)*P4", normalize=("common", "contrast"), augment={"mirror": 0.5})
    made.save(tmp_path / "networks" / "net.pt")
    found = TrainedNetwork.load(tmp_path / "networks" / "net.pt")
    x = torch.rand(4, 3, 28, 28)
    assert torch.equal(found.model(x), made.model(x))  # without mirrors and dropout
    assert (found.row, found.classes, found.seed, found.normalize) == (made.row, made.classes, 1, made.normalize)
    assert [path.name for path in (tmp_path / "networks").iterdir()] == ["net.pt"]


def test_an_ordinary_network_comes_back_too(tmp_path):
    row = Row("ordinary", None, {"orders": (4, 2, 1), "width": 22}, "cnn-basic")
    made = network(row=row, net=row.network(3, 10))
    made.save(tmp_path / "net.pt")
    found, x = TrainedNetwork.load(tmp_path / "net.pt"), torch.rand(4, 3, 28, 28)
    assert torch.equal(found.model(x), made.model(x))
    assert (found.row, found.row.groups) == (row, "none")


def test_its_precision_comes_back(tmp_path):
    made = network()
    made.net.double()
    made.save(tmp_path / "net.pt")
    assert {each.dtype for each in TrainedNetwork.load(tmp_path / "net.pt").net.parameters()} == {torch.float64}


def test_what_was_fitted_comes_back_too(tmp_path):
    made = network("P4", channels=1, normalize=("contrast", "whiten"))
    made.save(tmp_path / "net.pt")
    found, x = TrainedNetwork.load(tmp_path / "net.pt"), torch.rand(2, 1, 28, 28)
    assert torch.equal(found.prepare(x), made.prepare(x))
    assert (found.prepare(x) - normalization(("contrast",), None)(x)).abs().max() > 0.1


def test_what_a_network_does_with_images_before_is_part_of_it():
    plain, cut = network(), network(augment={"resized-crop": 26})
    x = torch.rand(2, 3, 28, 28)
    seen = []
    cut.net.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    cut.net.forward = lambda x: plain.net(nn.functional.pad(x, (1, 1, 1, 1)))
    cut.model(x)
    assert torch.equal(seen[0], x[..., 1:-1, 1:-1])


def broken_files(folder):
    """Yield files that are no networks, and what is said of each."""
    (folder / "text.pt").write_text("no network")
    yield folder / "text.pt", "cannot be read as a trained network"
    torch.save({"net": {}}, folder / "part.pt")
    yield folder / "part.pt", "holds no network of a study"
    network().save(folder / "wide.pt")
    content = torch.load(folder / "wide.pt", weights_only=True)
    content["row"]["options"]["width"] = 5
    torch.save(content, folder / "wide.pt")
    yield folder / "wide.pt", "P4 net is built differently today"
    network().save(folder / "other.pt")
    content = torch.load(folder / "other.pt", weights_only=True)
    torch.save({**content, "logits": content["logits"] + 0.1}, folder / "other.pt")  # as with other kernels
    yield folder / "other.pt", "P4 net is built differently today.*its logits differ by 0.1"
    torch.save({**content, "row": {**content["row"], "shape": 1}}, folder / "shape.pt")
    yield folder / "shape.pt", "P4 net is built differently today"


def test_files_that_are_no_networks_are_refused(tmp_path):
    for path, message in broken_files(tmp_path):
        with pytest.raises(EquiconvError, match=message):
            TrainedNetwork.load(path)


def robustness(folder, *networks, words=()):
    """Measure networks with the command; return the results."""
    for index, each in enumerate(networks):
        each.save(folder / "networks" / f"{index}.pt")
    options = ["--workers", "1", "--samples", "20", "--out", str(folder / "out"), *words]
    assert main(["robustness", str(folder / "networks"), *options]) == 0
    return json.loads((folder / "out" / "results.json").read_text())


def accuracies(made, folder, *kinds):
    """Return the accuracy of a network at every move of some kinds; right is what it says of unmoved images."""
    data = DIGITS.limited(10, 20)
    data = replace(data, test_labels=made.model(float_batch(data.test_images)).argmax(1).numpy())
    made.save(folder / "net.pt")
    return [
        np.array(
            measure(Probe(folder / "net.pt", f"{made.row.name}", "net", 1, kind), lambda _: None, data=data)["accuracy"]
        )
        for kind in kinds
    ]


def test_a_group_keeps_its_answers_under_its_elements_and_another_does_not(tmp_path):
    quarters = [FAMILIES["rotation"].values.index(angle) for angle in (0, 90, 180, 270)]
    turned, mirrored = accuracies(network("P4"), tmp_path, "rotation", "reflection")
    assert turned[quarters].tolist() == [1] * 4
    assert turned.min() < 1
    assert mirrored[quarters].max() < 1
    (turned,) = accuracies(network("Trivial"), tmp_path, "rotation")
    assert turned[0] == 1
    assert turned[quarters[1:]].max() < 1


def test_pairs_of_moves_begin_with_each_move_alone(tmp_path):
    grid = GRIDS["turn-hue"]
    both, turned, shifted = accuracies(network("HueShift(3)"), tmp_path, "turn-hue", "rotation", "hue")
    pairs = both.reshape(len(grid.rows), len(grid.columns))
    assert pairs[:, 0].tolist() == turned[[FAMILIES["rotation"].values.index(angle) for angle in grid.rows]].tolist()
    hues = [FAMILIES["hue"].values.index((angle + 180) % 360 - 180) for angle in grid.columns]
    assert pairs[0].tolist() == shifted[hues].tolist()
    thirds = [grid.columns.index(angle) for angle in (0, 120, 240)]
    assert (pairs[:, thirds] == pairs[:, :1]).all()  # those of the group
    assert (pairs != pairs[:, :1]).any()


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("robustness")
    nets = network("P4", 1), network("P4", 2), network("Trivial")
    return folder / "out", robustness(folder, *nets, words=["--kinds", "translation", "hue"])


def test_seeds_of_a_row_are_put_together(measured):
    turns, plain = measured[1]["networks"]
    assert (turns["name"], plain["name"]) == ("P4 net", "Trivial net")
    assert [cell["seed"] for cell in turns["cells"]] == [1, 2]
    assert all(len(cell["accuracy"]["hue"]) == 37 for cell in turns["cells"] + plain["cells"])


def test_what_is_finished_is_not_measured_again_and_the_page_is_there(measured, capsys):
    out, results = measured
    names = {path.name for path in out.iterdir()}
    assert {"report.html", "table.md", "robustness_hue.svg", "robustness_translation.svg"} <= names
    page = (out / "report.html").read_text()
    assert "3 networks" not in page
    assert "2 networks, 20 test images" in page
    words = ["--kinds", "hue", "--samples", "20", "--workers", "1", "--out", str(out)]
    assert main(["robustness", str(out.parent / "networks"), *words]) == 0
    assert "3 of 3 cells were finished before" in capsys.readouterr().out
    again = json.loads((out / "results.json").read_text())
    assert again["networks"][0]["cells"][0]["accuracy"]["hue"] == results["networks"][0]["cells"][0]["accuracy"]["hue"]


def results(kind, *seeds):
    cells = [{"seed": seed, "accuracy": {kind: list(values)}} for seed, values in enumerate(seeds, 1)]
    return {"kinds": [kind], "networks": [{"name": "net", "group": "P4", "cells": cells}]}


def test_rows_of_one_name_tell_their_study(tmp_path):
    found = robustness(tmp_path, network(), network(study="another"), words=["--kinds", "translation"])
    assert [each["name"] for each in found["networks"]] == ["a study: P4 net", "another: P4 net"]


def test_the_table_tells_mean_and_worst():
    count = len(FAMILIES["translation"].values)
    made = results("translation", [0.9] + [0.5] * (count - 1), [0.7] + [0.3] * (count - 1))
    assert markdown(made).splitlines()[0] == "| network | group | seeds | unmoved (%) | translation: mean, worst (%) |"
    assert markdown(made).splitlines()[-1] == "| net | P4 | 2 | 80.0 ± 14.1 | 44.4 ± 14.1, 40.0 |"
    assert "unmoved" not in markdown(results("reflection", [0.5] * 72))


@pytest.fixture
def axes(monkeypatch):
    found = {}
    monkeypatch.setattr(wheels, "svg", lambda figure, name: found.update({name: figure.axes[0]}) or "")
    return found


def test_wheels_are_closed_and_in_percent(axes):
    wheels.draw(results("rotation", np.linspace(0, 0.71, 72), np.linspace(0.2, 0.91, 72)))
    line = axes["robustness_rotation"].lines[0]
    assert line.get_ydata().tolist() == pytest.approx([*(10 + step for step in range(72)), 10])
    np.testing.assert_allclose(line.get_xdata()[:19] / np.pi * 180, range(0, 91, 5))
    assert line.get_xdata()[0] == line.get_xdata()[-1]


def test_the_ring_shows_what_red_becomes(axes):
    wheels.draw(results("hue", np.full(37, 0.5)))
    ring = axes["robustness_hue"].patches
    line = axes["robustness_hue"].lines[0]
    np.testing.assert_allclose(np.degrees(line.get_xdata()), [*range(-180, 180, 10), -180])  # each once, and closed
    for patch in (ring[0], ring[len(ring) // 3], ring[2 * len(ring) // 3]):
        center = patch.get_x() + patch.get_width() / 2
        strongest = int(np.argmax(patch.get_facecolor()[:3]))
        assert strongest == round(center / (2 * np.pi / 3)) % 3  # red at 0, green at 120, blue at 240 degrees


def test_maps_have_turns_as_rows(axes):
    grid = GRIDS["turn-hue"]
    values = np.repeat(np.arange(len(grid.rows)), len(grid.columns)) / 10
    wheels.draw(results("turn-hue", values))
    shown = np.array(axes["robustness_turn-hue"].images[0].get_array())
    np.testing.assert_allclose(shown[:, 0], 10 * np.arange(len(grid.rows)))
    np.testing.assert_allclose(shown, shown[:, :1].repeat(len(grid.columns), 1))


@pytest.mark.parametrize(
    ("networks", "words", "message"),
    [
        ([network("P4", channels=1)], ["--kinds", "hue"], "--kinds hue: P4 net see gray images, which have no hue"),
        ([], [], "has no networks"),
        ([network(), network(seed=2, image=32)], [], "the networks differ in image (28, 32): measure them apart"),
        ([network(), network()], [], "are both P4 net with the seed 1, trained in different ways: name one of them"),
        ([network(classes=("a",) * 10)], [], "P4 net: trained on other classes than those of digits"),
        ([network()], ["--samples", "0"], "--samples is at least 1; got 0"),
    ],
)
def test_mistakes_are_told_before_anything_is_measured(networks, words, message, tmp_path, capsys):
    (tmp_path / "networks").mkdir()
    for index, each in enumerate(networks):
        each.save(tmp_path / "networks" / f"{index}.pt")
    assert main(["robustness", str(tmp_path / "networks"), *words, "--out", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("cells/*"))


def test_gray_images_are_moved_in_the_plane_only(tmp_path):
    found = robustness(tmp_path, network("P4", channels=1))
    assert found["kinds"] == ["rotation", "reflection", "translation"]
