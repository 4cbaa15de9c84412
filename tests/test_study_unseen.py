"""The plots of moved images and of classes: what they show."""

import copy

import numpy as np
import pytest
from studied import results, row

from benchmarks.data.families import FAMILIES
from benchmarks.studies import plots

SIZES = [5, 100, 20]


def measured(seeds=2):
    """Return results of two rows on three classes, under turns."""
    made = results([row("plain", seeds, 40.0, 1.0), row("better", seeds, 20.0, 1.0)])
    made["data"] |= {"classes": ["rare", "frequent", "between"], "train_by_class": SIZES}
    for cell in made["cells"]:
        right = 6 + 2 * (cell["group"] == "better") + (cell["seed"] - 1)
        cell["confusion"] = [[10 - right, right, 0], [0, 10, 0], [5, 0, 5]]
        cell["curves"] = {"rotation": [right / 10 - 0.01 * step for step in range(72)]}
    return made


@pytest.fixture
def axes(monkeypatch):
    found = {}
    monkeypatch.setattr(plots, "svg", lambda figure, name: found.update({name: figure.axes[0]}) or "")
    return found


def lines(axes):
    return {line.get_label(): line.get_ydata() for line in axes.lines if not line.get_label().startswith("_")}


def test_curves_are_means_over_the_seeds(axes):
    plots.draw(measured())
    found = axes["turned_curve_rotation"]
    assert lines(found)["plain"] == pytest.approx([65 - step for step in range(72)])
    assert lines(found)["better"][0] == pytest.approx(85)
    assert found.lines[0].get_xdata().tolist() == list(FAMILIES["rotation"].values)


def test_frequent_classes_come_first(axes):
    plots.draw(measured())
    found = axes["turned_classes"]
    assert [label.get_text() for label in found.get_xticklabels()] == ["frequent (100)", "between (20)", "rare (5)"]
    assert lines(found)["plain"] == pytest.approx([100, 50, 35])
    assert lines(found)["better"] == pytest.approx([100, 50, 15])


def test_confusion_is_in_percent_of_each_class_over_all_seeds(axes):
    titles = [plot.title for plot in plots.draw(measured())]
    assert titles[-2:] == ["Classes that plain takes for others", "Classes that better takes for others"]
    shares = np.array(axes["turned_confusion_first"].images[0].get_array())
    np.testing.assert_allclose(shares, [[35, 65, 0], [0, 100, 0], [50, 0, 50]])


def test_what_was_not_measured_is_not_drawn(axes):
    content = copy.deepcopy(measured(1))
    content["cells"][0] |= {"confusion": None}
    plots.draw(content)
    assert "turned_curve_rotation" in axes
    assert not {"turned_classes", "turned_confusion_best"} & set(axes)


def test_moves_that_not_all_cells_have_are_not_drawn(axes):
    made = measured()
    made["cells"][-1]["curves"] = {}
    plots.draw(made)
    assert "turned_curve_rotation" not in axes
    assert "turned_classes" in axes
