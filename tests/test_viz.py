"""The drawings show what they say: the arrays in their axes, the labels, the frames."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from matplotlib import rcParams
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.quiver import Quiver
from torch import nn

from equiconv import viz
from equiconv.errors import EquiconvError, FieldTypeError, GroupError, ShapeError
from equiconv.groups import O2, P4, P4M, SO2, Cyclic, Flip, HueShift, Trivial
from equiconv.layers import GroupConv2d, GroupPool
from equiconv.testing import Profile, Sweep
from equiconv.viz.elements import name, table
from equiconv.viz.style import MARK

COLORED = HueShift(3) * P4()


def image(channels=3, side=9):
    return torch.rand(channels, side, side)


def drawn(ax, number=0):
    return np.array(ax.images[number].get_array())


def shown(colors):
    """An image (3, h, w) as it is drawn."""
    return colors.clamp(0, 1).movedim(0, -1).numpy()


def framed(axes):
    """The axes with the frame that is seen first."""
    return [ax for ax in axes if to_rgb(ax.spines["left"].get_edgecolor()) == to_rgb(MARK)]


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


# -- fields ----------------------------------------------------------------------------------------------


def parts(figure, maps):
    """The axes of the two images, and of their maps."""
    axes = figure.axes
    assert len(axes) == 2 * (maps + 1)
    return [axes[0], axes[maps + 1]], [axes[1 : maps + 1], axes[maps + 2 :]]


def test_regular_fields_move_with_the_image():
    layer, x, g = GroupConv2d(COLORED.image, 2 * COLORED.regular, 3, padding=1), image(), 5
    images, maps = parts(viz.fields(layer, x, g, field=1), 12)
    moved = COLORED.transform_image(x, g)
    np.testing.assert_array_equal(drawn(images[0]), shown(x))
    np.testing.assert_array_equal(drawn(images[1]), shown(moved))
    assert images[1].get_title() == "g·x, g: hue 120°, turn 90°"
    for panels, input_image in zip(maps, (x, moved), strict=True):
        features = layer(input_image[None])[0, 1].detach()
        for h, ax in enumerate(panels):
            np.testing.assert_allclose(drawn(ax), features[h], atol=1e-6)
            assert ax.texts[0].get_text() == str(h)
    assert [framed(panels) for panels in maps] == [[maps[0][0]], [maps[1][5]]]
    np.testing.assert_allclose(np.rot90(drawn(framed(maps[0])[0])), drawn(framed(maps[1])[0]), atol=1e-5)
    assert len({ax.images[0].norm.vmax for ax in [*maps[0], *maps[1]]}) == 1


def test_quotient_fields_are_framed_where_their_entries_go():
    group = P4M()
    layer = nn.Sequential(GroupConv2d(group.image, group.regular, 3, padding=1), GroupPool(1 * group.regular, over=[4]))
    _, maps = parts(viz.fields(layer, image(), 5, out_type=group.quotient([4])), 4)
    first, second = framed(maps[0])[0], framed(maps[1])[0]
    np.testing.assert_allclose(np.rot90(drawn(first))[::-1], drawn(second), atol=1e-5)


def test_vectors_are_arrows_that_turn():
    group = P4()
    layer = GroupConv2d(group.image, 1 * group.vector, 3, padding=1)
    _, maps = parts(viz.fields(layer, image(), 1), 1)
    quivers = [next(part for part in panel[0].collections if isinstance(part, Quiver)) for panel in maps]
    vectors = layer(image()[None]).shape
    assert vectors == (1, 1, 2, 9, 9)
    still, moved = ({(x, y): (u, v) for x, y, u, v in zip(q.X, q.Y, q.U, q.V, strict=True)} for q in quivers)
    assert len(still) > 20
    for (x, y), (u, v) in still.items():  # a quarter turn sends column x, row y to column y, row 8 - x
        np.testing.assert_allclose(moved[y, 8 - x], (-v, u), atol=1e-5)


def test_arrows_show_the_entries_and_their_norm():
    group, x = P4(), image()
    layer = GroupConv2d(group.image, 1 * group.vector, 3, padding=1)
    _, maps = parts(viz.fields(layer, x, 0), 1)
    vectors = layer(x[None])[0, 0].detach()
    quiver = next(part for part in maps[0][0].collections if isinstance(part, Quiver))
    for column, row, u, v in zip(quiver.X, quiver.Y, quiver.U, quiver.V, strict=True):
        np.testing.assert_allclose((u, v), vectors[:, row, column], atol=1e-6)
    np.testing.assert_allclose(drawn(maps[0][0]), vectors.norm(dim=0), atol=1e-6)


def test_other_fields_are_drawn_by_their_norm_and_invariants_as_they_are():
    group, x = SO2(), image()
    layer = GroupConv2d(group.image, 1 * group.regular, 5, padding=2)
    _, maps = parts(viz.fields(layer, x, 3), 1)
    np.testing.assert_allclose(drawn(maps[0][0]), layer(x[None])[0, 0].norm(dim=0).detach(), atol=1e-6)
    layer = GroupConv2d(P4().image, 2 * P4().trivial, 5, padding=2)
    _, maps = parts(viz.fields(layer, x, 3, field=1), 1)
    np.testing.assert_allclose(drawn(maps[0][0]), layer(x[None])[0, 1].detach(), atol=1e-6)


def test_zeros_are_drawn_as_zeros():
    for kind in (P4().regular, P4().vector):
        layer = GroupConv2d(P4().image, kind, 3, padding=1)
        for parameter in layer.parameters():
            parameter.data.zero_()
        assert all((drawn(ax) == 0.5).all() for ax in viz.kernels(layer).axes)
        figure = viz.fields(layer, image(), 1)
        figure.draw_without_rendering()
        assert (drawn(figure.axes[1]) == 0).all()


def test_drawing_leaves_the_layer_as_it_is():
    layer = nn.Sequential(GroupConv2d(P4().image, 2 * P4().regular, 3), nn.BatchNorm3d(2)).train()
    before = {key: value.clone() for key, value in layer.state_dict().items()}
    viz.fields(layer, image(), 1, out_type=2 * P4().regular)
    assert layer.training
    assert all(torch.equal(value, before[key]) for key, value in layer.state_dict().items())


@pytest.mark.parametrize(
    ("layer", "g", "options", "error", "message"),
    [
        (nn.Conv2d(3, 4, 3), 1, {}, FieldTypeError, "say out_type"),
        (nn.Conv2d(3, 4, 3), 1, {"out_type": P4().regular}, ShapeError, "fields of type"),
        (GroupConv2d(P4().image, P4().regular, 3), 4, {}, GroupError, "the elements of"),
        (GroupConv2d(P4().image, P4().regular, 3), 1, {"field": 1}, FieldTypeError, "field is a number from 0 to 0"),
    ],
)
def test_fields_that_cannot_be_drawn(layer, g, options, error, message):
    with pytest.raises(error, match=message):
        viz.fields(layer, image(), g, **options)


# -- profile ---------------------------------------------------------------------------------------------


def measured(layers=3, **sweeps):
    errors = 10.0 ** -np.arange(layers * 4).reshape(layers, 4)
    return Profile(P4(), tuple(f"layer{i}" for i in range(layers)), errors, **sweeps)


def test_a_profile_shows_the_errors_layer_by_layer():
    found = measured(angles=Sweep(np.array([0.0, 60.0, 90.0]), np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]]) / 10))
    figure = viz.profile(found)
    elements, angles = figure.axes[:2]
    np.testing.assert_array_equal(drawn(elements), found.elements)
    np.testing.assert_array_equal(drawn(angles), found.angles.errors)
    assert [text.get_text() for text in elements.get_yticklabels()] == list(found.layers)
    assert [text.get_text() for text in elements.get_xticklabels()] == [
        "identity",
        "turn 90°",
        "turn 180°",
        "turn 270°",
    ]
    assert [text.get_text() for text in angles.get_xticklabels()] == ["0°", "60°"]
    assert list(angles.get_xticks()) == [0, 1]
    assert figure.get_suptitle() == "Cyclic(4)"
    assert [ax.get_title() for ax in figure.axes[:2]] == ["elements", "image turned by"]


def test_the_colors_of_a_profile_are_a_logarithmic_scale_that_is_always_the_same():
    for found in (measured(), measured(1)):
        norm = viz.profile(found).axes[0].images[0].norm
        shares = norm(np.array([1e-16, 1e-8, 1e-3, 1e-2, 1e-1, 1.0]))
        np.testing.assert_allclose(shares, [0, 0.3 * 8 / 13, 0.3, 0.3 + 0.7 / 3, 0.3 + 1.4 / 3, 1])
        assert norm(0.0) <= 0
        np.testing.assert_allclose(norm.inverse(shares), [1e-16, 1e-8, 1e-3, 1e-2, 1e-1, 1.0])


def test_what_is_not_finite_is_written():
    found = measured()
    found.elements[1, 2], found.elements[2, 0] = np.inf, np.nan
    ax = viz.profile(found).axes[0]
    assert {(text.get_position(), text.get_text()) for text in ax.texts} == {((2, 1), "∞"), ((0, 2), "?")}


def test_many_layers_and_elements_are_not_all_named():
    errors = np.full((300, SO2().order), 1e-3)
    figure = viz.profile(Profile(SO2(), tuple(map(str, range(300))), errors))
    ax = figure.axes[0]
    assert len(ax.get_yticklabels()) <= 72
    assert [text.get_text() for text in ax.get_xticklabels()][:2] == ["identity", "turn 30°"]
    assert list(ax.get_xticks()) == list(range(0, 96, 8))
    assert figure.get_figheight() < 20


def test_only_profiles_are_drawn():
    with pytest.raises(EquiconvError, match="equivariance_profile returns; got dict"):
        viz.profile({})


# -- wheel -----------------------------------------------------------------------------------------------


def test_a_wheel_is_closed_and_has_means_and_bands():
    values = np.array([[0.2, 0.4, 0.6, 0.8], [0.4, 0.6, 0.8, 1.0]])
    figure = viz.wheel({"a": values, "b": values[0]}, [0, 90, 180, 270])
    first, second = figure.axes[0].lines
    np.testing.assert_allclose(first.get_ydata(), [30, 50, 70, 90, 30])
    np.testing.assert_allclose(second.get_ydata(), [20, 40, 60, 80, 20])
    np.testing.assert_allclose(np.degrees(first.get_xdata()), [0, 90, 180, 270, 0])
    band = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == pytest.approx((30 - 10 * 2**0.5, 90 + 10 * 2**0.5))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    assert first.get_color() != second.get_color()
    assert not figure.axes[0].patches


def test_the_ring_shows_the_hue_that_red_becomes():
    ring = viz.wheel({"a": np.ones(3)}, [0, 120, 240], hues=True).axes[0].patches
    for patch in ring[:: len(ring) // 3]:
        center = patch.get_x() + patch.get_width() / 2
        assert int(np.argmax(patch.get_facecolor()[:3])) == round(center / (2 * np.pi / 3)) % 3


@pytest.mark.parametrize(
    ("curves", "message"),
    [
        ({}, "expected one name"),
        ({"a": [1, 0.5]}, r"a needs accuracies \(3,\) or \(seeds, 3\), one for each angle; got \(2,\)"),
        ({"a": [[[1, 1, 1]]]}, r"got \(1, 1, 3\)"),
        ({"a": [98, 50, 98]}, "from 0 to 1; got 50 to 98"),
        ({"a": [1, np.nan, 1]}, "from 0 to 1; got nan"),
    ],
)
def test_wheels_that_cannot_be_drawn(curves, message):
    with pytest.raises(ShapeError, match=message):
        viz.wheel(curves, [0, 90, 180])


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
    assert done.stdout.strip() == "equiconv.viz draws with matplotlib: pip install equiconv[viz]"
