"""Images to augment, and augmentations that do something else than they should."""

import torch

from benchmarks.data.augment import Augmentation

COUNT = 400


def noise(count=8, size=16):
    return torch.rand(count, 3, size, size)


def twins(size=16):
    """Return one image many times."""
    return noise(1, size).expand(COUNT, -1, -1, -1).clone()


class Broken(Augmentation):
    """Change images by a function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def change(self, x):
        return self.function(x)
