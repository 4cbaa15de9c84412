"""Ways to write things that converted networks keep."""

import pickle

import pytest
import torch
from ordinary import settled
from test_converting_silent import Net, check_same, refused
from torch import nn
from torch.nn import functional as F

from equiconv import convert
from equiconv.errors import ExactnessError
from equiconv.groups import P4, SO2, Cyclic, HueShift
from equiconv.testing import assert_equivariant, equivariance_error

SIZE = 8


def conv(i, o, k=3):
    return nn.Conv2d(i, o, k, padding=k // 2)


class Maps(Net):
    def forward(self, x):
        return self.steps(self, x)


def features(net, x):
    return net.b(net.a(x)).relu()


def resized(**options):
    return lambda net, x: F.interpolate(F.max_pool2d(features(net, x), 2), size=x.shape[-2:], **options)


def pooled_context(net, x):
    y = features(net, x)
    mean = net.c(y.mean((2, 3), keepdim=True)).expand(-1, -1, y.shape[2], y.shape[3])
    return net.d(torch.cat([y, mean], 1))


def spatial_gate(net, x):
    y = features(net, x)
    both = torch.cat([y.mean(1, keepdim=True), torch.max(y, 1, keepdim=True)[0]], 1)
    return y * net.e(both).sigmoid()


def doubled(net, x):
    h, w = x.size(2), x.size(3)
    return F.interpolate(features(net, x), size=(2 * h, w * 2), mode="bilinear", align_corners=True)


MAPS = {
    "size of the image": resized(mode="bilinear"),
    "nearest": resized(),
    "corners": doubled,
    "context": pooled_context,
    "gate": spatial_gate,
    "sliced": lambda net, x: (lambda y: torch.cat([y[:, 3:], y[:, :3].sigmoid()], 1))(features(net, x)),
    "module with corners": lambda net, x: net.up(features(net, x)),
    "residual": lambda net, x: x - net.out(features(net, x)),
    "image joined": lambda net, x: torch.cat([features(net, x), x], 1),
    "colors apart": lambda net, x: features(net, net.apart(x)),
    "normalized": lambda net, x: features(net, (x - net.mean) / net.std),
}


def make(name):
    net = Maps(MAPS[name], c=conv(8, 8, 1), d=conv(16, 3), e=conv(2, 1), out=conv(8, 3))
    net.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
    net.apart = nn.Conv2d(3, 3, 3, padding=1, groups=3)
    net.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1))
    net.register_buffer("std", torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1))
    return net


@pytest.mark.parametrize("name", MAPS)
def test_maps(name):
    check_same(make(name))
    net, _ = convert(make(name), P4(), image_size=SIZE)
    for size in (SIZE, 12):
        assert_equivariant(net, size=(size, size))
        x = torch.zeros(1, 3, size, size)
        assert net(x).shape == make(name)(x).shape
    twin = pickle.loads(pickle.dumps(net))
    assert torch.equal(twin(x), net(x))
    state = net.state_dict()
    assert all(torch.equal(state[key], make(name).state_dict()[key]) for key in ("mean", "std") if key in state)


def test_nearest_pixels_of_other_sizes_are_refused():
    net, _ = convert(make("nearest"), P4(), image_size=SIZE)
    with pytest.raises(ExactnessError, match="nearest"):
        net(torch.zeros(1, 3, 11, 11))


AVERAGES = {
    "view": lambda x: x.view(x.size(0), x.size(1), -1).mean(-1),
    "flatten": lambda x: x.flatten(2).mean(2),
    "two steps": lambda x: x.mean(3).mean(2),
    "kept": lambda x: x.mean(2, keepdim=True).mean(3, keepdim=True).flatten(1),
    "sum": lambda x: x.sum((2, 3)),
    "squeezed": lambda x: F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1),
    "maxima": lambda x: x.flatten(2).max(2)[0],
}


class Averaged(Net):
    def forward(self, x):
        return self.fc(self.steps(features(self, x)))


@pytest.mark.parametrize("name", AVERAGES)
def test_averages(name):
    check_same(Averaged(AVERAGES[name]))
    assert_equivariant(convert(Averaged(AVERAGES[name]), P4(), image_size=SIZE)[0], size=(SIZE, SIZE))


class Handmade(nn.Linear):
    def forward(self, x):
        return F.linear(x, self.weight, self.bias)


def test_parameters_by_hand_behind_the_pooling():
    net = Averaged(AVERAGES["sum"])
    net.fc = Handmade(8, 4)
    check_same(net)
    new, report = convert(net, P4(), image_size=SIZE)
    assert torch.equal(new.fc.weight, net.fc.weight)
    assert report.parameters[1] == sum(p.numel() for p in new.parameters())
    assert_equivariant(new, size=(SIZE, SIZE))


def test_numbers_on_a_continuous_group_and_on_colors():
    net, _ = convert(Net(lambda net, x: 2 * net.b((net.a(x) * 3) ** 2)), SO2(), image_size=9)
    x = torch.randn(2, 3, 9, 9, dtype=torch.float64)
    net = settled(net, 9).double()
    torch.testing.assert_close(net(x.rot90(1, (2, 3))), net(x), rtol=1e-9, atol=1e-9)

    def gray(net, x):
        return net.a((x - net.mean) / net.std)

    net = Net(gray)
    net.register_buffer("mean", torch.full((1, 3, 1, 1), 0.5))
    net.register_buffer("std", torch.full((1, 3, 1, 1), 0.25))
    assert_equivariant(convert(net, HueShift(3), image_size=SIZE)[0], size=(SIZE, SIZE))


def test_the_checks_reject_windows_that_are_not_moved():
    net, _ = convert(make("nearest"), P4(), image_size=SIZE, exact=False)
    assert equivariance_error(net, size=(11, 11)) > 0.01


PADS = [nn.ReflectionPad2d(1), nn.ReplicationPad2d(2), nn.CircularPad2d(1), nn.ConstantPad2d(1, 3.0), nn.ZeroPad2d(1)]


@pytest.mark.parametrize("pad", PADS, ids=repr)
def test_padding(pad):
    def steps(net, x):
        return torch.maximum(net.pad(features(net, x)), net.pad(net.b(net.a(x))))

    check_same(Net(steps, pad=pad))
    assert_equivariant(convert(Net(steps, pad=pad), P4(), image_size=SIZE)[0], size=(SIZE, SIZE))


def test_a_shared_convolution_has_a_stride_for_all_its_calls():
    def steps(net, x):
        x = net.a(x)
        for _ in range(3):
            x = net.down(x)
        return x

    net, _ = convert(Net(steps, down=nn.Conv2d(8, 8, 4, 2, 1)), P4(), image_size=18)
    assert_equivariant(net, size=(18, 18))


def test_padding_by_reflection_of_small_maps():
    def steps(net, x):
        return net.c(F.max_pool2d(features(net, x), 4))

    net = Net(steps, c=nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"))
    assert convert(net, Cyclic(8), image_size=SIZE)[0](torch.zeros(1, 3, SIZE, SIZE)).shape == (1, 4)


def test_wrapped_networks_are_named():
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    wrapped = {
        "script": torch.jit.trace(plain, torch.zeros(1, 3, 8, 8)),
        r"model\.module": nn.DataParallel(plain),
        "_orig_mod": torch.compile(plain),
        "lazy": nn.Sequential(nn.LazyConv2d(4, 3)),
    }
    for message, net in wrapped.items():
        refused(net, message)


def test_sums_with_invariants_on_a_continuous_group_are_refused():
    refused(make("image joined"), "different kinds", SO2())
    refused(Net(lambda net, x: net.a(x) + x.mean(1, keepdim=True)), "mixes them|permuted", SO2())
