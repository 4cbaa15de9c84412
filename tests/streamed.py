"""A tiny study of streamed images, and what a network of fixed weights finds in images in memory and on a stream."""

import sys

import numpy as np
import torch
from inline import Inline
from stored import store_imagenet
from torch import nn

from benchmarks.data import Dataset
from benchmarks.engines import ENGINES
from benchmarks.studies import load_study
from benchmarks.studies import study as study_module
from benchmarks.studies.scores import measured
from benchmarks.studies.streaming import Reading, Streaming
from benchmarks.studies.supply import InMemory
from benchmarks.training import Hardware, Images, Recipe, Task, fit

__all__ = [
    "LABELS",
    "READING",
    "TINY",
    "VALUES",
    "Shown",
    "numbers_of",
    "shades",
    "small",
    "tiny_study",
    "trained_buffers",
]

RUN = sys.modules["benchmarks.studies.run"]  # the package has a function of that name
SHARDS = 6, 6, 6, 6
READING = Reading(readers=0, decoder="pil")
TINY = """
title = "A tiny one"
data = "imagenet"
image = 32
channels = 3
seeds = 1
augment = { mirror = 0.5 }
normalize = ["common"]
curves = ["hue-linear"]
[recipe]
epochs = 2
batch_size = 5
learning_rate = 0.05
optimizer = "sgd"
schedule = "milestones"
milestones = [60]
warmup = 45
told_for = 90
[reading]
readers = 0
[categories]
even = [[0, 0], [2, 2], [4, 4]]
"odd and more" = [[1, 1], [3, 3], [5, 23]]
[[row]]
name = "tiny"
group = "HueShift(3)"
options = { width = 2, kernel_sizes = [3, 3] }
"""


def small(monkeypatch, folder):
    """Make a tiny study, and no pass over a stream wait for threads."""
    monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)
    monkeypatch.setattr("datasets.config.HF_UPDATE_DOWNLOAD_COUNTS", False)
    monkeypatch.setitem(ENGINES, "local", Inline)
    (folder / "tiny.toml").write_text(TINY)
    monkeypatch.setattr(study_module, "FOLDER", folder)
    monkeypatch.setattr(study_module, "STUDIES", ("tiny",))
    monkeypatch.setattr(RUN, "STUDIES", ("tiny",))


def tiny_study(home, monkeypatch, folder):
    """Return the study, with images to stream."""
    store_imagenet(home, SHARDS)
    small(monkeypatch, folder)
    return load_study("tiny")


class Shown(nn.Module):
    """Take an image for the class that its gray value is, then for those nearest to it."""

    def __init__(self, classes):
        super().__init__()
        self.numbers = nn.Parameter(torch.arange(classes, dtype=torch.float32))

    def forward(self, x):
        return -((255 * x[:, 0, 0, 0, None] - self.numbers) ** 2)


def shades(classes, labels, values):
    """Return a data set whose test images are plain gray."""
    images = np.array(values, np.uint8)[:, None, None, None].repeat(3, 1)
    names = tuple(f"class {number}" for number in range(classes))
    return Dataset("shades", "Shades.", names, images, np.array(labels), images, np.array(labels))


LABELS = [0, 0, 0, 3, 3, 3, 11, 11, 5, 5]
VALUES = [0, 2, 3, 3, 5, 9, 11, 7, 5, 6]  # the classes that they are taken for


def numbers_of(processes=1):
    """Return what a network of fixed weights does on images in memory and on a stream."""
    fabric = Hardware(devices=processes).fabric("32-true")
    memory, streamed = InMemory(shades(24, LABELS[:9], VALUES[:9]), 3), Streaming("imagenet", 32, READING)
    net, cases = Shown(24).eval(), ((memory, None), (memory, 3), (streamed, None))
    return [measured(net, supply, ("hue",), fabric, lambda _: None, moved=moved) for supply, moved in cases]


def trained_buffers():
    """Return the batch statistics after each process has trained on its own part of each batch."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2))
    feed = Images(torch.rand(10, 3, 2, 2), torch.arange(10) % 2)
    fit(Task(net, feed), Recipe(1, batch_size=4), Hardware(devices=2).fabric("32-true"))
    return net[0].running_mean.tolist()
