"""Parts that were replaced, added or used twice after a module was made."""

import copy

import pytest
import torch
from saved import Plain, assert_same, parts, saved, write
from torch import nn

import equiconv
from equiconv.errors import SavingError
from equiconv.groups import P4
from equiconv.layers import (
    Antialiased,
    Branches,
    FieldBatchNorm,
    FieldDropout,
    FourierActivation,
    GroupConv2d,
    Pointwise,
    synchronize_batch_norms,
)
from equiconv.models import CNN
from equiconv.saving import Recorded

REGULAR = 2 * P4().regular


def net():
    return CNN(P4(), 2, kernel_sizes=(3, 3, 3), dropout=0.1).eval()


def new_head(module):
    module.head = nn.Linear(2, 7)


def no_head(module):
    module.head = nn.Identity()


def deeper_head(module):
    module.head = nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 3, bias=False))


def changed_new_head(module):
    module.head = CNN(P4(), 2, kernel_sizes=(1, 1))
    module.head.head = nn.Linear(2, 3)
    module.features[-1] = nn.Identity()
    module.features.append(nn.Flatten(1, 2))
    module.features.append(nn.Conv2d(8, 3, 1))


def dropout(module):
    next(each for each in module.modules() if isinstance(each, nn.Dropout3d)).p = 0.7


def statistics(module):
    module.features[1].momentum = 0.5


def other_layer(module):
    module.features[3] = GroupConv2d(REGULAR, REGULAR, 3, padding="same", basis="e2cnn", exact=False)
    module.features[3].execution = "dense"


def fewer_layers(module):
    module.features = module.features[:4]
    module.head = nn.Identity()


def more_layers(module):
    module.features.insert(2, nn.BatchNorm3d(2))
    module.features.append(nn.ReLU())


def tied(module):
    module.features[4] = module.features[1]


CHANGES = [
    new_head, no_head, deeper_head, changed_new_head, dropout, statistics, other_layer, fewer_layers, more_layers, tied
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_replaced_parts_are_kept(change, tmp_path):
    module = net()
    change(module)
    module.eval()
    loaded = saved(module, tmp_path)
    small = change is changed_new_head
    x = torch.randn(2, 3, 12, 12)
    if not small:
        assert_same(module, loaded, x)
    assert_same(module, loaded)
    assert_same(module, saved(loaded, tmp_path))
    with pytest.raises(AssertionError):
        assert_same(net(), loaded)


def test_layers_of_layers(tmp_path):
    layers = Branches(Pointwise(P4().regular), FieldDropout(P4().irrep(1)))
    layers.layers[1] = Antialiased(FourierActivation(P4().regular))
    assert_same(layers, saved(layers, tmp_path))


class Blocks(Recorded):
    """Of the user's own: one argument in two places, and a part that the constructor puts in two places."""

    def __init__(self, first, second, head=None):
        super().__init__()
        self.first, self.second = first, second
        self.third = self.fourth = nn.Linear(2, 2)
        self._scale = 1.0
        self.head = head


def places(module):
    """Return which names are the same module."""
    first = {}
    return [first.setdefault(id(each), name) for name, each in module.named_modules(remove_duplicate=False)]


def test_a_part_in_several_places_stays_one(tmp_path):
    norm, dropout = nn.BatchNorm3d(2), nn.Dropout(0.5)
    conv = GroupConv2d(REGULAR, REGULAR, 3, padding=1)
    conv.execution = "dense"
    module = nn.Sequential(conv, norm, dropout, nn.Sequential(conv, norm), nn.ModuleList([dropout]))
    loaded = saved(module, tmp_path)
    assert places(loaded) == places(module)
    assert loaded[3][0] is loaded[0]
    assert loaded[0].execution == "dense"
    loaded[2].p = 0.1
    assert loaded[4][0].p == 0.1
    loaded.double()
    assert loaded[3][1].running_mean is loaded[1].running_mean
    assert places(copy.deepcopy(loaded)) == places(module)
    apart = nn.Sequential(conv, norm, dropout, nn.Sequential(copy.deepcopy(conv), norm), nn.ModuleList([dropout]))
    assert places(saved(apart, tmp_path)) == places(apart) != places(module)


def test_arguments_in_several_places(tmp_path):
    shared = nn.Linear(2, 2)
    for module in (Blocks(shared, shared), Blocks(shared, nn.Linear(2, 2)), Blocks(nn.ReLU(), nn.Sequential(shared))):
        loaded = saved(module, tmp_path, known=[Blocks])
        assert places(loaded) == places(module)
    module.fourth = copy.deepcopy(module.third)
    module.first = module.second[0]
    module.head = nn.Linear(2, 1)
    loaded = saved(module, tmp_path, known=[Blocks])
    assert places(loaded) == places(module)
    assert loaded.fourth is not loaded.third
    assert_same(module, loaded)
    module.head = None
    assert saved(module, tmp_path, known=[Blocks]).head is None


def test_a_lazy_layer_of_an_own_class(tmp_path):
    module = Lazy()
    module.head(torch.zeros(1, 5))
    assert_same(module, saved(module, tmp_path, known=[Lazy]))
    with pytest.raises(SavingError, match="plain tensors"):
        saved(Lazy(), tmp_path)


class Lazy(Recorded):
    def __init__(self):
        super().__init__()
        self.head = nn.LazyLinear(3)


def test_synchronized_norms_are_those_of_one_process(tmp_path):
    module = synchronize_batch_norms(nn.Sequential(net(), FieldBatchNorm(P4().irrep(1))))
    assert isinstance(module[0].features[1], nn.SyncBatchNorm)
    loaded = saved(module, tmp_path)
    assert type(loaded[0].features[1]) is nn.BatchNorm3d
    assert not loaded[1].synchronized
    for name, value in module.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name])
    x = torch.randn(2, 3, 12, 12)
    assert torch.equal(module[0](x), loaded[0].eval()(x))
    module[0].features[1].eps = 0.1  # is kept, as a part of its own
    assert saved(module, tmp_path)[0].features[1].eps == 0.1


def test_parts_of_unknown_classes_are_refused(tmp_path):
    module = net()
    module.features.append(Plain())
    with pytest.raises(SavingError, match=r"features\.\d+ is a Plain, of which"):
        saved(module, tmp_path)


def test_a_broken_place_is_refused(tmp_path):
    module = nn.Sequential(nn.ReLU(), nn.ReLU())
    module[1] = module[0]
    equiconv.save(module, tmp_path / "net.safetensors")
    config, tensors = parts(tmp_path / "net.safetensors")
    assert config["replaced"] == {"1": {"same": "0"}}
    for wrong in ({"1": {"same": "7"}}, {"1": {"same": ["0"]}}, {"7": None}, {"1": {"class": "os.system"}}, {"1": 3}):
        write(tmp_path / "net.safetensors", config | {"replaced": wrong}, tensors)
        with pytest.raises(SavingError):
            equiconv.load(tmp_path / "net.safetensors")
