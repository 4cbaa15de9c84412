"""The drawings show what they say: the arrays in their axes, the labels, the frames."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from drawings import COLORED, drawn, image, measured, shown
from matplotlib import rcParams
from matplotlib.figure import Figure
from torch import nn

from equiconv import viz
from equiconv.errors import EquiconvError, FieldTypeError, ShapeError
from equiconv.groups import O2, P4, P4M, SO2, Cyclic, Flip, HueShift, Trivial
from equiconv.layers import GroupConv2d
from equiconv.viz.elements import name, table

# -- elements --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "elements", "rows", "columns"),
    [
        (P4(), [[0, 1, 2, 3]], [""], ["turn 0°", "turn 90°", "turn 180°", "turn 270°"]),
        (Flip(), [[0, 1]], [""], ["", "mirrored"]),
        (HueShift(3), [[0, 1, 2]], [""], ["hue 0°", "hue 120°", "hue 240°"]),
        (Trivial(), [[0]], [""], ["element 0"]),
        (Flip() * HueShift(2), [[0, 1], [2, 3]], ["", "mirrored"], ["hue 0°", "hue 180°"]),
        (HueShift(2) * Flip(), [[0, 1], [2, 3]], ["hue 0°", "hue 180°"], ["", "mirrored"]),
        (P4() * HueShift(2), [[0, 2, 4, 6], [1, 3, 5, 7]], ["hue 0°", "hue 180°"], None),
        (
            HueShift(2) * P4M(),
            np.arange(16).reshape(4, 4).tolist(),
            ["hue 0°", "hue 0°\nmirrored", "hue 180°", "hue 180°\nmirrored"],
            None,
        ),
    ],
    ids=repr,
)
def test_elements_are_arranged_by_what_they_do(group, elements, rows, columns):
    found = table(group)
    assert found.elements.tolist() == elements
    assert list(found.rows) == rows
    assert columns is None or list(found.columns) == columns
    assert found.title == ""


def test_names_say_what_the_matrices_do():
    group = HueShift(4) * P4M()
    for g in range(group.order):
        words = name(group, g).replace("°", "").split(", ")
        values = dict(word.split() for word in words if " " in word)
        turn, hue = np.radians(float(values.get("turn", 0))), np.radians(float(values.get("hue", 0)))
        flip = np.diag([1.0, -1.0 if "mirrored" in words else 1.0])
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        np.testing.assert_allclose(flip @ rotation, group.plane[g], atol=1e-12)
        assert np.trace(group.color[g]) == pytest.approx(1 + 2 * np.cos(hue))
    assert name(group, 0) == "identity"
    assert name(group.subgroup([1]), 2) == "turn 180°"


@pytest.mark.parametrize(
    ("group", "shape", "title"),
    [
        (SO2(), (1, 12), "12 elements of SO2(3)"),
        (O2(2), (2, 12), "24 elements of O2(2)"),
        (Cyclic(16), (1, 8), "8 of the 16 elements of Cyclic(16)"),
        (Cyclic(13), (1, 12), "12 of the 13 elements of Cyclic(13)"),
        (HueShift(12) * P4M(), (12, 4), "48 of the 96 elements of HueShift(12) * Dihedral(4)"),
    ],
    ids=repr,
)
def test_of_large_groups_some_elements_are_shown_evenly(group, shape, title):
    found = table(group)
    assert found.elements.shape == shape
    assert found.title == title
    assert len(set(found.elements.ravel().tolist())) == found.elements.size
    turns = [float(column.split()[1].rstrip("°")) for column in found.columns]
    for g, turn in zip(found.elements[0], turns, strict=True):
        assert group.plane[g][0, 0] == pytest.approx(np.cos(np.radians(turn)), abs=1e-3)
    assert max(np.diff([*turns, 360])) < 2 * 360 / len(turns)


# -- orbit -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [COLORED, P4M(), Flip(), HueShift(4)], ids=repr)
def test_an_orbit_shows_the_moved_images(group):
    x = image()
    figure = viz.orbit(group, x)
    assert isinstance(figure, Figure)
    assert len(figure.axes) == group.order
    places = table(group)
    for ax, g in zip(figure.axes, places.elements.ravel().tolist(), strict=True):
        np.testing.assert_array_equal(drawn(ax), shown(group.transform_image(x, g)))
        assert not ax.get_xticks().size
    columns = len(places.columns)
    assert [ax.get_title() for ax in figure.axes[:columns]] == list(places.columns)
    assert [ax.get_ylabel() for ax in figure.axes[::columns]] == list(places.rows)


def test_gray_images_are_drawn_gray():
    x = image(1)
    np.testing.assert_array_equal(drawn(viz.orbit(P4(), x).axes[1]), shown(torch.rot90(x, 1, (1, 2)).expand(3, -1, -1)))


def test_what_comes_from_outside_is_transparent():
    ax = viz.orbit(Cyclic(8), torch.full((3, 21, 21), 0.5)).axes[1]
    pixels = drawn(ax)
    assert pixels.shape == (21, 21, 4)
    assert pixels[0, 0, 3] == 0
    assert pixels[10, 10, 3] == pytest.approx(1)
    seen = pixels[..., 3] > 0.05
    np.testing.assert_allclose(pixels[seen][:, :3], 0.5, atol=1e-5)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.rand(2, 3, 8, 8), ShapeError, r"expected one image, .* got \(2, 3, 8, 8\)"),
        (torch.rand(2, 8, 8), ShapeError, r"got \(2, 8, 8\)"),
        (np.zeros((3, 8, 8)), ShapeError, "expected one image, a tensor"),
        (torch.randn(3, 8, 8), EquiconvError, "undo a normalization"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), EquiconvError, "divide by 255"),
        (torch.full((3, 8, 8), torch.nan), EquiconvError, "from nan to nan"),
        (torch.rand(1, 8, 8), ShapeError, "moves images of shape"),
    ],
)
def test_images_that_cannot_be_drawn(x, error, message):
    with pytest.raises(error, match=message):
        viz.orbit(COLORED, x)


# -- kernels ---------------------------------------------------------------------------------------------


def test_kernels_of_a_lift_are_drawn_in_colors():
    layer = GroupConv2d(COLORED.image, 2 * COLORED.regular, 5)
    figure = viz.kernels(layer, out_field=1)
    kernel = layer.kernel().detach().view(2, 12, 3, 5, 5)[1]
    assert len(figure.axes) == 12
    for g, ax in enumerate(figure.axes):
        expected = 0.5 + 0.5 * kernel[g] / kernel.abs().max()
        np.testing.assert_allclose(drawn(ax), shown(expected), atol=1e-6)
    assert figure.axes[4].get_ylabel() == "hue 120°"


@pytest.mark.parametrize("channel_groups", [1, 2])
def test_kernels_of_hidden_layers_are_drawn_entry_by_entry(channel_groups):
    group = P4M()
    layer = GroupConv2d(4 * group.regular, 2 * group.regular, 3, channel_groups=channel_groups)
    figure = viz.kernels(layer, out_field=1, in_field=1)
    kernel = layer.kernel().detach().view(2, 8, -1, 8, 3, 3)[1, :, 1]  # (g, h, kh, kw)
    for g, ax in enumerate(figure.axes):
        assert len(ax.images) == 8
        for h in range(8):
            np.testing.assert_allclose(drawn(ax, h), kernel[g, h], atol=1e-7)
            left, _, _, top = ax.images[h].get_extent()
            assert (left > 1, left > 2, left > 3, top > 1) == (h % 4 > 0, h % 4 > 1, h % 4 > 2, h > 3)
            assert ax.images[h].norm.vmax == pytest.approx(float(kernel.abs().max()))


def test_kernels_of_other_fields_have_a_panel_for_each_entry():
    layer = GroupConv2d(2 * SO2().vector, 2 * SO2().irrep(2), 5)
    figure = viz.kernels(layer)
    kernel = layer.kernel().detach().view(2, 2, 2, 2, 5, 5)[0, :, 0]
    assert [ax.get_title() for ax in figure.axes] == ["entry 0", "entry 1"]
    for d, ax in enumerate(figure.axes):
        for f in range(2):
            np.testing.assert_allclose(drawn(ax, f), kernel[d, f], atol=1e-7)


@pytest.mark.parametrize(
    ("layer", "options", "message"),
    [
        (nn.Conv2d(3, 4, 3), {}, "GroupConv2d; got Conv2d"),
        (GroupConv2d(P4().image, 2 * P4().regular, 3), {"out_field": 2}, "out_field is a number from 0 to 1; got 2"),
        (GroupConv2d(P4().image, 2 * P4().regular, 3), {"in_field": -1}, "in_field is a number from 0 to 0; got -1"),
    ],
)
def test_kernels_that_are_not_there(layer, options, message):
    with pytest.raises(FieldTypeError, match=message):
        viz.kernels(layer, **options)


# -- matplotlib ------------------------------------------------------------------------------------------


def test_nothing_is_registered_and_no_setting_stays_changed(tmp_path):
    from matplotlib import pyplot as plt

    before, layer = dict(rcParams), GroupConv2d(P4().image, P4().regular, 3)
    figures = {
        "orbit": viz.orbit(P4(), image()),
        "kernels": viz.kernels(layer),
        "fields": viz.fields(layer, image(), 1),
        "profile": viz.profile(measured()),
        "wheel": viz.wheel({"a": np.ones(3)}, [0, 120, 240], hues=True),
    }
    assert set(figures) == set(viz.__all__)
    assert plt.get_fignums() == []
    assert dict(rcParams) == before
    for title, figure in figures.items():
        figure.savefig(tmp_path / f"{title}.png", dpi=30)


OPTIONAL = """
import sys
import equiconv.models, equiconv.testing
assert "matplotlib" not in sys.modules
sys.modules["matplotlib"] = None  # as if it were not installed
try:
    import equiconv.viz
except equiconv.EquiconvError as error:
    print(error)
del sys.modules["matplotlib"]
import equiconv.viz
assert "matplotlib.pyplot" not in sys.modules
"""


def test_matplotlib_is_optional():
    done = subprocess.run([sys.executable, "-c", OPTIONAL], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == "equiconv.viz draws with matplotlib: install equiconv with its extra viz"
