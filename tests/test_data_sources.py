"""Published data sets: where they are looked for, what is said of them, and how they are refused."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from stored import coded, numbers, real_data, store

from benchmarks.data import check, load, names, published
from benchmarks.data.digits import DIGITS, RECOLORED
from benchmarks.data.sources import SOURCES, locate
from benchmarks.data.stream import CentralCut, stream
from equiconv import EquiconvError


def colored(count, size=32, start=0):
    return np.concatenate(
        [coded(count, size, start), coded(count, size, start) // 2, coded(count, size, start) // 3], 1
    )


def store_cifar(home, kind="png", columns=("img", "label")):
    classes = [f"class{index}" for index in range(10)]
    for split, count, start in (("train", 40, 0), ("test", 20, 40)):
        store(
            home / "cifar10" / f"{split}.parquet",
            colored(count, start=start),
            np.arange(count) % 10,
            classes,
            columns,
            kind,
        )


def test_local_files_are_read_with_their_columns_and_classes(home):
    store_cifar(home)
    data = load("cifar10")
    assert np.array_equal(data.train_images, colored(40))
    assert np.array_equal(data.test_images, colored(20, start=40))
    assert data.train_images.dtype == np.uint8
    assert data.train_images.flags.c_contiguous
    assert data.test_labels.tolist() == [*range(10)] * 2
    assert data.classes[3] == "class3"
    assert "NOT COMPLETE: 40 + 20 of 50,000 + 10,000" in data.description
    assert "RE-ENCODED" not in data.description


def test_a_re_encoding_is_said(home):
    store_cifar(home, "jpeg")
    data = load("cifar10")
    assert "RE-ENCODED as JPEG" in data.description
    assert not np.array_equal(data.train_images, colored(40))


def test_shards_are_read_in_order(home):
    store_cifar(home)
    (home / "cifar10" / "train.parquet").unlink()
    for shard in range(4):
        labels = np.arange(10 * shard, 10 * shard + 10) % 10
        path = home / "cifar10" / f"train-{shard:05}-of-00004.parquet"
        store(path, colored(10, start=10 * shard), labels, "abcdefghij", ("img", "label"))
    assert np.array_equal(load("cifar10").train_images, colored(40))


def test_other_sizes_keep_the_middle(home):
    wide = np.zeros((10, 3, 40, 80), np.uint8)
    wide[..., 20:60] = 200
    for split in ("train", "test"):
        store(home / "pets" / f"{split}.parquet", wide, [*range(5)] * 2, "abcde")
    data = load("pets", 20)
    assert data.train_images.shape == (10, 3, 20, 20)
    assert (data.train_images[..., 1:-1] == 200).all()  # the outermost are mixed with their neighbors
    assert (data.train_images > 150).all()
    assert load("pets").size == 256


def test_a_part_is_held_out_where_there_is_no_test_and_the_background_is_left_out(home):
    labels = np.arange(60) % 4
    store(home / "caltech101" / "train.parquet", colored(60), labels, ["ant", "BACKGROUND_Google", "bass", "crab"])
    data = load("caltech101", 32)
    assert data.classes == ("ant", "bass", "crab")
    found = np.concatenate([data.train_images, data.test_images])[:, 0] > 127
    used = np.concatenate([data.train_labels, data.test_labels])
    assert sorted(set(labels[numbers(found)])) == [0, 2, 3]
    assert np.array_equal(np.array([0, 2, 3])[used], labels[numbers(found)])
    assert len(set(numbers(found))) == 45
    assert np.bincount(data.test_labels).tolist() == [5, 5, 5]
    assert "33% of each class are held out" in data.description


@pytest.mark.parametrize("name", [name for name in names() if name not in (DIGITS, RECOLORED, "colormnist-biased:STD")])
def test_what_is_not_there_is_said_at_once(home, name, monkeypatch):
    begun = time.monotonic()
    with pytest.raises(
        EquiconvError, match=r"EQUICONV_DATA is .*, where there is no .*set EQUICONV_HUB=1 to download|too large"
    ):
        check(name, 32)
    monkeypatch.delenv("EQUICONV_DATA")
    with pytest.raises(EquiconvError, match=r"EQUICONV_DATA is not set; set EQUICONV_DATA to a folder with|too large"):
        load(name, 32)
    assert time.monotonic() - begun < 5


def test_what_is_there_passes_the_check(home, folder):
    store_cifar(home)
    for name in ("cifar10", "digits", str(folder)):
        check(name)


@pytest.mark.parametrize("name", ["cifar", "colormnist-biased", "no/such/folder"])
def test_unknown_names_are_refused(name):
    for ask in (check, load):
        with pytest.raises(EquiconvError, match=r"folder with one subfolder of images a class.*cifar10, cifar100"):
            ask(name)


@pytest.mark.parametrize("deviation", ["", "wide", "-3", "nan", "inf"])
def test_deviations_that_are_none_are_refused(deviation):
    with pytest.raises(EquiconvError, match="deviation of the hue"):
        check(f"colormnist-biased:{deviation}")


class Unreachable:
    def dataset_info(self, *_, **__):
        raise ConnectionError("no route to host")


def test_a_hub_that_cannot_be_reached_fails_at_once(home, monkeypatch):
    import huggingface_hub

    monkeypatch.setenv("EQUICONV_HUB", "1")
    monkeypatch.setattr(huggingface_hub, "HfApi", Unreachable)
    with pytest.raises(EquiconvError, match=r"cannot be reached .*no route.*HF_HUB_OFFLINE=1; else set EQUICONV_DATA"):
        check("cifar100")


@pytest.fixture
def hub(home, monkeypatch):
    """A hub that is a folder with the three splits of the flowers."""
    import datasets
    import huggingface_hub

    for start, split in ((0, "train"), (20, "validation"), (40, "test")):
        store(home / "hub" / f"{split}.parquet", colored(20, start=start), np.arange(20) % 4, "abcd")
    real = datasets.load_dataset

    def load_dataset(name, *, split, streaming):
        assert name == "dpdl-benchmark/oxford_flowers102"
        files = {split: str(home / "hub" / f"{split}.parquet")}
        return real("parquet", data_files=files, split=split, streaming=streaming, cache_dir=str(home / "downloaded"))

    monkeypatch.setenv("EQUICONV_HUB", "1")
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, **__: None)


def test_what_is_on_the_hub_is_loaded_and_streamed(hub):
    data = load("flowers102", 32)
    assert np.array_equal(data.train_images, colored(40))  # training and validation together
    assert np.array_equal(data.test_images, colored(20, start=40))
    assert "from dpdl-benchmark/oxford_flowers102 on the Hugging Face hub" in data.description
    part = stream("flowers102", "train", CentralCut(1), size=32)
    assert [example["label"] for example in part.examples] == [*range(4)] * 10
    assert part.classes == tuple("abcd")


def test_the_hub_is_not_asked_where_files_are(home, monkeypatch):
    import huggingface_hub

    store_cifar(home)
    monkeypatch.setenv("EQUICONV_HUB", "1")
    monkeypatch.setattr(huggingface_hub, "HfApi", Unreachable)
    assert locate(SOURCES["cifar10"]).files["test"]


def test_too_large_for_the_memory_is_said_before_anything_is_read(home, monkeypatch):
    store_cifar(home)
    monkeypatch.setattr(published.os, "sysconf", lambda name: {"SC_PAGE_SIZE": 2**10}.get(name, 100 * 2**10))
    with pytest.raises(
        EquiconvError, match=r"takes 0.2 GiB of memory, and this machine has 0.1: choose a smaller size"
    ):
        load("cifar10")
    load("cifar10", 16)


def test_columns_labels_and_images_that_do_not_fit_are_refused(home):
    store_cifar(home, columns=("image", "label"))
    with pytest.raises(EquiconvError, match=r"expected the columns img and label; .* have image, label"):
        load("cifar10")
    store_cifar(home)
    for split in ("train", "test"):
        store(home / "pets" / f"{split}.parquet", colored(2), [0, -1], "ab")
    with pytest.raises(EquiconvError, match="expected labeled images; got the label -1"):
        load("pets", 32)


def test_images_that_cannot_be_decoded_are_refused(home, monkeypatch):
    monkeypatch.setattr("stored.encoded", lambda *_: b"no image")
    store_cifar(home)
    with pytest.raises(EquiconvError, match="cannot be decoded"):
        load("cifar10")


def test_digits_that_are_not_mnist_are_called_so(home):
    for split, count in (("train", 20), ("test", 10)):
        store(home / "mnist" / f"{split}.parquet", coded(count), np.arange(count) % 10, "0123456789")
    data = load("mnist")
    assert data.train_images.shape == (20, 1, 28, 28)
    assert "NOT the published pixels" in data.description


@real_data
def test_mnist_is_bit_exact():
    data = load("mnist")
    assert "Bit-exact" in data.description
    assert np.bincount(data.train_labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    for part, expected in (("train", "a25bea736e30d166cdddb491f175f624"), ("test", "27ae3e4e09519cfbb04c329615203637")):
        labels = getattr(data, f"{part}_labels")
        head = bytes((0, 0, 8, 1)) + np.array(len(labels), ">i4").tobytes()
        assert published.hashlib.md5(head + labels.astype(np.uint8).tobytes()).hexdigest() == expected
    data.train_images[3, 0, 5, 5] ^= 1
    assert not published.is_exact(SOURCES["mnist"], data)


@real_data
@pytest.mark.skipif(
    not (Path(os.environ.get("EQUICONV_DATA", "")) / "cifar10").is_dir(), reason="needs CIFAR-10 in EQUICONV_DATA"
)
def test_cifar_is_whole_and_says_what_it_is():
    data = load("cifar10")
    assert data.train_images.shape == (50000, 3, 32, 32)
    assert np.bincount(data.test_labels).tolist() == [1000] * 10
    assert "NOT COMPLETE" not in data.description
