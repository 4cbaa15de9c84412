"""Streams: every image once, over ranks and workers, in an order that a seed tells."""

import pickle

import pytest
import torch
from stored import numbers, store_imagenet
from torch.utils.data import DataLoader

from benchmarks.data import load
from benchmarks.data.images import central_box, random_box
from benchmarks.data.stream import CentralCut, RandomCut, stream
from equiconv import EquiconvError

SHARDS, EACH = 4, 6
WHOLE = CentralCut(1)


@pytest.fixture(autouse=True)
def _imagenet(home, monkeypatch):
    monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)  # it waits 5 seconds after every pass
    store_imagenet(home, [EACH] * SHARDS)


def labels(world, workers, **options):
    """Return the labels that each rank sees, in its order."""
    seen = []
    for rank in range(world):
        part = stream("imagenet", "train", WHOLE, size=64, rank=rank, world=world, **options)
        loader = DataLoader(part.examples, batch_size=4, num_workers=workers)
        batches = list(loader)
        seen.append([label for batch in batches for label in batch["label"].tolist()])
        for batch in batches:
            assert batch["image"].dtype == torch.uint8
            assert batch["image"].shape[1:] == (3, 64, 64)
            assert numbers(batch["image"][:, 0].numpy() > 127).tolist() == batch["label"].tolist()
    return seen


def assert_each_once(seen):
    assert sorted(label for rank in seen for label in rank) == list(range(SHARDS * EACH))
    assert all(seen)


@pytest.mark.parametrize(("world", "workers"), [(1, 0), (2, 0), (3, 0), (2, 2)])
def test_every_image_is_seen_once(world, workers):
    assert_each_once(labels(world, workers, seed=0, buffer=10))


def test_an_image_seen_twice_or_never_is_noticed():
    one = labels(1, 0)[0]
    for broken in ([one, one], [one[:-1]], [one, []]):
        with pytest.raises(AssertionError):
            assert_each_once(broken)


def test_the_order_is_that_of_the_seed_and_the_epoch():
    plain, one, same, other = (labels(1, 0, seed=seed, buffer=10)[0] for seed in (None, 0, 0, 1))
    assert plain == list(range(SHARDS * EACH))
    assert one == same
    assert len({tuple(order) for order in (plain, one, other)}) == 3
    part = stream("imagenet", "train", WHOLE, size=64, seed=0, buffer=10)
    orders = []
    for epoch in (0, 1, 1):
        part.set_epoch(epoch)
        orders.append([example["label"] for example in part.examples])
    assert orders[0] == one != orders[1] == orders[2]


def test_the_order_is_shared_by_the_ranks():
    assert_each_once(labels(3, 0, seed=5, buffer=7))  # each reads every file, and keeps every third image


def test_what_a_stream_says_of_itself():
    part = stream("imagenet", "test", WHOLE, size=32)
    assert part.count == 5
    assert part.size == 32
    assert part.classes[7] == "n7"
    assert "ImageNet" in part.description
    assert len(list(part.examples)) == 5
    assert len(list(pickle.loads(pickle.dumps(part)).examples)) == 5


def test_random_cuts_are_by_the_random_numbers_of_torch():
    part = stream("imagenet", "train", RandomCut(), size=32)

    def pixels(seed):
        torch.manual_seed(seed)
        return torch.stack([torch.as_tensor(example["image"]) for example in part.examples])

    one, same, other = map(pixels, (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_random_boxes_have_area_aspect_and_place_in_their_ranges():
    boxes = torch.tensor([random_box(100, 60, (0.1, 0.5), (0.8, 1.25)) for _ in range(2000)])
    left, top, right, bottom = boxes.T
    width, height = right - left, bottom - top
    area, aspect = width * height / 6000, width / height
    for values, low, high in ((area, 0.1, 0.5), (aspect, 0.8, 1.25)):
        assert low - 1e-6 <= values.min() < low * 1.1
        assert high * 0.9 < values.max() <= high + 1e-6
    assert left.min() >= 0
    assert top.min() >= 0
    assert right.max() <= 100
    assert bottom.max() <= 60
    assert ((left + right) / 2).mean().item() == pytest.approx(50, abs=2)
    assert random_box(100, 10, (1, 1), (1, 1)) == central_box(100, 10) == (45, 0, 55, 10)


def test_the_central_cut_is_in_the_middle():
    assert CentralCut()(256, 256) == (16, 16, 240, 240)
    assert CentralCut(1)(80, 40) == (20, 0, 60, 40)


def test_what_cannot_be_streamed_is_refused():
    with pytest.raises(EquiconvError, match=r"a stream is of one of mnist, .*; got 'rotmnist'"):
        stream("rotmnist", "train", WHOLE)
    with pytest.raises(EquiconvError, match="Caltech-101 has no part 'test'; it has train"):
        stream("caltech101", "test", WHOLE)
    with pytest.raises(EquiconvError, match="rank is from 0 to world - 1; got rank 2 with world 2"):
        stream("imagenet", "train", WHOLE, rank=2, world=2)
    with pytest.raises(EquiconvError, match=r"food101/train\.parquet"):
        stream("food101", "train", WHOLE)
    with pytest.raises(EquiconvError, match=r"too large to be loaded: read it by benchmarks\.data\.stream"):
        load("imagenet")
