"""Every constructor that Python allows is recorded, and what no file can hold is not kept."""

import copy
import math
import pickle
import threading
from collections import namedtuple
from dataclasses import dataclass
from enum import Enum, IntEnum
from functools import partial

import pytest
import torch
from saved import saved
from torch import nn
from torch.nn import functional as F

from equiconv.errors import SavingError
from equiconv.groups import P4
from equiconv.layers import GroupConv2d, Pointwise
from equiconv.saving import Recorded

Pair = namedtuple("Pair", "a b")


class Mode(Enum):
    FAST = "fast"


class Level(IntEnum):
    HIGH = 3


class ByPlace(Recorded):
    def __init__(self, width, /, height=1, *more, last=0, **rest):
        super().__init__()
        self.layer = nn.Linear(width, height + sum(more))
        self.rest = rest


class Few(Recorded):
    def __init__(self, width, /, height=2):
        super().__init__()
        self.layer = nn.Linear(width, height)


class OtherNames(Recorded):
    def __init__(this, self, *, module=1, init=2):  # noqa: N805
        super().__init__()
        this.layer = nn.Linear(self, module + init)


@dataclass(eq=False)
class Data(Recorded):
    width: int
    height: int = 2

    def __post_init__(self):
        super().__init__()
        self.layer = nn.Linear(self.width, self.height)


class OfData(Data):
    """A class without a constructor of its own."""


@dataclass(eq=False)
class DataConv(GroupConv2d):
    width: int

    def __post_init__(self):
        super().__init__(P4().image, self.width * P4().regular, 3)


class Mixin:
    def __init__(self, scale, *args, **options):
        super().__init__(*args, **options)
        self.scale = scale


class Mixed(Mixin, GroupConv2d):
    """A class whose constructor is that of the mixin."""


class New(Recorded):
    def __new__(cls, *args, **options):
        return super().__new__(cls)

    def __init__(self, width):
        super().__init__()
        self.layer = nn.Linear(width, width)


class Busy(Recorded):
    """A class with attributes and parts of names that mean something elsewhere."""

    def __init__(self, width, arguments=None):
        super().__init__()
        self.arguments, self._arguments = arguments, width
        self.module = nn.Linear(width, width)


class Any(Recorded):
    def __init__(self, value, *, act=nn.ReLU):
        super().__init__()
        self.value = value
        self.act = act() if act is not Pointwise else act(P4().regular)


MADE = {
    "by place": lambda: ByPlace(3, 2),
    "more by place": lambda: ByPlace(3, 2, 1, 1, last=1, width=4),
    "only by place": lambda: Few(3, height=4),
    "other names": lambda: OtherNames(self=3, module=2),
    "dataclass": lambda: Data(3, height=4),
    "class of a dataclass": lambda: OfData(3),
    "dataclass of a layer": lambda: DataConv(2),
    "mixin": lambda: Mixed(0.5, P4().image, 2 * P4().regular, 3),
    "new": lambda: New(width=3),
    "busy": lambda: Busy(3, arguments=["a"]),
    "nan": lambda: Any(math.nan),
    "nans": lambda: Any({"a": [math.nan, None, ("b", 1)]}),
    "named tuple": lambda: Any(Pair(1, [2])),
    "enum": lambda: Any([Mode.FAST, Level.HIGH]),
    "class": lambda: Any(0, act=nn.Sigmoid),
    "class of equiconv": lambda: Any(0, act=Pointwise),
    "part of a class": lambda: Any(0, act=partial(nn.LeakyReLU, 0.3)),
}
KNOWN = [ByPlace, Few, OtherNames, Data, OfData, DataConv, Mixed, New, Busy, Any, Pair, Mode, Level]


@pytest.mark.parametrize("name", MADE)
def test_constructors(name, tmp_path):
    module = MADE[name]()
    loaded = saved(module, tmp_path, known=KNOWN)
    assert type(loaded) is type(module)
    assert repr(loaded) == repr(module)
    assert repr(getattr(loaded, "value", None)) == repr(getattr(module, "value", None))
    assert repr(loaded.arguments) == repr(module.arguments)
    for key, value in module.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[key])
    assert repr(saved(copy.deepcopy(module), tmp_path, known=KNOWN)) == repr(module)


def test_the_arguments_are_those_of_the_class(tmp_path):
    assert MADE["mixin"]().arguments["scale"] == 0.5
    assert DataConv(2).arguments == {"width": 2}
    assert Busy(3, ["a"]).arguments == ["a"]
    assert Recorded().arguments == {}


def test_what_no_file_can_hold_is_not_kept(tmp_path):
    big = torch.zeros(10**6)
    module = Unwritten(big, threading.Lock(), {"a": [partial(F.leaky_relu, negative_slope=big)]}, big.sum)
    assert len(pickle.dumps(module)) < 10**4
    assert copy.deepcopy(module).arguments.keys() == module.arguments.keys()
    with pytest.raises(SavingError, match=r"tensor is .*a Tensor, which no file can hold"):
        saved(module, tmp_path)
    small = nn.Linear(1, 1)
    kept = Unwritten(small, None, [F.relu], torch.relu).arguments
    assert (kept["tensor"], kept["options"], kept["function"]) == (small, [F.relu], torch.relu)


class Unwritten(Recorded):
    def __init__(self, tensor, lock, options, function):
        super().__init__()
