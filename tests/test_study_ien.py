"""The studies of implicit equivariance: published sizes in every mode, and rows that are taught on photographs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from stored import store

from benchmarks.data import load
from benchmarks.groups import parse_groups
from benchmarks.studies import load_study
from benchmarks.studies.cell import StudyCell, run_cell
from benchmarks.studies.implicit import largest_entries
from benchmarks.studies.supply import InMemory
from benchmarks.training import Implicit
from equiconv.groups import P4, P4M, Cyclic, Dihedral, HueShift
from equiconv.layers import ChannelMaxPool, Pointwise
from equiconv.losses import ien_draw

DATASETS = (None, "rot-tim", "rot-tim-vgg", "r2-tim", "r2-tim-vgg")
GROUPS = {"R4": P4(), "R8": Cyclic(8), "R4 and reflection": P4M(), "R8 and reflection": Dihedral(8)}


@pytest.mark.parametrize("dataset", DATASETS)
def test_rows_have_the_published_sizes(dataset):
    study = load_study("ien").on(dataset)
    for row in study.rows:
        with torch.device("meta"):
            count = sum(
                parameter.numel() for parameter in row.network(study.channels, 100 if dataset else 10).parameters()
            )
        if not {"narrow", "few"} & {*row.name.split()} and (dataset or row.name.split(" beta")[0] in ("R4", "R4-2-1")):
            assert count == row.published["parameters"], row.name
        else:
            assert "parameters" not in row.published


@pytest.mark.parametrize("dataset", DATASETS)
def test_rows_are_taught_what_their_names_say_as_published(dataset):
    study = load_study("ien").on(dataset)
    rows = study.rows
    assert {row.name.rpartition(" ")[2] for row in rows} == {"0", "1"}
    for row in rows:
        with torch.device("meta"):
            net = row.network(3 if dataset else 1, 10)
        objective = row.taught.objective(net)
        loss = objective.equivariance
        assert isinstance(objective, Implicit)
        mode = row.name.split(" beta")[0].replace(" narrow", "").replace(" few images", "")
        group = GROUPS[mode if mode in GROUPS else mode[:2]]
        assert study.watched_of(row).group == row.taught.group
        assert (loss.group, loss.beta, loss.normalized) == (group, float(row.name[-1]), False)
        assert loss.layers == net.taps
        assert [*loss.carried.values()] == [net.pool]
        assert loss.probabilities.numpy() == pytest.approx(ien_draw(group))
        assert (loss.interpolation == "nearest") == (not group.keeps_grid)


def photographs(home, count=12):
    generator = np.random.default_rng(0)
    for split in ("train", "test"):
        images = generator.integers(0, 256, (count, 3, 64, 64), dtype=np.uint8)
        store(home / "tiny-imagenet" / f"{split}.parquet", images, np.arange(count) % 3, ("a", "b", "c"))


NARROW = {"vgg": {"orders": 4, "width": 4}, "resnet18-ien": {"orders": 4, "width": 4}}


@pytest.mark.parametrize("dataset", DATASETS[1:])
def test_the_photographs_of_a_folder_are_turned_and_learned(home, dataset):
    photographs(home)
    study = load_study("ien").on(dataset)
    study = replace(study.trained({"epochs": 1, "batch_size": 6}), watched=replace(study.watched, images=2))
    data = {study.data: InMemory(load(study.data, study.image), study.channels)}
    results = []
    for row in study.rows[:2]:
        narrow = replace(row, options=NARROW[row.model])
        results.append(run_cell(StudyCell(narrow, 1), lambda _: None, data=data, study=study))
    plain, taught = results
    assert plain["equivariance_penalties"] == [0]
    assert taught["equivariance_penalties"][0] > 0
    assert plain["losses"] != taught["losses"]
    names = list(taught["watched"])
    assert len(names) == (4 if "vgg" not in dataset else 8)
    assert all(len(errors) == 1 for errors in taught["watched"].values())


def test_missing_photographs_are_named(home):
    from benchmarks.__main__ import main

    assert main(["study", "ien", "--dataset", "rot-tim", "--out", str(home / "out")]) == 2


def test_the_rows_that_are_compared_cost_as_much_as_their_names_say():
    study = load_study("ien-compared")
    rows = {row.name: row for row in study.rows}

    def cost(name):
        row = rows[name]
        macs = 11.67 if row.group == "P4" else 2.98  # published, millions
        return macs * row.copies * study.recipe_of(row).epochs

    for name in ("ordinary x4 epochs", "shown x2 epochs", "taught x2 epochs", "both half the epochs"):
        assert cost(name) == pytest.approx(cost("built in"), rel=0.03), name
    counts = {sum(p.numel() for p in row.network(1, 10).parameters()) for row in study.rows}
    assert max(counts) < 1.02 * min(counts)


@pytest.mark.parametrize(
    ("name", "own", "finer", "orders"),
    [("ien-compared", P4(), Cyclic(8), 4), ("ien-color", HueShift(3), HueShift(6), 3)],
)
def test_what_is_compared_is_taught_by_its_own_group(name, own, finer, orders):
    study = load_study(name)
    taught = [row for row in study.rows if row.taught is not None]
    assert {row.name.split(" x")[0] for row in study.rows if row.taught is None} == {"ordinary", "built in"}
    assert parse_groups(study.watched.group)[0].group == own
    for row in taught:
        net, both = row.network(study.channels, 10), row.name.startswith("both")
        loss = row.taught.objective(net).equivariance
        assert loss.group == (finer if both else own), row.name
        assert (row.group == "Trivial") != both, row.name
        assert loss.layers == (Pointwise,)
        carried = list(loss.carried.values())
        if both:
            assert carried == [largest_entries]
            assert parse_groups(row.group)[0].group == own
        elif row.name == "taught all channels":
            assert carried == []
        else:
            assert [each.orders for each in carried[0].modules() if isinstance(each, ChannelMaxPool)] == [(orders,)]
        assert loss(net, torch.rand(2, study.channels, study.image, study.image)).penalty.isfinite()
