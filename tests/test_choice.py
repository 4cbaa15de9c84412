"""Which plan "auto" takes, and what is refused."""

import copy

import pytest
import torch

from equiconv.errors import FieldTypeError
from equiconv.execution.blocks import LEAST, images_at_once
from equiconv.execution.choice import EXECUTIONS, GAIN, LARGEST, PLANS
from equiconv.execution.rates import RATES, gain
from equiconv.groups import P4, P4M, SO2, HueShift
from equiconv.layers import GroupConv2d, GroupConvTranspose2d


def layer(group, fields, kernel_size=3, **options):
    return GroupConv2d(fields * group.regular, fields * group.regular, kernel_size, **options)


def maps(conv, size, batch=16, **options):
    return torch.empty(batch, *conv.in_type.shape, size, size, **options)


WIDE = [
    (lambda: layer(HueShift(3), 64), 16, "fourier"),
    (lambda: layer(HueShift(4), 64), 16, "fourier"),
    (lambda: layer(HueShift(3) * P4M(), 16), 16, "fourier"),
    (lambda: layer(P4M(), 128, 1), 8, "fourier"),
    (lambda: layer(P4M(), 128), 8, "steered"),
    (lambda: layer(P4M(), 128, factorization="gc"), 8, "separable"),
    (lambda: GroupConvTranspose2d(64 * HueShift(4).regular, 64 * HueShift(4).regular, 3), 16, "fourier"),
]
NARROW = [
    (lambda: layer(HueShift(3), 8), 16),
    (lambda: layer(P4(), 16), 16),
    (lambda: layer(P4M(), 16), 16),
    (lambda: layer(HueShift(3), 64, factorization="g", basis="pixels", channel_groups=64), 16),
    (lambda: GroupConv2d(HueShift(3).image, 64 * HueShift(3).regular, 3), 16),
    (lambda: GroupConv2d(64 * HueShift(3).regular, 64 * HueShift(3).trivial, 3), 16),
    (lambda: layer(SO2(2), 16, 5), 16),
]


@pytest.mark.parametrize(("make", "size", "expected"), WIDE)
def test_wide_layers_take_a_plan(make, size, expected):
    conv = make()
    assert conv.execution == "auto"
    assert conv.plan_for(maps(conv, size)) == expected
    x = torch.randn(2, *conv.in_type.shape, 8, 8)
    dense = copy.deepcopy(conv)
    dense.execution = "dense"
    assert dense.plan_for(maps(conv, size)) == "dense"
    torch.testing.assert_close(conv(x), dense(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("make", "size"), NARROW)
def test_others_are_dense(make, size):
    conv = make()
    assert conv.plan_for(maps(conv, size)) == "dense"


def test_auto_looks_at_precision_and_device():
    conv = layer(HueShift(3), 64)
    assert conv.plan_for(maps(conv, 16)) == "fourier"
    with torch.autocast("cpu", torch.bfloat16):
        assert conv.plan_for(maps(conv, 16)) == conv.plan_for(maps(conv, 16, dtype=torch.bfloat16)) == "dense"
    assert conv.plan_for(maps(conv, 16, dtype=torch.float16)) == "dense"  # not measured
    assert conv.plan_for(maps(conv, 16, device="meta")) == "dense"  # nor this device
    conv.execution = "fourier"
    assert conv.plan_for(maps(conv, 16, device="meta")) == "fourier"


def test_auto_looks_at_memory_in_training():
    conv = layer(P4M(), 64)  # what the basis sees is as much as nine inputs
    x = maps(conv, 16)
    assert conv.plan_for(x) == "dense"
    with torch.no_grad():
        assert conv.plan_for(x) == "steered"
    assert conv.plan_for(maps(conv, 8)) == "steered"  # there the kernel outweighs the maps
    one = layer(HueShift(3), 64)
    assert one.plan_for(maps(one, 64, batch=1)) == "dense"  # a single image cannot be split
    with torch.no_grad():
        assert one.plan_for(maps(one, 64, batch=1)) == "fourier"
        large = round((LARGEST / one.in_type.channels) ** 0.5) + 1
        assert one.plan_for(maps(one, large, batch=1)) == "dense"


def test_while_a_graph_is_traced_sizes_do_not_matter():
    conv = layer(HueShift(3), 64).eval()
    dynamic = {0: torch.export.Dim("b"), 3: torch.export.Dim("h", min=8), 4: torch.export.Dim("w", min=8)}
    exported = torch.export.export(conv, (torch.randn(2, 64, 3, 8, 8),), dynamic_shapes=(dynamic,))
    names = [str(node.target) for node in exported.graph.nodes]
    assert sum("conv2d" in name for name in names) == 4  # one for frequency 0, three for the pair
    x = torch.randn(3, 64, 3, 9, 10)
    torch.testing.assert_close(exported.module()(x), conv(x), atol=1e-4, rtol=1e-4)


def test_the_dense_plan_promises_itself():
    work = PLANS["dense"].work(layer(P4(), 4).dense.job)
    assert work.multiplications == work.kernels == 16 * 16 * 9
    for device, dtype in RATES:
        assert gain("dense", work, work, 100, device, dtype) == 0  # it needs no promise
    assert GAIN > 1


def test_few_pixels_are_dense():
    conv = layer(HueShift(3), 64)
    assert conv.plan_for(maps(conv, 4, batch=1)) == "dense"
    assert conv.plan_for(maps(conv, 32, batch=2)) == "fourier"
    wide = layer(P4M(), 128)  # there making the kernel takes longest
    assert wide.plan_for(maps(wide, 4, batch=1)) == "steered"


@pytest.mark.parametrize(
    "shape", [(16, 192, 16, 16), (1, 10, 500, 500), (64, 3, 8, 8), (0, 3, 8, 8), (5, 1000, 32, 32)]
)
def test_pieces(shape):
    at_once = images_at_once(shape)
    assert at_once >= 1
    if at_once < shape[0]:
        assert at_once * shape[2] * shape[3] >= LEAST


def test_execution_can_be_set_at_any_time():
    conv = layer(HueShift(3), 4).double()
    x = torch.randn(2, 4, 3, 7, 7, dtype=torch.float64)
    expected, keys = conv(x), list(conv.state_dict())
    for execution in ("fourier", "steered", "dense", "auto"):
        conv.execution = execution
        torch.testing.assert_close(conv(x), expected)
        assert list(conv.state_dict()) == keys
        assert f"execution={execution!r}" in repr(conv)
    with pytest.raises(FieldTypeError):
        conv.execution = "separable"
    assert conv.execution == "auto"


GROUP = HueShift(3) * SO2(1)
MISTAKES = [
    (lambda e: layer(P4(), 1, execution=e), "fourier", "a factor that moves colors only"),
    (lambda e: GroupConv2d(HueShift(4).image, HueShift(4).regular, 3, execution=e), "fourier", "regular fields"),
    (lambda e: GroupConv2d(P4().regular, P4().trivial, 3, execution=e), "steered", "regular fields"),
    (lambda e: GroupConv2d(GROUP.regular, GROUP.regular, 3, execution=e), "steered", "finite group"),
    (lambda e: layer(P4(), 1, execution=e), "separable", 'factorization="g" or "gc"'),
]


@pytest.mark.parametrize(("make", "execution", "need"), MISTAKES)
def test_plans_that_do_not_fit(make, execution, need):
    with pytest.raises(FieldTypeError, match=need) as error:
        make(execution)
    assert f'execution="{execution}" needs' in str(error.value)


def test_unknown_plans():
    with pytest.raises(
        FieldTypeError, match="execution is one of auto, dense, fourier, steered, separable; got 'fast'"
    ):
        layer(HueShift(3), 1, execution="fast")
    assert EXECUTIONS[0] == "auto"
