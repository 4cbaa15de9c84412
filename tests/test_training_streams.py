"""Training on streams: a run that was cut off goes on to the bit, and processes keep pace."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from stored import numbers, store_imagenet
from torch import nn

from benchmarks.data.sources import SOURCES
from benchmarks.data.stream import CentralCut, RandomCut
from benchmarks.training import Hardware, Recipe, Streamed, Task, fit
from equiconv import EquiconvError

ROOT = Path(__file__).parent.parent
SHARDS = 6, 6, 6, 6
RECIPE = Recipe(3, batch_size=5, learning_rate=0.05, schedule="onecycle")


def small(monkeypatch, home, shards=SHARDS):
    """Store a small ImageNet, and make it the published one."""
    store_imagenet(home, shards)
    publish(monkeypatch, shards)


def publish(monkeypatch, shards=SHARDS):
    monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)  # it waits 5 seconds after every pass
    monkeypatch.setattr("datasets.config.HF_UPDATE_DOWNLOAD_COUNTS", False)  # it asks the hub
    monkeypatch.setitem(SOURCES, "imagenet", replace(SOURCES["imagenet"], counts=(sum(shards), 5)))


def whole(workers=0):
    return Streamed("imagenet", CentralCut(1), size=64, workers=workers, buffer=10)


def cut(workers=2):
    return Streamed("imagenet", RandomCut(), size=32, workers=workers, buffer=10)


def task(data, **options):
    torch.manual_seed(1)
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, sum(SHARDS))
    return Task(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Dropout(0.2), *head), data, **options)


def train(data, folder=None, **options):
    """Train; return the losses, and all parameters as one vector."""
    one = task(data, **options)
    history = fit(one, RECIPE, Hardware().fabric("32-true"), folder=folder)
    return [epoch["loss"] for epoch in history], nn.utils.parameters_to_vector(one.net.parameters())


def seen(shares):
    """Return the labels that count, in their order."""
    return [label for share in shares for label in share.labels.tolist() if label >= 0]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_that_was_cut_off_goes_on_to_the_bit(workers, home, monkeypatch, tmp_path):
    small(monkeypatch, home)
    data = cut(workers)
    losses, net = train(data)
    assert losses[-1] < losses[0]
    assert train(data, seed=1)[0] != losses
    epochs = []

    def interrupt(_):
        epochs.append(1)
        if len(epochs) == 2:
            raise KeyboardInterrupt
        return {}

    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path / "run", validate=interrupt)
    assert len(torch.load(tmp_path / "run" / "last.pt", weights_only=True)["history"]) == 1
    again, resumed = train(data, tmp_path / "run")
    assert again == losses
    assert torch.equal(resumed, net)
    with pytest.raises(EquiconvError, match=rf"of another run .*workers={workers}, .* there, .*workers=1, .* here"):
        train(cut(1), tmp_path / "run")


def pixels(data, seed, epoch, rank=0):
    torch.rand(epoch + 1)  # whatever happened before
    shares = list(data.shares(5, seed, epoch, rank=rank, world=2))
    return torch.cat([share.images for share in shares])


def test_order_and_cuts_follow_from_seed_epoch_and_process(home, monkeypatch):
    small(monkeypatch, home)
    one, same = pixels(cut(), 0, 1), pixels(cut(), 0, 1)
    assert torch.equal(one, same)
    for other in (pixels(cut(), 1, 1), pixels(cut(), 0, 2), pixels(cut(), 0, 1, rank=1)):
        assert not torch.equal(one, other)
    orders = [seen(whole().shares(5, seed, epoch, rank=0, world=1)) for seed, epoch in ((0, 1), (1, 1), (0, 2))]
    assert all(sorted(order) == list(range(24)) for order in orders)
    assert len(set(map(tuple, orders))) == 3


def test_workers_cut_by_random_numbers_of_their_own(home, monkeypatch):
    """The same image is cut anew in every epoch, and in every pass of an epoch."""
    small(monkeypatch, home, (1,))
    monkeypatch.setattr(Streamed, "count", 3)
    data = cut(1)
    cuts = [share.images for epoch in (0, 1) for share in data.shares(1, 0, epoch, rank=0, world=1)]
    assert len({image.numpy().tobytes() for image in cuts}) == 6


@pytest.mark.parametrize("workers", [0, 2])
def test_a_process_with_few_images_begins_anew_and_one_with_many_leaves_some_out(workers, home, monkeypatch):
    small(monkeypatch, home, (6, 6, 6, 2))
    data = whole(workers)
    ranks = [list(data.shares(6, 0, 0, rank=rank, world=2)) for rank in (0, 1)]
    for shares in ranks:
        assert [share.whole for share in shares] == [6, 6, 6, 2]
        assert [len(share.labels) for share in shares] == [3, 3, 3, 1]
        assert all(numbers(s.images[:, 0].numpy() > 127).tolist() == s.labels.tolist() for s in shares)
    few, many = sorted((seen(shares) for shares in ranks), key=lambda labels: len(set(labels)))
    assert (len(few), len(set(few))) == (10, 8)
    assert (len(many), len(set(many))) == (10, 10)
    assert not set(few) & set(many)


@pytest.mark.parametrize("size", [4, 5, 7, 24, 100])
def test_every_image_counts_once_whatever_the_size_of_the_steps(size, home, monkeypatch):
    small(monkeypatch, home)
    ranks = [list(whole().shares(size, 0, 0, rank=rank, world=4)) for rank in range(4)]
    assert sorted(label for shares in ranks for label in seen(shares)) == list(range(24))
    for together in zip(*ranks, strict=True):
        assert len({share.whole for share in together}) == 1
        assert len(seen(together)) == together[0].whole


def test_a_process_without_images_in_a_step_gets_one_that_does_not_count(home, monkeypatch):
    small(monkeypatch, home)
    ranks = [list(whole().shares(1, 0, 0, rank=rank, world=2)) for rank in (0, 1)]
    assert [[share.labels.item() == -100 for share in shares] for shares in ranks] == [
        [False, True] * 12,
        [True, False] * 12,
    ]
    assert sorted(seen(ranks[0]) + seen(ranks[1])) == list(range(24))


PARALLEL = """
import sys
sys.path[:0] = [{tests!r}, {root!r}]
from pathlib import Path
import pytest, torch
from test_training_streams import *
torch.set_num_threads(1)
publish(pytest.MonkeyPatch())
seen = []
def note(images):
    seen.extend(numbers(images[:, 0].numpy() > 0.5).tolist())
    return images
fabric = Hardware(devices=2).fabric("32-true")
one = task(whole(1), augment=note)
history = fit(one, RECIPE, fabric)
net = nn.utils.parameters_to_vector(one.net.parameters()).detach()
torch.save((seen, [epoch["loss"] for epoch in history], net), Path({out!r}) / str(fabric.global_rank))
"""


def test_two_processes_see_every_image_once_in_every_epoch_and_end_together(home, monkeypatch, tmp_path):
    small(monkeypatch, home)
    script = tmp_path / "parallel.py"
    script.write_text(PARALLEL.format(tests=str(ROOT / "tests"), root=str(ROOT), out=str(tmp_path)))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone", str(script)]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (first, losses, net), (second, same_losses, same_net) = (torch.load(tmp_path / str(rank)) for rank in (0, 1))
    assert len(first) == len(second) == 3 * 12
    for epoch in range(3):
        part = slice(12 * epoch, 12 * epoch + 12)
        assert sorted(first[part] + second[part]) == list(range(24))
    assert losses == same_losses
    assert losses[-1] < losses[0]
    assert torch.equal(net, same_net)


def test_what_cannot_be_streamed_is_refused(home, monkeypatch):
    small(monkeypatch, home, (1,))
    with pytest.raises(EquiconvError, match="workers is at least 0; got -1"):
        whole(-1)
    with pytest.raises(EquiconvError, match=r"a stream is of one of mnist, .*; got 'rotmnist'"):
        Streamed("rotmnist", CentralCut(1))
    with pytest.raises(EquiconvError, match="A process has no images of it: take fewer processes"):
        list(whole().shares(5, 0, 0, rank=1, world=2))
