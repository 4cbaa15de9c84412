"""Drawings of features, profiles and wheels show what they say."""

import numpy as np
import pytest
import torch
from drawings import COLORED, drawn, framed, image, measured, shown
from matplotlib.quiver import Quiver
from torch import nn

from equiconv import viz
from equiconv.errors import EquiconvError, FieldTypeError, GroupError, ShapeError
from equiconv.groups import P4, P4M, SO2
from equiconv.layers import GroupConv2d, GroupPool
from equiconv.testing import Profile, Sweep

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


class Halves(nn.Module):
    """Cut what comes out of a layer in two, and say nothing of it."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)[:, :1]


def test_the_last_layer_of_a_network_says_its_type():
    group, x = P4(), image()
    lift, pool = GroupConv2d(group.image, 2 * group.regular, 3, padding=1), GroupPool(2 * group.regular)
    for layers, maps in (((lift,), 4), ((lift, nn.ReLU()), 4), ((lift, nn.Sequential(nn.ReLU(), pool)), 1)):
        net = nn.Sequential(*layers)
        _, panels = parts(viz.fields(net, x, 1, field=1), maps)
        with torch.no_grad():
            features = net(x[None])[0, 1].reshape(maps, 9, 9)
        np.testing.assert_allclose([drawn(ax) for ax in panels[0]], features, atol=1e-6)
    for untold in (nn.Sequential(lift, nn.Flatten(1, 2)), Halves(lift), nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())):
        with pytest.raises(FieldTypeError, match="say out_type"):
            viz.fields(untold, x, 1)


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


@pytest.mark.parametrize("degrees", [[], [0, 180, 360], [-90, 90, 270], [0, 1e-12], [0, np.nan], [[0, 90]], 0])
def test_angles_of_a_wheel_are_there_once(degrees):
    with pytest.raises(ShapeError, match="degrees: expected at least one angle, each once around: leave out 360"):
        viz.wheel({"a": np.full(np.shape(degrees), 0.5)}, degrees)


def test_angles_of_a_wheel_need_no_order():
    (line,) = viz.wheel({"a": [0.2, 0.4, 0.6]}, np.array([300, -10, 0])).axes[0].lines
    np.testing.assert_allclose(np.degrees(line.get_xdata()), [300, -10, 0, 300])
