"""Exported networks compute the same, with weights of PyTorch's own layers, and know nothing of equiconv."""

import copy
import io
import pickle
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import equiconv
from equiconv.errors import EquiconvError, ExportError
from equiconv.exporting import affine, export
from equiconv.groups import P4, P4M, SO2, HueShift, Trivial
from equiconv.layers import FieldBatchNorm, GroupConv2d, GroupPool, SpatialPool
from equiconv.models import CNN, RESNET18, ResNet, WideResNet, create

NORMS = nn.modules.batchnorm._BatchNorm


def relative(y, expected):
    return float(((y - expected).abs().max() / expected.abs().max()).detach())


def seen(module, *shape):
    """Return the module in evaluation, with statistics of some images."""
    with torch.no_grad():
        for _ in range(2):
            module.train()((torch.randn(4, *shape) + 0.5).to(next(module.parameters()).dtype))
    return module.eval()


def norms(module):
    return [part for part in module.modules() if isinstance(part, NORMS)]


RESIDUAL = replace(RESNET18, stem="small", blocks=(1, 1, 1, 1))
MODELS = {
    "cnn": (lambda: CNN(HueShift(3) * P4(), 2, dropout=0.2), 28, 0),
    "gc": (lambda: CNN(P4M(), 3, factorization="gc", kernel_sizes=(3, 3, 3)), 12, 0),
    "resnet": (lambda: ResNet(HueShift(3), RESIDUAL, (2, 2, 3, 4)), 16, 0),
    "hybrid": (lambda: ResNet([HueShift(3)] * 2 + [Trivial()] * 2, RESIDUAL, (2, 2, 3, 4)), 16, 0),
    "preactivation": (lambda: ResNet(P4(), replace(RESIDUAL, preactivation=True), (2, 2, 3, 4)), 17, 5),
    "wide": (lambda: WideResNet(P4(), 10, 0.25), 9, 3),
    "continuous": (lambda: CNN(SO2(1), 1, kernel_sizes=(3, 3)), 10, 0),
    "channel-pooled": (lambda: create("cnn-basic", orders=4, width=8), 28, 0),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_and_the_batch_norms_that_are_left(name):
    make, size, left = MODELS[name]
    net = make()
    shape = (next(net.parameters()).shape[1] if name == "channel-pooled" else 3, size, size)
    seen(net, *shape)
    plain = export(net, torch.randn(2, *shape))
    x = torch.randn(3, *shape)
    with torch.no_grad():
        assert relative(plain(x), net(x)) < 1e-6
    assert len(norms(plain)) == left
    assert all(type(part).__module__.startswith("torch") for part in plain.modules() if part is not plain)
    assert "equiconv" not in plain.code
    assert all(not node.meta for node in plain.graph.nodes)


def test_a_batch_norm_of_any_fields_is_folded_through_views():
    group = P4()
    fields = 2 * (group.trivial + group.irrep(1) + group.regular)
    net = nn.Sequential(GroupConv2d(group.image, fields, 3), FieldBatchNorm(fields)).double()
    nn.init.uniform_(net[1].weight, 0.5, 2)
    nn.init.uniform_(net[1].bias, 0.5, 2)
    with torch.no_grad():
        net(torch.randn(4, 3, 8, 8, dtype=torch.float64))
    plain = export(net, torch.randn(2, 3, 8, 8, dtype=torch.float64))
    x = torch.randn(3, 3, 9, 7, dtype=torch.float64)
    assert relative(plain(x), net.eval()(x)) < 1e-12
    assert [str(node.target) for node in plain.graph.nodes if node.op == "call_module"] == ["check_sizes", "0"]


def test_a_convolution_that_two_use_is_left_alone():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = GroupConv2d(P4().image, 2 * P4().regular, 3), nn.BatchNorm3d(2)

        def forward(self, x):
            y = self.conv(x)
            return y + self.norm(y)

    net = seen(Twice(), 3, 8, 8)
    plain = export(net, torch.randn(2, 3, 8, 8))
    x = torch.randn(3, 3, 8, 8)
    assert len(norms(plain)) == 1
    assert relative(plain(x), net(x)) < 1e-6


def test_a_broken_fold_is_rejected(monkeypatch):
    net = seen(CNN(P4(), 2, kernel_sizes=(3, 3)), 3, 10, 10)
    correct = affine._through
    monkeypatch.setattr(affine, "_through", lambda *args: correct(*args) * 1.01)
    with pytest.raises(ExportError, match="computes something else"):
        export(net, torch.randn(2, 3, 10, 10))


BLOCKED = """
import sys
sys.modules["equiconv"] = None
import torch
plain, x, expected = torch.load(sys.argv[1], weights_only=False)
torch.testing.assert_close(plain(x), expected)
plain(x).sum().backward()
print(sum(parameter.grad is not None for parameter in plain.parameters()))
"""


def test_it_runs_where_equiconv_is_not_installed(tmp_path):
    net = seen(CNN(HueShift(3) * P4(), 2, kernel_sizes=(3, 3, 3), dropout=0.1), 3, 14, 14)
    plain, x = export(net, torch.randn(2, 3, 14, 14)), torch.randn(3, 3, 14, 14)
    torch.save((plain, x, plain(x).detach()), tmp_path / "plain.pt")
    command = [sys.executable, "-c", BLOCKED, str(tmp_path / "plain.pt")]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert int(result.stdout) == len(list(plain.parameters())) == 2 * 4
    assert b"equiconv" in pickle.dumps(net)


class Free(nn.Module):
    """A module as users write them: Python, changes in place, a layer that is called twice, a dict in the end."""

    def __init__(self):
        super().__init__()
        group = P4()
        self.lift = GroupConv2d(group.image, 2 * group.regular, 3, padding=1)
        self.conv = GroupConv2d(2 * group.regular, 2 * group.regular, 3, padding=1)
        self.pool = GroupPool(2 * group.regular)
        self.relu = nn.ReLU(inplace=True)
        self.scale = nn.Parameter(torch.rand(()))
        self.calls = 0

    def forward(self, x, mask):
        self.calls += 1
        y = self.relu(self.lift(x))
        for _ in range(2):
            y = self.relu(self.conv(y))
        z = self.pool(y)
        z += self.scale
        return {"maps": z * mask, "rest": (z[:, 1:], [z.flatten(1).mean(1)])}


def test_a_module_with_python_in_it():
    net = Free()
    plain = export(net, (torch.randn(2, 3, 8, 8), torch.rand(2, 1, 8, 8)))
    x, mask = torch.randn(3, 3, 9, 9), torch.rand(3, 1, 9, 9)
    y, expected = plain(x, mask), net(x, mask)
    assert list(y) == list(expected)
    assert relative(y["maps"], expected["maps"]) < 1e-6
    assert relative(y["rest"][0], expected["rest"][0]) < 1e-6
    assert relative(y["rest"][1][0], expected["rest"][1][0]) < 1e-6
    names = {"lift.weight", "lift.bias", "conv.weight", "conv.bias", "scale"}
    assert {name for name, _ in plain.named_parameters()} == set(plain.state_dict()) == names


def test_the_module_of_the_caller_stays_as_it_is():
    net = CNN(HueShift(3), 2, kernel_sizes=(3, 3, 3), dropout=0.5)
    state, torch_state = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    plain = export(net, torch.randn(1, 3, 14, 14))
    assert net.training
    assert not plain.training
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert {part.execution for part in net.modules() if isinstance(part, GroupConv2d)} == {"auto"}
    torch.set_rng_state(torch_state)
    torch.randn(1, 3, 14, 14)
    drawn = torch.rand(1)
    torch.set_rng_state(torch_state)
    export(net, torch.randn(1, 3, 14, 14))
    assert torch.equal(torch.rand(1), drawn)


def test_sizes_stay_open_where_the_network_takes_them():
    group = P4()
    net = nn.Sequential(GroupConv2d(group.image, group.regular, 3, stride=2, padding=1), SpatialPool(group.regular, 1))
    plain = export(net, torch.randn(2, 3, 9, 9))
    x = torch.randn(2, 3, 13, 11)
    assert relative(plain(x), net(x)) < 1e-6
    for other in (torch.randn(2, 3, 12, 12), torch.randn(2, 4, 9, 9)):
        with pytest.raises(EquiconvError):
            net(other)
        with pytest.raises(AssertionError, match="was exported for inputs with"):
            plain(other)


def test_export_within_autocast_and_inference():
    net, x = CNN(HueShift(3), 2, kernel_sizes=(3, 3)).eval(), torch.randn(2, 3, 10, 10)
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        plain = export(net, x)
    assert relative(plain(x), net(x)) < 1e-6
    assert not any(parameter.is_inference() for parameter in plain.parameters())
    with torch.autocast("cpu", torch.bfloat16):
        assert plain(x).dtype == torch.bfloat16


def test_a_group_that_leaves_the_plane_alone_asks_for_no_sizes():
    net = ResNet(HueShift(3), RESIDUAL, (2, 2, 3, 4)).eval()
    plain = export(net, torch.randn(2, 3, 16, 16))
    for size in (17, 18, 20):
        x = torch.randn(2, 3, size, size)
        assert relative(plain(x), net(x)) < 1e-6


def test_precisions_formats_and_names():
    net = nn.Sequential(GroupConv2d(P4().image, 2 * P4().regular, 3), FieldBatchNorm(2 * P4().regular)).eval()
    x = torch.randn(2, 3, 8, 8).to(memory_format=torch.channels_last)
    plain = export(net, x)
    assert plain.get_submodule("0")(x.contiguous()).is_contiguous()
    assert relative(plain(x), net(x)) < 1e-5
    half = export(copy.deepcopy(net).bfloat16(), x.bfloat16())
    assert half(x.bfloat16()).dtype == torch.bfloat16
    assert relative(half(x.bfloat16()).float(), net(x)) < 0.05
    named = nn.Sequential()
    named.add_module("check_sizes", copy.deepcopy(net[0]))
    assert relative(export(named, x)(x), net[0](x)) < 1e-6


def test_as_a_module_of_pytorch():
    net = seen(CNN(HueShift(3) * P4(), 4, kernel_sizes=(3, 3, 3)), 3, 14, 14)
    plain, x = export(net, torch.randn(2, 3, 14, 14)), torch.randn(3, 3, 14, 14)
    y = plain(x)
    last = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    assert last.features.get_submodule("0")(x.to(memory_format=torch.channels_last)).is_contiguous(
        memory_format=torch.channels_last
    )
    assert relative(last(x.to(memory_format=torch.channels_last)), y) < 1e-5
    assert relative(copy.deepcopy(plain).double()(x.double()), y.double()) < 1e-5
    again = torch.export.export(plain, (x,), dynamic_shapes=({0: torch.export.Dim("batch")},)).module()
    assert relative(again(x[:2]), y[:2]) < 1e-6
    file = io.BytesIO()
    torch.save(plain.state_dict(), file)
    file.seek(0)
    other = export(CNN(HueShift(3) * P4(), 4, kernel_sizes=(3, 3, 3)), x)
    other.load_state_dict(torch.load(file))
    assert torch.equal(other(x), y)
    assert export is equiconv.export


class Acts(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.function = forward
        self.register_buffer("calls", torch.zeros(()))
        self.weight = nn.Parameter(torch.ones(3, 1, 1))

    def forward(self, x):
        return self.function(self, x)


def in_another_view(self, x):
    y = x * 2
    z = y.flatten(1)
    y.relu_()
    return z.sum(1)


def with_autocast(self, x):
    with torch.autocast("cpu", torch.bfloat16):
        return F.conv2d(x, self.weight[None].expand(1, 3, 1, 1))


REFUSED = {
    "depends on numbers": (lambda self, x: x if x.sum() > 0 else -x, "cannot be traced"),
    "counts its calls": (lambda self, x: x * self.calls.add_(1), "changes a parameter or buffer"),
    "in place, seen elsewhere": (in_another_view, "another view is in use"),
    "autocast": (with_autocast, "region of its own"),
    "a batch of two": (lambda self, x: x * torch.ones(2, 1, 1, 1), "number of images"),
    "NumPy": (lambda self, x: torch.from_numpy(x.numpy()), "cannot be traced"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_exported_is_refused(name):
    forward, message = REFUSED[name]
    with pytest.raises(ExportError, match=message):
        export(Acts(forward), torch.ones(2, 3, 4, 4))


@pytest.mark.parametrize("example", [(), 3, torch.ones(0, 3, 4, 4), (torch.ones(2, 3, 4, 4), None)], ids=str)
def test_examples_that_are_no_batches(example):
    with pytest.raises(ExportError, match="a batch of images"):
        export(nn.ReLU(), example)


def test_what_is_no_module_or_does_not_fit():
    with pytest.raises(ExportError, match=r"is a torch\.nn\.Module; got function"):
        export(F.relu, torch.ones(2, 3, 4, 4))
    with pytest.raises(ExportError, match="does not fit the arguments of forward"):
        export(nn.ReLU(), (torch.ones(2, 3, 4, 4), torch.ones(2, 3, 4, 4)))
    with pytest.raises(EquiconvError, match="are tensors of shape"):
        export(CNN(P4(), 2), torch.ones(2, 4, 28, 28))
