"""What no file can hold, and modules that were changed after they were made."""

import copy
from math import nan

import numpy as np
import pytest
import torch
from saved import Net, Plain, Sizes, assert_same, saved
from torch import nn
from torch.optim.swa_utils import AveragedModel

from equiconv.errors import SavingError
from equiconv.groups import P4, P4M, Flip
from equiconv.layers import (
    ChannelMaxPool,
    FieldGroupNorm,
    GroupConv2d,
    GroupPool,
    Pointwise,
    Restrict,
)
from equiconv.models import (
    CNN,
)
from equiconv.saving import Recorded
from equiconv.saving.checking import layer_numbers


class Listing(Recorded):
    """A class of the user's own with an attribute of any kind."""

    def __init__(self, values):
        super().__init__()
        self.values = copy.deepcopy(values)
        self.kinds = {1, 2}


def changed(change):
    net = CNN(P4(), 2, kernel_sizes=(3, 3, 3), dropout=0.1)
    change(net)
    return net


def with_function(net):
    next(each for each in net.features if isinstance(each, Pointwise)).function = torch.tanh


def with_forward(net):
    net.forward = lambda x: x


def with_hook(net):
    net.features[0].register_forward_hook(lambda module, args, output: 2 * output)


def with_table(net):
    net.features[0].pipeline._masters["source"] = net.features[0].pipeline._masters["source"][::-1]


def with_another_table(net):
    net.features[0].pipeline.add_table("more", np.ones(2))


def with_parameter(net):
    net.scale = nn.Parameter(torch.ones(1))


def with_shape(net):
    net.head.weight = nn.Parameter(torch.ones(3, 2))


def with_kind(net):
    net.head.weight = nn.Parameter(torch.ones(10, 2, dtype=torch.int64), requires_grad=False)


def with_parametrization(net):
    nn.utils.parametrizations.weight_norm(net.head)


def with_list(net):
    net.features.append(Listing([1, {"a": (2, None)}]))
    net.features[-1].values[1]["a"] = (2, 3)


def with_number_for_none(net):
    net.features.append(Listing(None))
    net.features[-1].values = 0.7


def with_another_order(net):
    net._modules["features"] = net._modules.pop("features")


def with_part_less(net):
    del net.head


def with_buffer(net):
    net.register_buffer("note", torch.ones(1), persistent=False)


def with_tensor(net):
    net.mean = torch.ones(3)


def with_type(net):
    pool = next(each for each in net.modules() if isinstance(each, GroupPool))
    pool.out_type = 3 * P4().trivial


def with_stride(net):
    net.features[0].window.stride = (2, 2)


CHANGES = [value for name, value in dict(globals()).items() if name.startswith("with_")]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_was_changed_later_is_refused(change, tmp_path):
    saved(changed(lambda net: None), tmp_path)
    with pytest.raises(SavingError, match=r"was changed after it was made|has head\.weight of|how it was made"):
        saved(changed(change), tmp_path)


def test_changes_of_the_rest_are_refused(tmp_path):
    norm = FieldGroupNorm(4 * P4().regular)
    norm.eps = 0.1
    with pytest.raises(SavingError, match="was changed after"):
        saved(norm, tmp_path)
    with pytest.raises(SavingError, match=r"head is a Plain, of which"):
        saved(changed(lambda net: setattr(net, "head", Plain())), tmp_path)


@pytest.mark.parametrize(
    ("values", "other"),
    [
        ([1], [1, 2]),
        (None, 0.7),
        (0.7, None),
        ({"a": 1}, {"a": 2}),
        ((1, [2]), (1, [3])),
        (1, True),
        (nan, 1.0),
        ([], 3),
    ],
)
def test_changes_within_values_are_refused(values, other, tmp_path):
    module = Listing(values)
    assert repr(saved(module, tmp_path, known=[Listing]).values) == repr(values)
    module.values = other
    with pytest.raises(SavingError, match=r"values is"):
        saved(module, tmp_path)
    module.values = values
    module.kinds.add(3)
    with pytest.raises(SavingError, match=r"kinds is"):
        saved(module, tmp_path)


REFUSED = {
    "a plain class": (lambda: nn.Sequential(nn.ReLU(), Plain()), r"module\.1 is a Plain.*Recorded.*known"),
    "not a module": (lambda: torch.relu, "takes a module"),
    "a lambda": (lambda: Pointwise(P4().regular, lambda x: x), "function.*lambda.*top of a module"),
    "an iterator": (lambda: GroupPool(P4().regular, over=iter([2])), "over.*iterator.*give a list"),
    "another function": (lambda: Pointwise(P4().regular, torch.erf), "function that no file can hold"),
    "an object": (lambda: Net(P4(), Sizes(1), options=object()), "options.*a object, which no file can hold"),
    "a tensor": (lambda: Net(P4(), Sizes(1), options=[torch.ones(1)]), r"options\[0\]"),
    "no weights": (lambda: nn.Linear(1, 1, device="meta"), "meta device"),
    "sparse": (lambda: setattr_(nn.Linear(2, 2), "weight", nn.Parameter(torch.eye(2).to_sparse())), "plain tensors"),
    "averaged": (lambda: AveragedModel(nn.Linear(1, 1)), "AveragedModel around a Linear.*attribute module"),
    "traced": (lambda: torch.fx.symbolic_trace(nn.Linear(1, 1)), "a graph that.*state_dict.*same arguments"),
    "numbers of tensors": (lambda: Measured(2.0), "on the meta device, where tensors have no values"),
    "compiled": (lambda: torch.compile(nn.Linear(1, 1)), "OptimizedModule around a Linear.*_orig_mod"),
    "a part": (lambda: GroupConv2d(P4().image, P4().regular, 3).pipeline, "OrbitPipeline, of which"),
    "too large": (lambda: GroupConv2d(P4().trivial, P4().trivial, 33), "kernel_size = 33, more than 31"),
    "a size that no tensor has": (lambda: Measured(torch.ones(2, 3).norm().item()), "rebuilt from its arguments"),
    "two of one name": (lambda: nn.Sequential(Net(P4(), Sizes(1)), other_net()), "two classes.*Net"),
}


class Measured(Recorded):
    """A class whose constructor needs numbers, which are not known on the meta device."""

    def __init__(self, scale):
        super().__init__()
        self.scale = (torch.ones(1) * scale).item()


def setattr_(module, name, value):
    setattr(module, name, value)
    return module


def other_net():
    other = type("Net", (Recorded,), {"__qualname__": "Net"})
    return other()


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_file_can_hold_is_refused(name, tmp_path):
    make, message = REFUSED[name]
    with pytest.raises(SavingError, match=message):
        saved(make(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_compiled_layers_are_recorded_too(tmp_path):
    torch.compiler.reset()
    conv = GroupConv2d(P4().image, 2 * P4().regular, 3)
    x = torch.randn(1, 3, 5, 5)
    compiled = torch.compile(conv, fullgraph=True, backend="eager")
    assert torch.equal(compiled(x), saved(conv, tmp_path)(x))


def test_codecs_that_lose_something_are_seen(tmp_path, monkeypatch):
    """The mirror axis, a flag, and the width of a basis."""
    flip = GroupConv2d(Flip(0.3).image, Flip(0.3).regular, 3)
    monkeypatch.setattr(Flip, "arguments", property(lambda self: ()))
    with pytest.raises(SavingError, match="was changed after"):
        saved(flip, tmp_path)
    monkeypatch.undo()
    a, b = (GroupConv2d(Flip(axis).image, Flip(axis).regular, 3) for axis in (0.3, 0.4))
    assert layer_numbers(a) != layer_numbers(b)
    b.load_state_dict(a.state_dict())
    with pytest.raises(AssertionError):
        assert_same(a, b)
    c, d = (Restrict(P4M().regular, which) for which in ([1], [4]))
    assert layer_numbers(c) != layer_numbers(d)
    with pytest.raises(AssertionError):
        assert_same(ChannelMaxPool(4), ChannelMaxPool(2))
