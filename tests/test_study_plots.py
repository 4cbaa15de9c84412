"""The plots of a study: what they show, names that do not cover each other, ticks that can be read."""

import copy
import re

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure
from studied import SWEEP, TABLE, changed, results, row

from benchmarks.labels import label_points, scale, short
from benchmarks.plots import svg
from benchmarks.studies import plots
from benchmarks.studies.plots import draw
from equiconv.viz.style import STYLE


def drawn(content):
    """Return the words in each plot, by name; they are comments in the SVG."""
    return {plot.name: re.findall(r"<!-- (.*?) -->", plot.svg) for plot in draw(content)}


def test_the_plots_show_rows_with_a_result_only():
    for name, words in drawn(TABLE).items():
        assert {"P4CNN", "untold"} <= set(words), name
        assert "undone" not in words, name
    assert "published" in drawn(TABLE)["turned_errors"]
    assert "published" not in drawn(results([row("P4CNN", 2, 2.0, 0.1)]))["turned_errors"]
    assert {"Z2CNN", "P4CNN", "parameters", "test error (%)"} <= set(drawn(SWEEP)["turned_width"])
    assert "validation error (%)" in drawn(changed(SWEEP, part="validation"))["turned_width"]


def test_plots_do_not_change_and_have_no_colors_of_the_page():
    first, again = draw(TABLE), draw(copy.deepcopy(TABLE))
    assert first == again
    for plot in first:
        assert "currentColor" in plot.svg
        assert "#102030" not in plot.svg
        assert "#000000" not in plot.svg


def test_letters_are_paths_whatever_the_settings():
    figure = Figure()
    figure.suptitle("a title")
    with mpl.rc_context({"svg.fonttype": "none"}):
        assert "<text" not in svg(figure, "name")
    assert not [key for key in STYLE if key.startswith(("svg.", "savefig."))]  # which nothing reads before it is saved


def test_errors_and_losses_are_those_of_the_cells(monkeypatch):
    figures = {}
    monkeypatch.setattr(plots, "svg", lambda figure, name: figures.update({name: figure.axes[0]}) or "")
    draw(TABLE)
    lines = {line.get_label(): line for line in figures["turned_errors"].lines}
    assert lines["seeds"].get_xdata() == pytest.approx([5.22, 5.22, 2.31, 2.31, 1.7, 1.7, 3, 1.6, 1.6])
    assert lines["published"].get_xdata() == pytest.approx([5.2, 2.23, 1.74, 3.5])
    losses = {line.get_label(): line.get_ydata() for line in figures["turned_losses"].lines}
    assert losses["P4CNN"] == pytest.approx([1.0, 0.3, 0.015])
    draw(SWEEP)
    assert figures["turned_width"].lines[1].get_xydata()[2] == pytest.approx([40000, 9 / 20**0.5])


def figure_of(values):
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.plot(values, values, "o")
    return figure, axes


def test_names_do_not_cover_each_other():
    figure, axes = figure_of([1, 2])
    points = [(1.9 + 0.01 * index, 1.9 + 0.005 * (index % 3), 0.01) for index in range(12)]
    label_points(figure, axes, points, [f"a long name {index}" for index in range(12)])
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
    assert len(boxes) == 12
    for index, box in enumerate(boxes):
        assert box.count_overlaps(boxes[index + 1 :]) == 0
        assert box.x0 >= axes.bbox.x0
        assert box.x1 <= axes.bbox.x1


@pytest.mark.parametrize(
    ("values", "kind", "ticks"),
    [
        ([1.7, 5.2], "log", {"2", "3", "4", "5"}),
        ([3400, 260000], "log", {"5 k", "10 k", "20 k", "50 k", "100 k", "200 k"}),
        ([1e-4, 1.0], "log", {"0.001", "0.01", "0.1"}),
        ([2.0, 3.0], "linear", {"2", "2.2", "2.4"}),
        ([0.0, 3.0], "linear", {"0", "1", "2"}),
    ],
)
def test_axes_are_logarithmic_where_that_helps(values, kind, ticks):
    figure, axes = figure_of(values)
    scale(axes, "x", values)
    figure.draw_without_rendering()
    assert (axes.get_xscale(), axes.get_yscale()) == (kind, "linear")
    low, high = axes.get_xlim()
    shown = {tick.label1.get_text() for tick in axes.xaxis.get_major_ticks() if low <= tick.get_loc() <= high}
    assert ticks <= shown


def test_numbers_of_ticks_are_short():
    assert [short(value) for value in (0.5, 500, 1500, 999999.99999, 2e7, 3e9)] == [
        *("0.5", "500", "1.5 k", "1 M", "20 M", "3 G"),
    ]


def test_a_name_is_beside_its_point():
    figure, axes = figure_of([1, 2])
    points = [(1.5, 1.5, 0), (1.44, 1.5, 0), (1.56, 1.5, 0)]
    label_points(figure, axes, points, ["a long name", "left", "right"])
    figure.draw_without_rendering()
    above, left, right = (text.get_window_extent() for text in axes.texts)
    places = axes.transData.transform([point[:2] for point in points])
    gap = 7 * figure.dpi / 72
    assert above.y0 - places[0, 1] == pytest.approx(gap, abs=0.5)
    assert (above.x0 + above.x1) / 2 == pytest.approx(places[0, 0], abs=0.5)
    assert places[1, 0] - left.x1 == pytest.approx(gap, abs=0.5)
    assert right.x0 - places[2, 0] == pytest.approx(gap, abs=0.5)
