"""What the page of a study tells of rows that are taught, and of layers that are watched."""

import copy

import pytest
from studied import changed, results, row

from benchmarks.studies import plots
from benchmarks.studies.columns import columns, markdown
from benchmarks.studies.plots import draw
from benchmarks.studies.report import write_report

ERRORS = {"ordinary": [[0.5, 0.6], [1.0, 0.9]], "taught": [[0.4, 0.2], [0.3, 0.1]]}  # layers, epochs


def watched(group="P4"):
    rows = [
        row("ordinary", 2, 5.0, 0.1, training_macs=3e7, watched={"group": "P4"}),
        row("taught", 2, 4.0, 0.1, implicit={"group": "P4", "beta": 0.5}, training_macs=6e7, watched={"group": group}),
    ]
    content = results(rows)
    for cell in content["cells"]:
        scale = cell["seed"]
        layers = {f"layer {i}": [scale * e for e in errors] for i, errors in enumerate(ERRORS[cell["group"]])}
        cell["watched"] = layers
    return content


def test_layers_and_epochs_are_those_of_the_cells(monkeypatch):
    figures = {}
    monkeypatch.setattr(plots, "svg", lambda figure, name: figures.update({name: figure.axes[0]}) or "")
    titles = {plot.name: plot.title for plot in draw(watched())}
    assert titles["turned_equivariance_training"] == "Equivariance error under P4, of the last layer after each epoch"
    last = {line.get_label(): line.get_ydata() for line in figures["turned_equivariance_training"].lines}
    assert last["taught"] == pytest.approx([0.45, 0.15])  # mean of seeds 1 and 2
    layers = {line.get_label(): line.get_ydata() for line in figures["turned_equivariance_layers"].lines}
    assert layers["ordinary"] == pytest.approx([0.9, 1.35])
    points = {line.get_label(): line for line in figures["turned_error_training_macs"].lines}
    assert sorted(x for line in points.values() for x in line.get_xdata()) == [3e7, 6e7]


def test_groups_that_differ_are_named(monkeypatch):
    figures = {}
    monkeypatch.setattr(plots, "svg", lambda figure, name: figures.update({name: figure.axes[0]}) or "")
    titles = {plot.name: plot.title for plot in draw(watched("Cyclic(8)"))}
    for name, when in (("training", "of the last layer after each epoch"), ("layers", "of each layer after training")):
        assert titles[f"turned_equivariance_{name}"] == f"Equivariance error under P4 and Cyclic(8), {when}"
        labels = [line.get_label() for line in figures[f"turned_equivariance_{name}"].lines]
        assert labels == ["ordinary: P4", "taught: Cyclic(8)"]
    found = {column.header: column for column in columns(watched("Cyclic(8)"))}
    assert [found["equivariance under"].text(each) for each in watched("Cyclic(8)")["rows"]] == ["P4", "Cyclic(8)"]
    assert "from equivariance under P4 and Cyclic(8) after training" in found["equivariance error"].meaning
    assert "equivariance under" not in {column.header for column in columns(watched())}


def test_what_was_not_watched_or_taught_is_not_drawn():
    content = results([row("ordinary", 2, 5.0, 0.1)])
    names = {plot.name for plot in draw(content)}
    assert not any("equivariance" in name or "training_macs" in name for name in names)
    assert not {"equivariance error", "training MACs an image"} & {column.header for column in columns(content)}
    unmeasured = watched()
    unmeasured["cells"][0]["watched"]["layer 1"][0] = None
    assert not any("equivariance" in plot.name for plot in draw(unmeasured))


def test_the_table_tells_the_last_error_and_the_cost_of_training():
    lines = markdown(watched()).splitlines()
    cells = [
        dict(zip(map(str.strip, lines[0].split("|")), map(str.strip, line.split("|")), strict=True))
        for line in lines[2:]
    ]
    assert [line["equivariance error"] for line in cells] == ["1.4", "0.15"]
    assert [line["training MACs an image"] for line in cells] == ["30.00 M", "60.00 M"]
    broken = copy.deepcopy(watched())
    for cell in broken["cells"]:
        cell["watched"] = {}
    assert "| - |" in markdown(broken)


def test_the_memory_of_a_step_tells_what_it_leaves_out():
    def meaning(content):
        return next(column.meaning for column in columns(content) if column.header == "memory at batch 2")

    assert meaning(watched()).endswith("What a loss compares, moved images and the maps of layers, is not counted.")
    assert "a loss compares" not in meaning(results([row("ordinary", 2, 5.0, 0.1)]))


def test_the_page_says_what_a_row_is_taught(tmp_path):
    write_report(tmp_path, changed(watched()))
    page = (tmp_path / "report.html").read_text()
    assert "taught group P4, beta 0.5" in page
    assert page.count("taught group") == 1
