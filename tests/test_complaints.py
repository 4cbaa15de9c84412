"""What users of equivariant libraries complain about, year after year: one test each, named for the complaint."""

import copy
import cProfile
import pickle
import pstats
import re
import subprocess
import sys
from importlib import metadata

import pytest
import torch
from support import graphs, processes
from support.cases import CASES, Case
from torch import nn

import equiconv
import equiconv.layers
from equiconv import EquiconvError
from equiconv.errors import ExactnessError
from equiconv.groups import P4, P4M, SO2, Cyclic, Flip, HueShift
from equiconv.interop import read_checkpoint
from equiconv.layers import (
    FieldBatchNorm,
    FieldGroupNorm,
    GroupConv2d,
    GroupConvTranspose2d,
    GroupPool,
    Pointwise,
    SpatialPool,
    Upsample,
)
from equiconv.models import CNN, Architecture, ResNet, create
from equiconv.testing import assert_equivariant, equivariance_error


def small(group=None):
    return CNN(group or P4(), 4, kernel_sizes=(3, 3, 3)).eval()


def images(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_installing_it_fails():
    """Four dependencies, all with wheels; no upper bounds; `.ci/install` tries the wheel in clean environments."""
    needed = [one for one in metadata.requires("equiconv") if "extra ==" not in one]
    assert {re.split("[<>=]", one)[0] for one in needed} == {"torch", "numpy", "scipy", "safetensors"}
    assert not any(mark in one for one in needed for mark in ("<", "==", "~="))


def test_importing_it_prints_or_drags_in_the_world():
    code = "import sys, torch; before = set(sys.modules); import equiconv; print(*set(sys.modules) - before)"
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    packages = {name.split(".")[0] for name in result.stdout.split()} - set(sys.stdlib_module_names)
    assert packages <= {"equiconv", "numpy", "scipy", "torch"}
    assert result.stderr == ""


@pytest.mark.parametrize("size", [(32, 32), (30, 33), (33, 64)])
def test_a_strided_network_is_silently_not_equivariant(size):
    kind = 2 * P4().regular
    strided = GroupConv2d(kind, kind, 3, stride=2, padding=1)
    with pytest.raises(ExactnessError, match="equivariance is lost"):
        strided(images(1, *kind.shape, *size))
    loose = GroupConv2d(kind, kind, 3, stride=2, padding=1, exact=False)
    assert equivariance_error(loose, size=(32, 32)) > 0.1  # what the error is about
    assert equivariance_error(strided, size=(33, 33)) < 1e-10


@pytest.mark.parametrize("size", [(30, 30), (30, 33), (31, 32), (32, 37)])
def test_the_networks_are_invariant_for_some_sizes_only(size):
    net = ResNet(P4M(), Architecture((1, 1, 1)), 4).eval()
    assert_equivariant(net, size=size)


def test_a_checkpoint_of_evaluation_does_not_load_in_training():
    net, fresh = small(), CNN(P4(), 4, kernel_sizes=(3, 3, 3))
    net(images(2, 3, 14, 14))
    kept = set(net.state_dict())
    assert kept == set(fresh.state_dict()) == set(net.train().state_dict())
    fresh.load_state_dict(net.eval().state_dict(), strict=True)
    assert torch.equal(fresh.eval()(images(2, 3, 14, 14)), net(images(2, 3, 14, 14)))
    assert sum(value.numel() for value in net.state_dict().values()) < 1.1 * sum(p.numel() for p in net.parameters())


def test_weights_that_change_in_evaluation_are_not_seen():
    conv, x = GroupConv2d(P4().image, 2 * P4().regular, 3).eval(), images(1, 3, 6, 6)
    with torch.no_grad():
        before = conv(x)
        conv.weight.mul_(2)
        conv.bias.mul_(2)
        torch.testing.assert_close(conv(x), 2 * before)
        other = GroupConv2d(P4().image, 2 * P4().regular, 3)
        conv.load_state_dict(other.state_dict())
        assert torch.equal(conv(x), other.eval()(x))


def test_nothing_exports():
    graphs.traced_in_evaluation(CASES["CNN"])
    graphs.traced_in_training(CASES["CNN"])
    graphs.exported_to_onnx(CASES["CNN"])
    graphs.plain(CASES["CNN"])


def test_kernels_are_made_again_for_every_image():
    net, made = small(), []
    for part in net.modules():
        if isinstance(part, GroupConv2d):
            part.pipeline.act = lambda w, act=part.pipeline.act: made.append(1) or act(w)
    with torch.no_grad():
        for _ in range(3):
            net(images(1, 3, 14, 14))
    assert len(made) == 3  # one for each layer
    net.train()(images(2, 3, 14, 14))
    assert len(made) == 6  # in training once a step


def test_torch_compile_breaks():
    graphs.compiled(Case("CNN, traced", CASES["CNN"].make, (14, 14)))


def calls_to_build(make):
    profile = cProfile.Profile()
    profile.enable()
    layer = make()
    profile.disable()
    return pstats.Stats(profile).total_calls, layer.weight.numel()


@pytest.mark.parametrize("kind", [Cyclic(16).regular, SO2(3).irrep(0) + SO2(3).irrep(1) + SO2(3).irrep(2)], ids=repr)
def test_building_takes_minutes(kind):
    """Counted, not timed: the work does not grow with the number of fields, as a loop over coefficients would."""
    calls_to_build(lambda: GroupConv2d(kind, kind, 7))  # tables of the group
    few, small = calls_to_build(lambda: GroupConv2d(2 * kind, 2 * kind, 7))
    many, large = calls_to_build(lambda: GroupConv2d(64 * kind, 64 * kind, 7))
    assert large == 1024 * small
    assert many < few + 5000 < large
    assert many < 100_000


def test_models_cannot_be_pickled():
    net = small(HueShift(3) * P4())
    for other in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        assert torch.equal(other(images(2, 3, 14, 14)), net(images(2, 3, 14, 14)))
    assert processes.spawned([CASES["CNN"]])["CNN"].kind == "works"


def test_double_on_one_model_breaks_another():
    first, second = small(), small()
    expected = second(images(1, 3, 14, 14))
    first.double()
    assert torch.equal(second(images(1, 3, 14, 14)), expected)
    assert small()(images(1, 3, 14, 14)).dtype == torch.float32
    assert_equivariant(first, size=(14, 14))  # to the precision of float64


def test_the_precision_of_the_input_is_lost():
    for dtype in (torch.float64, torch.bfloat16, torch.float16):
        kind = 2 * P4().regular
        for layer in (
            GroupPool(kind),
            SpatialPool(kind, 2, exact=False),
            FieldBatchNorm(kind),
            Upsample(kind, scale=2),
        ):
            assert layer.to(dtype)(images(1, 2, 4, 6, 6).to(dtype)).dtype == dtype


def test_tensors_are_wrapped_and_errors_are_empty():
    lift = GroupConv2d(P4().image, 2 * P4().regular, 3)
    y = lift(images(1, 3, 6, 6))
    assert type(y.detach()) is torch.Tensor
    mixture = nn.Sequential(lift, nn.ReLU(), GroupPool(2 * P4().regular), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert nn.Sequential(mixture, nn.Linear(2, 5))(images(1, 3, 6, 6)).shape == (1, 5)
    with pytest.raises(EquiconvError, match=r"expected.*3.*got.*4|3.*\(1, 4, 6, 6\)"):
        lift(images(1, 4, 6, 6))
    with pytest.raises(EquiconvError, match="of the group"):
        GroupConv2d(P4().image, 2 * P4M().regular, 3)


def test_layers_and_networks_are_missing():
    kind = 4 * P4().regular
    x = images(2, *kind.shape, 9, 9)
    for layer in (
        FieldGroupNorm(kind),  # layer norm
        FieldGroupNorm(kind, channel_groups=4),  # instance norm
        Pointwise(kind, nn.functional.leaky_relu),
        nn.ModuleList([Pointwise(kind)])[0],
        GroupConv2d(kind, kind, 3, padding=(2, 2)),
        Upsample(kind, scale=2),
        GroupConvTranspose2d(kind, kind, 3),
    ):
        assert layer(x).shape[:3] == x.shape[:3]
    assert (Cyclic(2) * Flip()).order == 4  # Klein's group
    assert GroupConv2d(1 * SO2(2).trivial, 2 * SO2(2).irrep(1), 3)(images(1, 1, 9, 9)).shape == (1, 2, 2, 7, 7)
    assert create("resnet18", group=P4(), widths=8).eval()(images(1, 3, 32, 32)).shape == (1, 10)


def test_the_docs_do_not_say_for_which_group_a_layer_is_exact():
    for name in set(equiconv.layers.__all__) - {"ChannelMaxPool"}:  # of ordinary networks
        assert "Equivariance:" in getattr(equiconv.layers, name).__doc__, name


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_arguments_of_the_convolution_are_ignored(mode):
    """Kernel sizes, also even and oblong, strides, dilation, padding modes and groups are those of ``nn.Conv2d``."""
    kind = 4 * Flip(0).regular
    options = {"stride": (1, 2), "dilation": (2, 1), "padding": (1, 2), "padding_mode": mode}
    conv = GroupConv2d(kind, kind, (3, 4), channel_groups=2, exact=False, **options)
    plain = nn.Conv2d(8, 8, (3, 4), groups=2, **options)
    plain.weight.data, plain.bias.data = conv.kernel().detach(), conv.expanded_bias().detach()
    x = images(2, 4, 2, 9, 10)
    torch.testing.assert_close(conv(x).flatten(1, 2), plain(x.flatten(1, 2)))
    assert GroupConv2d(4 * Cyclic(8).trivial, 4 * Cyclic(8).regular, 2, exact=False).weight.abs().sum() > 0


def test_symmetry_is_all_or_nothing():
    """A group for each stage: turns by quarters, then by halves, then none; kernels may stay those of the group."""
    net = CNN([P4(), Cyclic(2), Cyclic(2)], 4, kernel_sizes=(3, 3, 3)).eval()
    assert net.in_type.group == Cyclic(2)
    assert_equivariant(net, size=(14, 14))
    full = images(2, 3, 14, 14)
    assert not torch.allclose(net(full), net(torch.rot90(full, 1, (-2, -1))), atol=1e-4)


def test_hues_leave_the_range_of_colors():
    """Thirds of a turn permute the channels. Others are linear: exact as such, and clipping them costs something."""
    x = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(HueShift(3).transform_image(x, 1)[:, [1, 2, 0]], x)
    moved = HueShift(4).transform_image(x, 1)
    assert moved.min() < 0
    assert moved.max() > 1
    net = nn.Sequential(GroupConv2d(HueShift(4).image, 2 * HueShift(4).regular, 3), GroupPool(2 * HueShift(4).regular))
    net = net.double().eval()
    torch.testing.assert_close(net(moved), net(x), rtol=1e-10, atol=1e-12)
    assert (net(moved.clamp(0, 1)) - net(x)).abs().max() > 1e-4


class Evil:
    def __reduce__(self):
        return print, ("executed",)


def test_files_of_others_run_code(tmp_path, capsys):
    net = small()
    equiconv.save(net, tmp_path / "net.safetensors")
    loaded = equiconv.load(tmp_path / "net.safetensors")
    assert torch.equal(loaded(images(2, 3, 14, 14)), net(images(2, 3, 14, 14)))
    torch.save({"state_dict": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(EquiconvError):
        equiconv.load(tmp_path / "evil.pt")
    with pytest.raises(EquiconvError):
        read_checkpoint(tmp_path / "evil.pt")
    assert "executed" not in capsys.readouterr().out
    torch.load(tmp_path / "evil.pt", weights_only=False)
    assert "executed" in capsys.readouterr().out  # what it would have done
