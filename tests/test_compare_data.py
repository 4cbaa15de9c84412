"""The data of the comparison: the digits, folders of images, and how they are moved."""

import re

import numpy as np
import pytest
import torch
from matplotlib.colors import rgb_to_hsv
from PIL import Image

from benchmarks.data import load
from benchmarks.data.conditions import CONDITIONS, moved
from benchmarks.data.dataset import stratified
from benchmarks.data.moves import hue_shifted, rotated
from equiconv import EquiconvError


def test_digits_are_the_same_every_time_balanced_and_reddish():
    one, two = load("digits", 14), load("digits", 14)
    assert one.fingerprint() == two.fingerprint() != load("digits", 16).fingerprint()
    for labels in (one.train_labels, one.test_labels):
        counts = np.bincount(labels)
        assert len(counts) == 10
        assert counts.max() - counts.min() <= 0.1 * counts.max()
    assert len(one.train_labels) + len(one.test_labels) == 1797
    for images in (one.train_images, one.test_images):
        assert images.min() >= 0 <= images.max() <= 1
        red, green, blue = images.sum((2, 3)).T
        assert (red > 1.2 * green).all()
        assert (red > 1.2 * blue).all()


def test_split_is_disjoint_and_stratified():
    labels = np.repeat([0, 1, 2], [2, 40, 8])
    first, second = stratified(labels, 0.25)
    assert sorted([*first, *second]) == list(range(50))
    assert np.bincount(labels[second]).tolist() == [1, 10, 2]
    assert not np.array_equal(second, np.sort(second)[::-1])


def test_conditions_move_images_as_they_say():
    x = torch.rand(2, 3, 6, 6, dtype=torch.float64)
    red = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1)
    assert torch.equal(rotated(x, 90)[..., 0, 0], x[..., 0, -1])  # counter-clockwise: top right goes to top left
    assert hue_shifted(red, 120).flatten().tolist() == [0, 1, 0]
    assert hue_shifted(red, 60).flatten().tolist() == pytest.approx([1, 1, 0])
    assert torch.allclose(hue_shifted(hue_shifted(x, 75), 45), hue_shifted(x, 120))
    assert [len(set(moves)) for moves in CONDITIONS.values()] == [1, 3, 2, 6, 2, 2, 2, 2]
    assert torch.equal(
        moved(x, (("rotation", 180), ("hue", 240))), torch.stack([x[:, 1], x[:, 2], x[:, 0]], 1).flip(-1, -2)
    )


def test_rotation_between_quarter_turns_goes_the_same_way():
    x = torch.zeros(1, 1, 21, 21, dtype=torch.float64)
    x[..., 9:12, 17:20] = 1  # on the right
    turned = rotated(x, 30)[0, 0]
    rows, columns = torch.meshgrid(torch.arange(21.0) - 10, torch.arange(21.0) - 10, indexing="ij")
    y, across = -(turned * rows).sum() / turned.sum(), (turned * columns).sum() / turned.sum()
    assert torch.rad2deg(torch.atan2(y, across)).item() == pytest.approx(30, abs=1)
    for angle in (30, 45, 75):
        assert torch.equal(rotated(x, angle + 90), torch.rot90(rotated(x, angle), 1, (-2, -1)))


def test_recolored_digits_are_the_digits_in_every_color_for_the_test():
    plain, found = load("digits", 16), load("digits-recolored", 16)
    assert np.array_equal(found.train_images, plain.train_images)
    assert np.array_equal(found.test_labels, plain.test_labels)
    assert found.fingerprint() != plain.fingerprint()
    strokes = [each.test_images.max(1) / each.test_images.max((1, 2, 3))[:, None, None] for each in (plain, found)]
    np.testing.assert_allclose(*strokes, atol=1e-5)  # the same digits

    def spread(images):
        """Return the share of each sixth of the hues, and the ranges of saturation and value."""
        place = images.max(1).reshape(len(images), -1).argmax(1)
        brightest = images.reshape(*images.shape[:2], -1)[np.arange(len(images)), :, place]
        hue, saturation, value = rgb_to_hsv(brightest).T
        return np.histogram(hue, 6, (0, 1))[0] / len(hue), np.ptp(saturation), np.ptp(value)

    for images, wide in ((found.test_images, True), (plain.test_images, False), (found.train_images, False)):
        hues, saturation, value = spread(images)
        assert bool(hues.min() > 0.1) is wide
        assert bool(saturation > 0.9) is wide
        assert bool(value > 0.6) is wide


def test_folder_is_read_and_split(folder):
    data = load(str(folder), 14)
    assert data.classes == ("class0", "class1", "class2")
    assert data.train_images.shape == (24, 3, 14, 14)
    assert np.bincount(data.test_labels).tolist() == [2, 2, 2]
    assert load(str(folder), 14).fingerprint() == data.fingerprint()
    assert data.test_images[data.test_labels == 2].mean() > data.test_images[data.test_labels == 0].mean() + 0.02


def test_folder_with_train_and_test_is_not_split_again(folder, tmp_path):
    (tmp_path / "train").symlink_to(folder)
    (tmp_path / "test").symlink_to(folder)
    data = load(str(tmp_path), 14)
    assert len(data.train_labels) == len(data.test_labels) == 30


def _image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 14)).save(path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "found 0"),
        (["a/1.png", "a/2.png"], "at least 2 classes; found 1"),
        (["a/1.png", "a/2.png", "b/1.png"], "b: a class needs at least 2 images"),
        (["a/1.png", "a/2.png", "b/1.txt", "b/2.txt"], "b: a class needs at least 2 images"),
        (["a/1.png", "a/2.png", "b/1.png", "b/broken.png"], "broken.png: cannot be read as an image"),
        (["train/a/1.png", "train/b/1.png", "test/a/1.png", "test/c/1.png"], "only one of them has: b, c"),
    ],
)
def test_folders_that_cannot_be_used(tmp_path, files, message):
    for file in files:
        path = tmp_path / file
        if path.suffix == ".txt" or path.stem == "broken":
            path.parent.mkdir(exist_ok=True)
            path.write_text("no image")
        else:
            _image(path)
    with pytest.raises(EquiconvError, match=re.escape(message)):
        load(str(tmp_path), 14)
