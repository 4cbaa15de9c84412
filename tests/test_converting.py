"""Ordinary networks converted: invariance, the same function on the trivial group, equal sizes, modes."""

import copy
import pickle

import pytest
import torch
from ordinary import NETWORKS, settled
from ordinary_cnns import MobileNet, UNet
from ordinary_resnets import BasicBlock, Bottleneck, ResNet
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import equiconv
from equiconv import convert
from equiconv.groups import O2, P4, P4M, SO2, Cyclic, Dihedral, Flip, HueShift, Trivial
from equiconv.layers import GroupConv2d
from equiconv.testing import assert_equivariant, equivariance_error

SIZE = 32


def converted(name, group, **options):
    return convert(NETWORKS[name](), group, image_size=SIZE, **options)[0]


def count(net):
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("group", [P4(), HueShift(3) * P4()], ids=repr)
def test_logits_are_invariant(group, name):
    net = settled(converted(name, group), SIZE)
    assert_equivariant(net, size=(SIZE, SIZE))
    assert_equivariant(net.train(), size=(SIZE, SIZE))


@pytest.mark.parametrize("group", [P4M(), Flip(), HueShift(4), Dihedral(2) * HueShift(2)], ids=repr)
def test_on_more_groups(group):
    assert_equivariant(settled(converted("mobilenet", group, pool="mean"), SIZE), size=(SIZE, SIZE))


@pytest.mark.parametrize("size", [33, 38, 47])
def test_images_of_every_size(size):
    assert_equivariant(settled(converted("resnet", P4()), size), size=(size, size))


@pytest.mark.parametrize("group", [P4(), HueShift(3) * Flip()], ids=repr)
def test_maps_move_with_the_image(group):
    net, _ = convert(UNet(), group, image_size=16)
    assert net.out_type == 2 * group.trivial
    for mode in (True, False):
        assert_equivariant(settled(net).train(mode), size=(16, 16))


@pytest.mark.parametrize("group", [Cyclic(8), SO2(), O2()], ids=repr)
def test_quarter_turns_off_the_grid(group):
    net = settled(converted("resnet", group), 33).double()
    x = torch.randn(2, 3, 33, 33, dtype=torch.float64)
    y = net(x)
    still = (y - y.roll(1, 0)).abs().max()
    assert (net(x.rot90(1, (2, 3))) - y).abs().max() < 1e-10 * still


def check_same(net, new, size=SIZE):
    x = torch.randn(3, 3, size, size, dtype=torch.float64)
    torch.testing.assert_close(new(x), net(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [*NETWORKS, "unet"])
@pytest.mark.parametrize("exact", [True, False])
def test_on_the_trivial_group_it_is_the_original(name, exact):
    net = settled((NETWORKS | {"unet": UNet})[name]().double(), SIZE)
    new, report = convert(net, Trivial(), image_size=SIZE, exact=exact)
    check_same(net, new)
    assert list(new.state_dict()) == list(net.state_dict())
    assert report.parameters == (count(net), count(net))
    assert report.multiplications[0] == report.multiplications[1]
    with torch.no_grad():
        next(new.parameters()).flatten()[0] += 1e-3
    with pytest.raises(AssertionError):
        check_same(net, new)


def test_windows_stay_where_they_are_if_not_exact():
    net = ResNet().double()
    for exact in (True, False):
        new, report = convert(net, P4(), image_size=SIZE, exact=exact)
        assert bool(report.changed) == exact
        error = equivariance_error(settled(new, SIZE), size=(SIZE, SIZE))
        assert (error < 1e-10) == exact
        assert new.conv1.window.stride == ((1, 1) if exact else (2, 2))


class Broken:
    """What a careless conversion would do."""

    class First(nn.Module):
        def forward(self, x):
            return x[:, :, 0]  # and no pooling over the group

    class PerElement(nn.Module):
        def __init__(self, norm, order):
            super().__init__()
            self.norm = nn.BatchNorm2d(norm.num_features * order)
            nn.init.uniform_(self.norm.weight, 0.5, 1.5)

        def forward(self, x):
            return self.norm(x.flatten(1, 2)).view_as(x)

    class Untied(nn.Module):
        def __init__(self, conv):
            super().__init__()
            self.type = conv.out_type
            self.conv = nn.Conv2d(3, conv.out_type.channels, 7, padding=3)

        def forward(self, x):
            return self.type.unflatten(self.conv(x))


@pytest.mark.parametrize("group", [P4(), HueShift(3)], ids=repr)
def test_broken_conversions_are_rejected(group):
    net, _ = convert(ResNet(), group, image_size=SIZE)
    wrong = {
        "group_pool": Broken.First(),
        "bn1": Broken.PerElement(net.bn1, group.order),
        "conv1": Broken.Untied(net.conv1),
    }
    assert_equivariant(settled(net, SIZE), size=(SIZE, SIZE))
    for name, module in wrong.items():
        broken = copy.deepcopy(net)
        setattr(broken, name, module)
        with pytest.raises(AssertionError, match="not equivariant"):
            assert_equivariant(settled(broken, SIZE), size=(SIZE, SIZE))


@pytest.fixture(scope="module")
def resnet18():
    with torch.device("meta"):
        return ResNet(BasicBlock, (2, 2, 2, 2), 64, 1000)


def multiplications(net, size):
    for module in net.modules():
        if isinstance(module, GroupConv2d):
            module.execution = "dense"
    with FlopCounterMode(display=False) as counter:
        net(torch.empty(1, 3, size, size, device="meta"))
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("group", [P4(), HueShift(3) * P4()], ids=repr)
def test_parameters_match(resnet18, group):
    net, report = convert(resnet18, group)
    assert report.parameters == (11_689_512, count(net))
    assert count(net) == pytest.approx(11_689_512, rel=0.002)
    assert next(net.parameters()).is_meta


@pytest.mark.parametrize("group", [P4(), HueShift(3)], ids=repr)
def test_multiplications_match(resnet18, group):
    net, report = convert(resnet18, group, match="compute", image_size=96)
    counts = (multiplications(resnet18, 96), multiplications(net, 96))
    assert report.multiplications == counts
    assert counts[1] == pytest.approx(counts[0], rel=0.002)


def test_no_match_keeps_widths():
    net, report = convert(ResNet(), P4(), match=None, image_size=SIZE)
    assert net.conv1.out_type == 8 * P4().regular
    assert net.fc.in_features == 64
    assert report.scale == 1


def test_channel_groups_are_kept_and_depthwise_stays_depthwise():
    net, _ = convert(ResNet(Bottleneck, groups=4), P4M(), image_size=SIZE)
    conv = net.layer1.get_submodule("0").conv2
    assert conv.channel_groups == 4
    mobile, _ = convert(MobileNet(), P4(), image_size=SIZE)
    conv = mobile.get_submodule("features.1.block.1.0")
    assert conv.channel_groups == conv.in_type.n == conv.out_type.n < 16


def test_the_original_stays_as_it_is():
    net = NETWORKS["timm"]().train()
    net.layer1.eval()
    before, modes = copy.deepcopy(net.state_dict()), {name: module.training for name, module in net.named_modules()}
    new, _ = convert(net, P4(), image_size=SIZE)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert modes == {name: module.training for name, module in net.named_modules()}
    assert new.training
    assert not {id(p) for p in new.parameters()} & {id(p) for p in net.parameters()}


def test_it_trains():
    torch.manual_seed(0)
    net, _ = convert(ResNet(), P4(), image_size=SIZE)
    optimizer = torch.optim.SGD(net.parameters(), 0.02)
    images, labels = torch.randn(8, 3, SIZE, SIZE), torch.arange(8) % 5
    losses = []
    for _ in range(4):
        loss = F.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad.isfinite().all() for p in net.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_copies_and_pickles():
    net = settled(converted("timm", HueShift(3) * P4()), SIZE)
    x = torch.randn(2, 3, SIZE, SIZE)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), copy.deepcopy(pickle.loads(pickle.dumps(net)))):
        assert torch.equal(twin(x), net(x))
        assert (twin.in_type, twin.out_type) == (net.in_type, net.out_type)
        assert type(twin).__name__ == "TimmResNet"
        twin.load_state_dict(net.state_dict())
        assert list(twin.state_dict()) == list(net.state_dict())


def test_compiled_and_exported():
    net = settled(converted("vgg", P4()), SIZE)
    x = torch.randn(2, 3, SIZE, SIZE)
    torch.compiler.reset()
    torch.testing.assert_close(torch.compile(net, fullgraph=True, backend="aot_eager")(x), net(x))
    torch.testing.assert_close(torch.export.export(net, (x,)).module()(x), net(x))


def test_precision_and_names():
    net, _ = convert(ResNet().double(), P4(), image_size=SIZE)
    assert {p.dtype for p in net.parameters()} == {torch.float64}
    assert net.state_dict().keys() == ResNet().state_dict().keys()
    assert equiconv.convert is convert
