"""Every layer and every model in a file, and what is kept of it."""

import copy
import io
import pickle
from dataclasses import replace
from functools import partial

import pytest
import torch
from safetensors.torch import load_file
from samples import CONVOLUTIONS, LAYERS, SHAPES, Typed, check_copies
from saved import assert_same, saved
from torch import nn

import equiconv
from equiconv.bases import Derivatives, Harmonics, Pixels
from equiconv.errors import SavingError
from equiconv.groups import O2, P4, P4M, SO2, Cyclic, Dihedral, Flip, HueShift, Trivial
from equiconv.layers import (
    GroupConv2d,
    squash,
)
from equiconv.models import (
    CNN,
    STEERABLE_SMALL,
    Architecture,
    ChannelPooledCNN,
    ChannelPooledResNet18,
    ChannelPooledVGG,
    ResNet,
    SteerableCNN,
    WideResNet,
)

COLORED = HueShift(3) * P4M()
GROUPS = {Flip() * HueShift(2): torch.float64, COLORED: torch.float32}
MODELS = {
    "cnn": (lambda: CNN(P4(), 2, kernel_sizes=[3, 3, 3], dropout=0.1), 12),
    "hybrid": (lambda: CNN((HueShift(3), HueShift(3), Trivial()), 2, kernel_sizes=(3, 3, 3), factorization="gc"), 12),
    "continuous cnn": (lambda: CNN(SO2(2), 2, kernel_sizes=(3, 3, 3), basis=Harmonics.e2cnn), 12),
    "resnet": (lambda: ResNet(P4M(), Architecture((1, 1)), 4), 8),
    "flat resnet": (lambda: ResNet(HueShift(3), Architecture((1, 1), True, True, "large"), (2, 3), pool=None), 32),
    "wide resnet": (lambda: WideResNet(Dihedral(4), depth=10, widen=0.5), 9),
    "irreps": (lambda: SteerableCNN(O2(2), 0.1, fields="irreps", architecture=STEERABLE_SMALL), 28),
    "quotients": (lambda: SteerableCNN(Cyclic(8), 0.1, fields=("quotient", 2, 4), architecture=STEERABLE_SMALL), 28),
    "derivatives": (lambda: SteerableCNN(Cyclic(4), 0.1, basis=partial(Derivatives, max_order=2)), 29),
    "squashed": (
        lambda: SteerableCNN(P4(), 0.1, fields="squashed", architecture=replace(STEERABLE_SMALL, function=squash)),
        28,
    ),
    "taught cnn": (lambda: ChannelPooledCNN((4, 2, 1), 22), 28),
    "taught vgg": (lambda: ChannelPooledVGG(2, 2), 32),
    "taught resnet": (lambda: ChannelPooledResNet18(4, 4), 32),
}


def unwrapped(module):
    return nn.Sequential(*module) if isinstance(module, Typed) else module


def sample(name, group, dtype=torch.float32):
    module = (CONVOLUTIONS | LAYERS)[name](group).to(dtype)
    x = torch.randn(
        2, *module.in_type.shape, *SHAPES.get(name, (8, 7) if name != "adaptive norm" else (8, 8)), dtype=dtype
    )
    return module, x


@pytest.mark.parametrize("name", [*CONVOLUTIONS, *LAYERS])
@pytest.mark.parametrize("group", GROUPS, ids=repr)
def test_layer(group, name, tmp_path):
    module, x = sample(name, group, GROUPS[group])
    module(x)  # statistics
    module = unwrapped(module).eval()
    assert_same(module, saved(module, tmp_path), x)


@pytest.mark.parametrize("name", MODELS)
def test_model(name, tmp_path):
    torch.manual_seed(0)
    make, size = MODELS[name]
    module = make()
    state, default = torch.random.get_rng_state(), torch.get_default_dtype()
    channels = module.in_type.channels if hasattr(module, "in_type") else next(module.parameters()).shape[1]
    loaded = saved(module, tmp_path)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_default_dtype() == default
    assert_same(module, loaded, torch.randn(2, channels, size, size))


@pytest.mark.parametrize("name", [*CONVOLUTIONS, *LAYERS])
def test_state_dict_has_one_set_of_keys_and_is_plain(name):
    module, x = sample(name, COLORED)
    keys = list(module.state_dict())
    own = {name for name, _ in module.named_parameters()}
    kept = {
        name for name, _ in module.named_buffers() if name.rpartition(".")[2].startswith(("running", "num_batches"))
    }
    assert set(keys) == own | kept
    with torch.no_grad():
        for mode in (False, True, False):
            module.train(mode)(x)
            assert list(module.state_dict()) == keys
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    for key, value in torch.load(file, weights_only=True).items():
        assert torch.equal(value, module.state_dict()[key])


def test_after_copying_and_pickling(tmp_path):
    net = CNN(P4(), 2, kernel_sizes=(3, 3, 3))
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert_same(net, saved(other, tmp_path))
    made = SteerableCNN(P4(), 0.1, architecture=STEERABLE_SMALL, basis=lambda size: Pixels(size))
    pickle.loads(pickle.dumps(made))
    with pytest.raises(SavingError, match=r"basis.*lambda.*function with a name"):
        saved(made, tmp_path)


def test_precision_of_parts_frozen_parts_and_modes(tmp_path):
    net = CNN(P4M(), 2, kernel_sizes=(3, 3, 3)).train()
    net.features[0].double()
    net.features[3].bfloat16()
    net.features[1].eval()
    net.features[3].weight.requires_grad_(False)
    net.features[3].execution = "dense"
    loaded = saved(net, tmp_path)
    assert_same(net, loaded)
    assert loaded.training
    assert not loaded.features[1].training
    assert loaded.features[3].execution == "dense"
    assert [p.requires_grad for p in loaded.parameters()] == [p.requires_grad for p in net.parameters()]
    assert all(buffer.device.type == "cpu" for buffer in loaded.buffers())
    assert not saved(net.eval(), tmp_path).training


def test_whatever_the_default_precision(tmp_path):
    default = torch.get_default_dtype()
    net = CNN(P4(), 2, kernel_sizes=(3, 3, 3)).eval()
    try:
        torch.set_default_dtype(torch.float64)
        wide = CNN(SO2(2), 2, kernel_sizes=(3, 3, 3)).eval()
        assert_same(net, saved(net, tmp_path))
        loaded = saved(wide, tmp_path)
        assert_same(wide, loaded)
    finally:
        torch.set_default_dtype(default)
    assert_same(wide, equiconv.load(tmp_path / "module.safetensors"), torch.randn(1, 3, 12, 12, dtype=torch.float64))


def test_shared_parameters_stay_shared(tmp_path):
    conv, norm = GroupConv2d(2 * P4().regular, 2 * P4().regular, 1), nn.BatchNorm3d(2)
    net = nn.Sequential(conv, norm, conv, norm, GroupConv2d(2 * P4().regular, 2 * P4().regular, 1))
    net[4].bias = conv.bias
    loaded = saved(net, tmp_path)
    assert loaded[4].bias is loaded[2].bias is loaded[0].bias
    assert loaded[2].weight is loaded[0].weight
    assert loaded[4].weight is not loaded[0].weight
    assert loaded[3].running_mean is loaded[1].running_mean
    assert len(list(loaded.parameters())) == len(list(net.parameters()))
    assert "2.weight" not in load_file(tmp_path / "module.safetensors")
    x = torch.randn(2, 2, 4, 5, 5)
    assert torch.equal(net(x), loaded(x))
    assert torch.equal(net.eval()(x), loaded.eval()(x))


def test_loaded_weights_are_their_own(tmp_path):
    loaded = saved(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), tmp_path)
    stores = {value.untyped_storage().data_ptr() for value in loaded.state_dict().values()}
    assert len(stores) == 4
    (tmp_path / "module.safetensors").write_bytes(b"")
    assert torch.isfinite(loaded[0].weight).all()


def test_training_goes_on_alike(tmp_path):
    net = CNN(P4(), 2, kernel_sizes=(3, 3, 3))
    loaded = saved(net, tmp_path)
    x = torch.randn(4, 3, 12, 12)
    for each in (net, loaded):
        optimizer = torch.optim.SGD(each.parameters(), 0.1)
        each(x).square().sum().backward()
        optimizer.step()
    assert_same(net, loaded)
    check_copies(lambda: equiconv.load(tmp_path / "module.safetensors").train(), 3, 12, 12)
