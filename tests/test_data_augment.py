"""Augmentations: what they may do to an image, when, and by which random numbers."""

import math

import pytest
import torch
from augmented import COUNT, Broken, noise, twins
from torch.nn import functional as F

from benchmarks.data.augment import (
    AUGMENTATIONS,
    AutoAugment,
    Crop,
    Cutout,
    Hue,
    Mirror,
    ResizedCrop,
    Rotation,
    augmentation,
)
from equiconv import EquiconvError

TURNS = {"rotation": 180, "rotation-nearest": 180, "rotation-fine": 180}
VALUES = {"crop": 4, "resized-crop": 12, "mirror": 0.5, **TURNS, "hue": 0.5, "grayscale": 0.5}
VALUES |= {"autoaugment": 0.9, "cutout": 5, "saturation": 1.0, "brightness": 0.5}


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_seeded_different_for_each_image_and_off_in_evaluation(name):
    module = augmentation({name: VALUES[name]})
    x = twins()
    torch.manual_seed(1)
    one, next_one = module(x), module(x)
    torch.manual_seed(1)
    same = augmentation({name: VALUES[name]})(x)
    assert torch.equal(one, same)
    assert not torch.equal(one, next_one)
    assert (one != one[:1]).any()
    assert one.dtype == x.dtype
    assert one.min() >= 0
    assert one.max() <= 1 + 1e-6
    before = torch.get_rng_state()
    quiet = module.eval()(x)
    assert torch.equal(torch.get_rng_state(), before)
    assert quiet is x if name != "resized-crop" else torch.equal(quiet, x[..., 2:14, 2:14])


def test_nothing_of_them_is_saved_with_a_network():
    module = augmentation(VALUES)
    module(noise())
    assert not module.state_dict()


def test_order_is_that_of_the_names_and_unknown_names_are_refused():
    assert [type(step) for step in augmentation({"hue": 0.1, "crop": 2})] == [Hue, Crop]
    assert not list(augmentation({}))
    with pytest.raises(EquiconvError, match=r"augmentations are crop, resized-crop.*; got flip"):
        augmentation({"crop": 4, "flip": 0.5})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("crop", 0),
        ("crop", 1.5),
        ("resized-crop", 0),
        ("mirror", 1.2),
        ("rotation", 0),
        ("rotation", 200),
        ("hue", 0.6),
        ("saturation", 1.1),
        ("brightness", 0),
        ("grayscale", -1),
        ("autoaugment", 0),
        ("cutout", 0.5),
    ],
)
def test_values_out_of_range_are_refused(name, value):
    with pytest.raises(EquiconvError, match=f"{name} takes"):
        augmentation({name: value})


@pytest.mark.parametrize("name", ["hue", "saturation", "grayscale", "autoaugment"])
def test_colors_of_gray_images_are_refused(name):
    with pytest.raises(EquiconvError, match="needs RGB images; got 1 channels"):
        augmentation({name: 0.5})(torch.rand(2, 1, 8, 8))


# Each is asked for what it may do, and so is one that does something else.


def assert_crops(module):
    x = twins()
    padded = F.pad(x[0], (3, 3, 3, 3))
    windows = padded.unfold(1, 16, 1).unfold(2, 16, 1).permute(1, 2, 0, 3, 4).reshape(49, -1)  # every shift
    same = (module(x).flatten(1)[:, None] == windows).all(-1)
    assert (same.sum(1) == 1).all()
    counts = same.sum(0).reshape(7, 7)
    assert (counts.sum(0) > COUNT / 21).all()
    assert (counts.sum(1) > COUNT / 21).all()


def test_crops_are_shifts_by_whole_pixels():
    assert_crops(Crop(3))
    for broken in (
        Crop(2),
        Crop(4),
        Broken(lambda x: torch.roll(x, 2, -1)),
        Broken(lambda x: F.avg_pool2d(Crop(3)(x), 3, 1, 1)),
    ):
        with pytest.raises(AssertionError):
            assert_crops(broken)


def assert_mirrors(module, probability):
    x = twins()
    y = module(x)
    was, was_not = ((y == each).all(-1).all(-1).all(-1) for each in (x.flip(-1), x))
    assert (was ^ was_not).all()
    assert abs(was.float().mean() - probability) < 5 * math.sqrt(0.25 / COUNT)


def test_mirror_images_are_left_to_right_by_the_probability():
    assert_mirrors(Mirror(), 0.5)
    assert_mirrors(Mirror(0.9), 0.9)
    for broken in (Mirror(0.9), Broken(lambda x: x.flip(-2)), Broken(lambda x: x.flip(-1))):
        with pytest.raises(AssertionError):
            assert_mirrors(broken, 0.5)


def angles(module):
    """Return the angles in degrees by which a bright spot was turned, and how far it is from the center."""
    x = torch.zeros(COUNT, 1, 21, 21)
    x[..., 9:12, 16:19] = 1  # on the right, 7 pixels from the center
    y = module(x)[:, 0]
    rows, columns = torch.meshgrid(torch.arange(21.0) - 10, torch.arange(21.0) - 10, indexing="ij")
    total = y.sum((1, 2))
    up, right = -(y * rows).sum((1, 2)) / total, (y * columns).sum((1, 2)) / total
    return torch.rad2deg(torch.atan2(up, right)), torch.hypot(up, right)


def assert_rotates(module, limit):
    degrees, radius = angles(module)
    assert (radius - 7).abs().max() < 0.3
    assert degrees.abs().max() < limit + 1
    counts = torch.histc(degrees, 4, -limit, limit)
    assert (counts - COUNT / 4).abs().max() < 5 * math.sqrt(COUNT / 4)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("limit", [180, 30])
def test_rotations_are_uniform_about_the_center(limit, interpolation):
    assert_rotates(Rotation(limit, interpolation), limit)
    for broken in (
        Rotation(limit / 2),
        Broken(lambda x: x.rot90(1, (-2, -1))),
        Broken(lambda x: Rotation(limit)(x).roll(2, -1)),
    ):
        with pytest.raises(AssertionError):
            assert_rotates(broken, limit)


def test_rotation_fills_with_black_and_knows_its_interpolations():
    assert set(Rotation(180, "nearest")(torch.ones(20, 1, 9, 9)).unique().tolist()) == {0, 1}
    with pytest.raises(EquiconvError, match="bicubic"):
        Rotation(180, "bicubic")


def test_resized_crops_are_parts_of_the_image():
    ramp = torch.linspace(0, 1, 40).expand(COUNT, 3, 40, 40)
    y = ResizedCrop(12, area=(0.25, 0.25), aspect=(1, 1))(ramp)
    assert y.shape == (COUNT, 3, 12, 12)
    width = y[:, 0, 0, -1] - y[:, 0, 0, 0]
    assert ((width - 0.5).abs() < 0.06).all()
    assert y[..., 0].min() < 0.1
    assert y[..., -1].max() > 0.9


def test_resized_crops_of_smaller_images_are_refused():
    with pytest.raises(EquiconvError, match="at least 20 pixels a side; got 16x16"):
        ResizedCrop(20)(noise())


def test_turns_by_the_nearest_pixel_make_no_new_values():
    x = (torch.rand(8, 1, 16, 16) > 0.5).float()
    assert set(augmentation({"rotation-nearest": 180})(x).unique().tolist()) <= {0.0, 1.0}
    assert len(augmentation({"rotation": 180})(x).unique()) > 100


def test_fine_turns_are_the_same_turns_at_another_resolution():
    rows = torch.linspace(-1, 1, 33)
    x = torch.exp(-8 * ((rows - 0.3) ** 2 + (rows[:, None] + 0.2) ** 2)).expand(6, 1, 33, 33)
    torch.manual_seed(1)
    plain = augmentation({"rotation": 180})(x)
    torch.manual_seed(1)
    fine = augmentation({"rotation-fine": 180})(x)
    assert not torch.equal(fine, plain)
    assert (fine - plain).abs().max() < 0.05
    assert (fine - x).abs().max() > 0.2
    with pytest.raises(EquiconvError, match="whole number as the scale"):
        Rotation(180, scale=0)


def assert_cuts_out(module, side, size=9):
    x = torch.ones(20 * COUNT, 1, size, size)
    y = module(x)
    assert set(y.unique().tolist()) == {0, 1}
    rows, columns = ((y == 0).any(axis)[:, 0] for axis in (3, 2))
    assert torch.equal((y == 0)[:, 0], rows[:, :, None] & columns[:, None])  # rectangles
    for covered in (rows, columns):
        assert covered.sum(1).max() == side
        assert (covered.int().diff(dim=1).abs().sum(1) <= 2).all()  # in one piece
        # the places where it can begin: as many as the axis has pixels, alike frequent
        first = covered.int().argmax(1) - (side - covered.sum(1)) * covered[:, 0]
        counts = torch.bincount(first + side // 2, minlength=size)
        assert len(counts) == size
        assert (counts - len(x) / size).abs().max() < 5 * math.sqrt(len(x) / size)


@pytest.mark.parametrize("side", [4, 5])
def test_squares_are_cut_out_about_every_pixel(side):
    assert_cuts_out(Cutout(side), side)
    for broken in (
        Cutout(side - 1),
        Broken(lambda x: F.pad(Cutout(side)(x[..., 1:]), (1, 0), value=1)),
        Broken(lambda x: (torch.rand_like(x) < 0.5).float()),
    ):
        with pytest.raises(AssertionError):
            assert_cuts_out(broken, side)


def test_a_share_of_the_images_is_changed_by_the_policy():
    x = (255 * twins()).round() / 255
    same = (AutoAugment(0.5)(x) == x).flatten(1).all(1).float().mean()
    often = (AutoAugment(1)(x) == x).flatten(1).all(1).float().mean()
    assert 0.05 < often < 0.3  # operations that are not drawn
    assert abs(same - (1 + often) / 2) < 6 * math.sqrt(0.25 / COUNT)
