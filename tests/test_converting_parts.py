"""What a conversion refuses, leaves, shares and reports."""

import pytest
import torch
from ordinary import settled
from ordinary_cnns import DenseNet, LinearExcitation
from ordinary_resnets import ResNet
from torch import nn
from torch.nn import functional as F

from equiconv import convert
from equiconv.errors import ConversionError, EquiconvError, ExactnessError, FieldTypeError, GroupError
from equiconv.groups import P4, SO2, Flip, HueShift, Trivial
from equiconv.layers import GroupPool
from equiconv.testing import assert_equivariant

SIZE = 16


class Net(nn.Module):
    """A convolution, a part, global average, and a linear layer."""

    def __init__(self, part=None, function=None, channels=8):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.part = nn.Identity() if part is None else part
        self.function = function
        self.fc = nn.Linear(channels, 4)

    def forward(self, x):
        x = self.part(self.conv(x))
        x = x if self.function is None else self.function(x)
        return self.fc(x.mean((2, 3)))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        tokens = x.flatten(2).transpose(1, 2)
        return x + self.attention(tokens, tokens, tokens)[0].transpose(1, 2).view_as(x)


class Reads(nn.Module):
    def __init__(self):
        super().__init__()
        self.rows = nn.LSTM(SIZE, SIZE)

    def forward(self, x):
        return self.rows(x[:, 0])[0].unsqueeze(1) + x


class Branches(nn.Module):
    def forward(self, x):
        return x if x.mean() > 0 else -x


class Modes(nn.Module):
    def forward(self, x):
        return x * 2 if self.training else x


class InPlace(nn.Module):
    def forward(self, x):
        y = F.relu(x, inplace=True)
        return y + x


class Gain(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(8, 1, 1))

    def forward(self, x):
        return x * self.gain


class Hooked(nn.Conv2d):
    def __init__(self):
        super().__init__(8, 8, 1)
        self.register_forward_hook(lambda module, inputs, output: 2 * output)


REFUSED = {
    "attention": (lambda: Net(Attention()), r"transpose in part .*average the rest"),
    "lstm": (lambda: Net(Reads()), r"getitem in part .*a part of maps"),
    "conv1d": (lambda: Net(nn.Sequential(nn.Flatten(2), nn.Conv1d(8, 8, 1), nn.Unflatten(2, (16, 16)))), r"part\.1"),
    "conv3d": (lambda: Net(nn.Sequential(nn.Unflatten(1, (8, 1)), nn.Conv3d(8, 8, 1), nn.Flatten(1, 2))), r"part\.0"),
    "layer norm": (lambda: Net(nn.LayerNorm(16)), r"part \(LayerNorm\) .*nn\.GroupNorm"),
    "softmax": (lambda: Net(nn.Softmax(1)), r"part \(Softmax\) .*behind the head"),
    "shuffle": (lambda: Net(nn.PixelShuffle(2), channels=2), r"part \(PixelShuffle\) .*nn\.Upsample"),
    "permuted": (lambda: Net(function=lambda x: x.permute(0, 1, 3, 2)), r"permute in Net .*move differently"),
    "unknown function": (lambda: Net(function=torch.fft.fft2), r"does not know whether it keeps fields"),
    "sorted": (lambda: Net(function=lambda x: x.sort(1)[0]), r"sort in Net .*does not know"),
    "shortcut by hand": (lambda: Net(function=lambda x: x[:, :, ::2, ::2]), r"a part of maps"),
    "padded": (lambda: Net(function=lambda x: F.pad(x, (1, 0, 1, 0))), r"pad in Net .*nn\.ZeroPad2d"),
    "padded on one side": (lambda: Net(nn.ZeroPad2d((1, 0, 1, 0))), r"part \(ZeroPad2d\) .*all sides"),
    "branch": (lambda: Net(Branches()), r"forward of Net cannot be followed"),
    "modes": (lambda: Net(Modes()), r"different things in training"),
    "in place": (lambda: Net(InPlace()), r"relu in part .*in place"),
    "parameter": (lambda: Net(Gain()), r"mul in part .*a parameter"),
    "hook": (lambda: Net(Hooked()), r"part \(Hooked\) .*hooks"),
    "weight norm": (lambda: Net(nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 8, 1))), r"parametrization"),
    "channels last": (lambda: Net(nn.Linear(16, 16)), r"part \(Linear\) .*columns"),
    "rectangular kernel": (lambda: Net(nn.Conv2d(8, 8, (1, 3), padding=(0, 1))), r"part \(Conv2d\) .*same for both"),
    "rectangular pool": (lambda: Net(nn.AdaptiveAvgPool2d((2, 3))), r"part \(AdaptiveAvgPool2d\) .*output_size"),
    "one-sided": (lambda: Net(nn.ConvTranspose2d(8, 8, 3, 2, 1, output_padding=1)), r"ConvTranspose2d\) .*reverses"),
    "indices": (lambda: Net(nn.MaxPool2d(2, return_indices=True), lambda x: x[0]), r"MaxPool2d\) .*return_indices"),
    "equiconv": (lambda: Net(GroupPool(8 * P4().trivial)), r"part \(GroupPool\) .*of equiconv already"),
    "no convolution": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(768, 2)), r"calls no nn\.Conv2d"),
    "channel split": (lambda: Net(function=lambda x: torch.cat([x, x], 2)), r"cat in Net .*something else"),
    "read number": (lambda: Net(function=lambda x: x / x.size(1)), r"truediv in Net .*read from a size"),
    "other arguments": (lambda: Net(SizedUp()), r"part.up \(ConvTranspose2d\)"),
    "always dropped": (lambda: Net(function=lambda x: F.dropout(x, 0.2)), r"dropout in Net .*self\.training"),
    "repeated": (lambda: Net(function=lambda x: F.relu(x.amax((2, 3), True).repeat(1, 1, 4, 4))), r"repeat in Net"),
}  # fmt: skip


class SizedUp(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose2d(8, 8, 4, 2, 1)

    def forward(self, x):
        return self.up(x, output_size=(33, 33))


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    make, message = REFUSED[name]
    with pytest.raises(ConversionError, match=message):
        convert(make(), P4(), image_size=SIZE)


def test_refused_arguments():
    for options in ({"match": "width"}, {"pool": "sum"}, {"exact": 1}, {"leave": ["nothing"]}, {"image_size": 0}):
        with pytest.raises(EquiconvError):
            convert(Net(), P4(), **options)
    with pytest.raises(GroupError, match="convert takes a group"):
        convert(Net(), "P4")
    with pytest.raises(ConversionError, match=r"an nn\.Module"):
        convert(torch.relu, P4())
    with pytest.raises(ConversionError, match=r"does not take images of .*image_size="):
        convert(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 14 * 14, 2)), P4())
    with pytest.raises(FieldTypeError, match="moves colors"):
        convert(nn.Sequential(nn.Conv2d(1, 4, 3)), HueShift(3))
    with pytest.raises(ConversionError, match="a continuous group mixes"):
        convert(Net(function=lambda x: x * x.sigmoid()), SO2(), image_size=SIZE)


def test_what_a_group_does_not_move_is_free():
    net = nn.Sequential(nn.Conv2d(3, 4, (1, 3), stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d((2, 3)))
    new, report = convert(net, HueShift(3), image_size=SIZE)
    assert not report.changed
    assert_equivariant(new, size=(SIZE, SIZE))


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 4, batch_first=True)

    def forward(self, x):
        return self.gru(x.unflatten(1, (-1, 4)))[0].flatten(1)


def test_left_modules_take_invariants():
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.Softmax(1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), Head(), nn.Linear(8, 3)
    )
    with pytest.raises(ConversionError, match=r"4\.gru"):
        convert(net, HueShift(3), image_size=SIZE, leave=["1"])
    new, report = convert(net, HueShift(3), image_size=SIZE, leave=["1", "4"])
    assert [row.name for row in report.rows if row.status == "left"] == ["1", "4"]
    assert torch.equal(new.state_dict()["4.gru.weight_hh_l0"], net[4].gru.weight_hh_l0)
    assert_equivariant(new, size=(SIZE, SIZE))
    with pytest.raises(ConversionError, match=r"1 \(Softmax\) .*turn with the image"):
        convert(net, P4(), image_size=SIZE, leave=["1", "4"])


class Shared(nn.Module):
    """Calls one convolution twice, on maps that are made apart; a depthwise one, and a gate of linear layers."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(3, 8, 1)
        self.twice = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.norm = nn.BatchNorm2d(8)
        self.gate = LinearExcitation(16, 4)
        self.fc = nn.Linear(16, 3)

    def forward(self, x):
        y = torch.cat([self.norm(self.twice(self.a(x))), self.twice(self.norm(self.b(x)))], 1)
        return self.fc(self.gate(F.relu(y)).mean([-1, -2]))


def test_shared_weights_stay_shared():
    new, _ = convert(Shared(), P4(), image_size=SIZE)
    assert new.a.out_type == new.b.out_type == new.twice.in_type
    assert new.fc.in_features == 2 * new.a.out_type.n
    assert_equivariant(settled(new), size=(SIZE, SIZE))


def test_the_report():
    net = ResNet()
    new, report = convert(net, P4(), image_size=SIZE)
    rows = {row.name: row for row in report.rows}
    assert set(rows) >= {"conv1", "bn1", "relu", "maxpool", "layer2.0.downsample.0", "group_pool", "fc"}
    assert {name for name, row in rows.items() if row.status == "inserted"} == set(rows) - dict(
        net.named_modules()
    ).keys()
    assert rows["conv1"].was == "Conv2d 3 -> 8, 7x7, stride 2"
    assert rows["conv1"].became == f"GroupConv2d 3 -> {new.conv1.out_type.n}, 7x7"
    assert "stride 2" in rows["conv1"].why
    assert report.changed == tuple(row for row in report.rows if row.status == "changed")
    text = str(report)
    assert text.splitlines()[0].startswith("on Cyclic(4): equal parameters")
    assert all(row.name in text and row.why in text for row in report.rows)
    assert f"{report.parameters[0]:,} -> {report.parameters[1]:,}" in text
    assert "same widths" in str(convert(net, P4(), match=None, image_size=SIZE)[1])


def test_densenet_on_a_flip_and_on_nothing():
    net, report = convert(DenseNet(), Flip(), match="compute", image_size=SIZE)
    assert report.multiplications[1] == pytest.approx(report.multiplications[0], rel=0.1)
    assert_equivariant(settled(net), size=(SIZE, SIZE))
    assert convert(DenseNet(), Trivial(), match="compute", image_size=SIZE)[1].scale == 1


def test_even_kernels_keep_their_stride():
    net = nn.Sequential(nn.Conv2d(3, 4, 4, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 2, stride=2))
    new, report = convert(net, P4(), image_size=SIZE)
    assert not report.changed
    assert_equivariant(new, size=(SIZE, SIZE))
    with pytest.raises(ExactnessError):
        new(torch.zeros(1, 3, SIZE + 1, SIZE + 1))
    new, report = convert(net, P4(), image_size=SIZE + 2)  # 9 pixels behind the first
    assert [row.name for row in report.changed] == ["2"]
    assert_equivariant(new, size=(SIZE + 2, SIZE + 2))


def test_dropout_that_is_off_is_nothing():
    new, report = convert(Net(function=lambda x: F.dropout(x, 0.5, False)), P4(), image_size=SIZE)
    assert not any("dropout" in row.name for row in report.rows)
    new, report = convert(Net(Dropped()), P4(), image_size=SIZE)
    assert [row.became for row in report.rows if "dropout" in row.name] == ["FieldDropout"]
    x = torch.randn(2, 3, SIZE, SIZE)
    assert not torch.equal(new.train()(x), new(x))
    assert torch.equal(new.eval()(x), new(x))


class Dropped(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.5, self.training)
