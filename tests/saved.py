"""Saving and loading within tests."""

import copy
import json
import math
from dataclasses import dataclass

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

import equiconv
from equiconv.bases import Derivatives
from equiconv.groups import P4, SO2, Cyclic, Flip, Group, HueShift
from equiconv.layers import Branches, GatedActivation, GroupConv2d, GroupPool, NormActivation, Pointwise
from equiconv.saving import Recorded


def saved(module, tmp_path, **options):
    """Return a module after it has been in a file."""
    equiconv.save(module, tmp_path / "module.safetensors")
    return equiconv.load(tmp_path / "module.safetensors", **options)


def assert_same(module, loaded, x=None):
    """Assert that two modules are one and the same, bit for bit."""
    assert repr(loaded) == repr(module)
    ours, theirs = module.state_dict(), loaded.state_dict()
    assert list(ours) == list(theirs)
    for name, value in ours.items():
        assert value.dtype == theirs[name].dtype
        assert torch.equal(value, theirs[name]), name
    for (name, a), (other, b) in zip(module.named_modules(), loaded.named_modules(), strict=True):
        assert (name, type(a), a.training) == (other, type(b), b.training)
    for name, value in module.named_buffers():
        assert (value.dtype, value.shape) == (loaded.get_buffer(name).dtype, loaded.get_buffer(name).shape)
    if x is not None:
        module, loaded = copy.deepcopy(module).eval(), loaded.eval()
        assert torch.equal(module(x), loaded(x))


class Quarter(Group):
    """A group of the user's own."""

    def __init__(self, table, scale=1):
        self.scale = scale
        super().__init__(np.array(table), plane=P4().plane)

    @property
    def arguments(self):
        return self.table, self.scale


@dataclass(frozen=True)
class Sizes:
    first: int
    more: tuple[int, ...] = ()


def doubled(x):
    return 2 * x


class Net(Recorded):
    """A network of the user's own."""

    def __init__(self, group, sizes, *layers, function=doubled, limit=math.inf, options=None):
        super().__init__()
        self.lift = GroupConv2d(group.image, sizes.first * group.regular, 3)
        self.layers = nn.ModuleList(layers)
        self.function, self.options = function, options

    def forward(self, x):
        return self.function(self.lift(x))


class Plain(nn.Module):
    """A network that does not tell how it was made."""


OWN = [Quarter, Sizes, Net, doubled]


def small():
    """Return a module with many kinds of arguments in it."""
    group = HueShift(3) * P4()
    part = Cyclic(4).irrep(1).restrict([2])
    return nn.Sequential(
        GroupConv2d(group.image, 2 * group.regular, 3, padding=(1, 1), basis="pixels"),
        Pointwise(2 * group.regular, F.elu),
        GroupPool(2 * group.regular, over=HueShift(3)),
        nn.ModuleDict({"a": NormActivation(2 * part, torch.sigmoid), "b": nn.ReLU()}),
        Branches(Pointwise(Flip(0.3).regular), GatedActivation(Flip(0.3).irrep(1))),
        GroupConv2d(SO2(2).irrep(1), SO2(2).trivial, 3, basis=Derivatives((3, 3), smoothing=1.5)),
    )


def parts(path):
    """Return the description and the weights in a file."""
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["equiconv"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def write(path, config, tensors):
    save_file(tensors, path, metadata={"equiconv": config if isinstance(config, str) else json.dumps(config)})
