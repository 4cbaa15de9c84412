"""Data that are turned: rotated digits and rotated photographs."""

import math

import numpy as np
import pytest
import torch
from stored import digits, numbers, real_data, store, store_mnist

from benchmarks.data import Dataset, check, load, made, rotmnist, rottim
from benchmarks.data.amat import TEST_FILE, TRAIN_FILE, read_amat
from benchmarks.data.moves import rotated
from benchmarks.data.turn import disk, turned
from equiconv import EquiconvError

# -- turning -----------------------------------------------------------------------------------------------------------


def assert_turns(turn):
    """It turns counter-clockwise about the center, each image by its own angle, as independent code does."""
    images = np.random.default_rng(0).integers(0, 256, (6, 2, 15, 15), dtype=np.uint8)
    angles = [0, 90, 180, 270, 30, 287]
    result = turn(images, np.array(angles, float))
    assert result.dtype == np.uint8
    for image, angle, found in zip(images, angles, result, strict=True):
        expected = rotated(torch.from_numpy(image[None] / 255.0), angle)[0].numpy() * 255
        assert np.abs(found - expected).max() <= 0.5 + 1e-6


def test_images_turn_counter_clockwise():
    assert_turns(turned)


@pytest.mark.parametrize(
    "broken",
    [
        lambda x, degrees: turned(x, -degrees),
        lambda x, degrees: turned(x, np.full_like(degrees, degrees[1])),
        lambda x, degrees: turned(x, np.deg2rad(degrees)),
        lambda x, degrees: turned(x.transpose(0, 1, 3, 2), degrees),
        lambda x, degrees: np.roll(turned(x, degrees), 1, -1),
    ],
    ids=["clockwise", "one angle for all", "radians", "transposed", "off center"],
)
def test_wrong_turns_are_seen(broken):
    with pytest.raises(AssertionError):
        assert_turns(broken)


# -- rotated digits ----------------------------------------------------------------------------------------------------


def assert_drawn(arrays, source):
    """The parts are disjoint, the test has images of both parts of the source, and labels go with images."""
    train, test = (numbers(arrays[f"{part}_images"][:, 0] > 127) for part in ("train", "test"))
    count = len(source.train_labels)
    assert len({*train, *test}) == len(train) + len(test)
    assert train.max() < count
    assert test.min() < count <= test.max()
    labels = np.concatenate([source.train_labels, source.test_labels])
    assert np.array_equal(labels[train], arrays["train_labels"])
    assert np.array_equal(labels[test], arrays["test_labels"])
    assert not np.array_equal(np.sort(train), train)


def test_digits_are_drawn_without_overlap():
    source = digits()
    arrays = rotmnist.make(source, "mnist12k", 0, 20, 70)
    assert_drawn(arrays, source)
    leaking = {**arrays, "test_images": arrays["test_images"].copy(), "test_labels": arrays["test_labels"].copy()}
    leaking["test_images"][5], leaking["test_labels"][5] = arrays["train_images"][2], arrays["train_labels"][2]
    with pytest.raises(AssertionError):
        assert_drawn(leaking, source)
    with pytest.raises(AssertionError):
        assert_drawn({**arrays, "train_labels": arrays["train_labels"][::-1]}, source)


def test_rotated_digits_are_the_upright_ones_turned():
    upright, arrays = (rotmnist.make(digits(), kind, 3, 20, 70) for kind in ("mnist12k", "rotmnist"))
    for part in ("train", "test"):
        assert np.array_equal(arrays[f"{part}_images"], turned(upright[f"{part}_images"], arrays[f"{part}_degrees"]))
        assert np.array_equal(arrays[f"{part}_labels"], upright[f"{part}_labels"])
    assert np.abs(arrays["train_images"].astype(int) - upright["train_images"]).max() > 200


def test_angles_are_uniform_over_the_whole_turn():
    arrays = rotmnist.make(digits(2000, 2000), "rotmnist", 0, 1500, 2000)
    degrees = np.concatenate([arrays["train_degrees"], arrays["test_degrees"]])
    counts = np.histogram(degrees, 12, (0, 360))[0]
    assert counts.sum() == 3500
    assert np.abs(counts - 3500 / 12).max() < 5 * math.sqrt(3500 / 12)


def test_mirror_images_are_in_the_training_by_half_and_in_the_test_by_pairs():
    upright, plain, arrays = (
        rotmnist.make(digits(400), kind, 0, 300, 70) for kind in ("mnist12k", "rotmnist", "fliprotmnist")
    )
    mirrored = turned(upright["train_images"][..., ::-1], arrays["train_degrees"])
    was = (arrays["train_images"] == mirrored).all((1, 2, 3))
    was_not = (arrays["train_images"] == plain["train_images"]).all((1, 2, 3))
    assert (was ^ was_not).all()
    assert 110 < was.sum() < 190
    assert np.array_equal(arrays["test_images"][:70], plain["test_images"])
    assert np.array_equal(arrays["test_images"][70:], plain["test_images"][..., ::-1])
    assert arrays["test_labels"].tolist() == [*plain["test_labels"], *plain["test_labels"]]


def test_a_seed_tells_the_draw_and_another_gives_another():
    one, two, other = (rotmnist.make(digits(), "rotmnist", seed, 20, 30) for seed in (0, 0, 1))
    assert made.digest(one) == made.digest(two) != made.digest(other)


def test_too_few_digits_are_refused(home):
    store_mnist(home)
    with pytest.raises(EquiconvError, match="rotmnist needs 62,000 digits of MNIST; got fewer: MNIST, from local"):
        load("rotmnist")


def test_another_draw_than_the_defined_one_is_refused(home, monkeypatch):
    store_mnist(home)
    monkeypatch.setattr(made, "is_exact", lambda *_: True)
    monkeypatch.setattr(rotmnist.make, "__defaults__", (20, 30))
    with pytest.raises(EquiconvError, match=r"rotmnist: expected the checksum 11f5ec8d.*draws or rounds differently"):
        load("rotmnist")
    assert not list((home.parent / "cache").glob("*.npz"))


def test_rotated_digits_are_loaded_from_the_cache(home, monkeypatch):
    store_mnist(home)
    monkeypatch.setattr(rotmnist.make, "__defaults__", (20, 30))
    first = load("rotmnist")
    monkeypatch.setattr(made, "load_source", None)  # it would fail if it were made again
    assert load("rotmnist").fingerprint() == first.fingerprint()
    assert "seed 0" in first.description
    assert "NOT the published pixels" in first.description
    assert first.train_images.shape == (20, 1, 28, 28)
    assert load("rotmnist", 32).size == 32


# -- the published files -----------------------------------------------------------------------------------------------


def write_amat(path, images, labels):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.concatenate([images.reshape(len(images), -1) / 255, labels[:, None]], 1)
    np.savetxt(path, rows, fmt="%.6f")


def test_published_files_win(home, monkeypatch):
    monkeypatch.setattr(rotmnist, "TRAIN", 20)
    monkeypatch.setattr(rotmnist, "TEST", 30)
    store_mnist(home)
    source = digits(20, 30)
    write_amat(home / "rotmnist" / TRAIN_FILE, source.train_images, source.train_labels)
    with pytest.raises(EquiconvError, match=r"train_valid\.amat alone: put the other there"):
        check("rotmnist")
    write_amat(home / "rotmnist" / TEST_FILE, source.test_images, source.test_labels)
    check("rotmnist")
    data = load("rotmnist")
    assert data.train_images.dtype == np.float32
    assert np.array_equal(data.train_images * 255, source.train_images)
    assert np.array_equal(data.test_labels, source.test_labels)
    assert "published rotated MNIST" in data.description
    assert load("rotmnist").fingerprint() == data.fingerprint()


def test_published_files_that_are_something_else_are_refused(tmp_path):
    source, path = digits(5), tmp_path / "x.amat"
    write_amat(path, source.train_images, source.train_labels)
    with pytest.raises(EquiconvError, match="expected 6 lines of 785 numbers; got 5 lines of 785"):
        read_amat(path, 6)
    write_amat(path, source.train_images, source.train_labels + 8)
    with pytest.raises(EquiconvError, match="labels from 0 to 9"):
        read_amat(path, 5)
    path.write_text("0.5 0.5\n0.5 what\n")
    with pytest.raises(EquiconvError, match="is damaged"):
        read_amat(path, 2)


# -- rotated photographs -----------------------------------------------------------------------------------------------


def photographs(count=30, classes=3):
    images = np.random.default_rng(0).integers(50, 256, (count, 3, 64, 64), dtype=np.uint8)
    labels = np.arange(count) % classes
    return Dataset("tiny-imagenet", "Noise.", tuple("abcdefg"[:classes]), images, labels, images[:9], labels[:9])


def assert_rotated_photographs(arrays, source, kind, classes):
    """The kept classes are turned, by half mirrored before if they should be, and black outside the disk."""
    kept = source.train_images[source.train_labels < classes]
    assert np.array_equal(arrays["train_labels"], source.train_labels[source.train_labels < classes])
    inside = disk(64)
    assert (arrays["train_images"][..., ~inside] == 0).all()
    assert (arrays["train_images"][..., inside] > 0).all()
    plain, mirrored = (turned(x, arrays["train_degrees"]) for x in (kept, kept[..., ::-1]))
    was_not, was = ((arrays["train_images"] == x)[..., inside].all((1, 2)) for x in (plain, mirrored))
    assert (was ^ was_not).all()
    assert was_not.any()
    assert was.any() == (kind == "r2-tim")
    assert np.ptp(arrays["train_degrees"]) > 180


@pytest.mark.parametrize("kind", rottim.KINDS)
def test_photographs_are_turned_and_masked(kind):
    source = photographs()
    arrays = rottim.make(source, kind, 0, 2)
    assert_rotated_photographs(arrays, source, kind, 2)
    assert len(arrays["test_labels"]) == 6
    other = "rot-tim" if kind == "r2-tim" else "r2-tim"
    unmasked = turned(source.train_images[source.train_labels < 2], arrays["train_degrees"])
    for broken in (rottim.make(source, other, 0, 2), {**arrays, "train_images": unmasked}):
        with pytest.raises(AssertionError):
            assert_rotated_photographs(broken, source, kind, 2)


def test_rotated_photographs_are_loaded_by_name(home):
    source = photographs(12)
    for split in ("train", "test"):
        store(home / "tiny-imagenet" / f"{split}.parquet", source.train_images, source.train_labels, source.classes)
    data, mirrored = load("rot-tim"), load("r2-tim", 65)
    assert data.classes == ("a", "b", "c")
    assert data.train_images.shape == (12, 3, 64, 64)
    assert mirrored.size == 65
    assert "NOT COMPLETE: 12 + 12 of 100,000 + 10,000" in data.description
    assert data.fingerprint() == load("rot-tim").fingerprint()


@real_data
def test_real_data_have_the_defined_checksums(tmp_path, monkeypatch):
    monkeypatch.setenv("EQUICONV_CACHE", str(tmp_path))
    data = load("rotmnist")  # raises unless they have
    assert "Bit-exact" in data.description
    assert (len(data.train_labels), len(data.test_labels)) == (12000, 50000)
