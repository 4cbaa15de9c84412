"""Execution plans compute what the dense convolution computes."""

import copy
import io

import numpy as np
import pytest
import torch

from equiconv.errors import FieldTypeError
from equiconv.execution import photometric_factor
from equiconv.groups import P4, P4M, SO2, Cyclic, Flip, HueShift
from equiconv.layers import GroupConv2d
from equiconv.testing import assert_equivariant

GROUPS = [
    *(HueShift(n) for n in (2, 3, 4, 5, 6, 8)),
    HueShift(3) * P4M(),
    P4() * HueShift(4),
    Flip() * HueShift(3) * Cyclic(2),
    HueShift(3) * Cyclic(8),
    HueShift(2) * HueShift(4),
]
OPTIONS = {
    "plain": {},
    "no bias": {"bias": False},
    "1x1": {"kernel_size": 1},
    "5x5": {"kernel_size": 5, "padding": 1},
    "strided": {"stride": 2, "padding": 1},
    "dilated": {"dilation": 2},
    "reflect": {"padding": 1, "padding_mode": "reflect"},
    "same": {"padding": "same"},
    "channel groups": {"channel_groups": 2},
    "g": {"factorization": "g"},
    "gc": {"factorization": "gc"},
    "gc in channel groups": {"factorization": "gc", "channel_groups": 2},
    "harmonics": {"basis": "harmonics"},
}


def pair(group, **options):
    """Return the same layer twice: run as one dense convolution, and by the plan."""
    kernel_size = options.pop("kernel_size", 3)
    make = [
        GroupConv2d(4 * group.regular, 6 * group.regular, kernel_size, execution=execution, **options)
        for execution in ("dense", "fourier")
    ]
    make[1].load_state_dict(make[0].state_dict())
    return [layer.double() for layer in make]


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("group", GROUPS, ids=repr)
def test_same_function_and_gradients(group, name):
    results = []
    x = torch.randn(2, 4, group.order, 9, 9, dtype=torch.float64)
    for layer in pair(group, **OPTIONS[name]):
        moved = x.clone().requires_grad_()
        y = layer(moved)
        gradients = torch.autograd.grad(y.pow(3).sum(), [moved, *layer.parameters()])
        results.append((y, *gradients))
    for dense, fourier in zip(*results, strict=True):
        assert dense.shape == fourier.shape
        torch.testing.assert_close(fourier, dense, rtol=1e-12, atol=1e-12 * dense.abs().max().item())


@pytest.mark.parametrize("group", GROUPS, ids=repr)
def test_equivariant(group):
    for size in ((8, 7), (9, 9)):
        _, layer = pair(group, padding=1)
        if group.keeps_grid:
            assert_equivariant(layer, size=size)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_precision_and_autocast(dtype):
    dense, fourier = (layer.float() for layer in pair(HueShift(3) * P4()))
    x = torch.randn(2, 4, 12, 9, 9)
    tolerance = 1e-5 if dtype == torch.float32 else 0.06
    expected = dense(x)
    found = copy.deepcopy(fourier).to(dtype)(x.to(dtype)).float()
    assert (found - expected).abs().max() < tolerance * expected.abs().max()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = fourier(x)
    assert (mixed.float() - expected).abs().max() < 0.06 * expected.abs().max()


def test_compiled_exported_saved_and_on_the_meta_device():
    dense, fourier = pair(HueShift(4) * P4(), padding=1)
    x = torch.randn(2, 4, 16, 9, 9, dtype=torch.float64)
    torch.compiler.reset()
    compiled = torch.compile(fourier, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), dense(x))
    exported = torch.export.export(fourier, (x,), dynamic_shapes=({0: torch.export.Dim("b")},))
    torch.testing.assert_close(exported.module()(x[:1]), dense(x[:1]))
    buffer = io.BytesIO()
    torch.save(fourier, buffer)
    buffer.seek(0)
    torch.testing.assert_close(torch.load(buffer, weights_only=False)(x), dense(x))
    with torch.device("meta"):
        empty = GroupConv2d(4 * HueShift(3).regular, 4 * HueShift(3).regular, 3, execution="fourier")
    settled = empty.to_empty(device="cpu")
    settled.reset_parameters()
    assert settled(torch.randn(1, 4, 3, 7, 7)).isfinite().all()
    assert fourier(x.to(memory_format=torch.contiguous_format)[:0]).shape == (0, 6, 16, 9, 9)


def test_channels_last_is_kept():
    _, fourier = pair(HueShift(3), padding=1)
    flat = torch.randn(2, 12, 8, 8, dtype=torch.float64).to(memory_format=torch.channels_last)
    y = fourier(flat.unflatten(1, (4, 3)))
    assert y.flatten(1, 2).is_contiguous(memory_format=torch.channels_last)


def test_a_plan_in_the_wrong_direction_is_seen():
    dense, fourier = pair(HueShift(4))
    waves = fourier.plan._masters["waves"]
    fourier.plan._masters["waves"] = waves[:, (-np.arange(4)) % 4]
    fourier = fourier.double()
    x = torch.randn(2, 4, 4, 9, 9, dtype=torch.float64)
    assert (fourier(x) - dense(x)).abs().max() > 1e-2
    assert_equivariant(fourier)  # it is equivariant, but another function: only the dense one tells


def test_which_factor():
    assert photometric_factor(HueShift(3)) == 0
    assert photometric_factor(P4() * HueShift(4)) == 1
    assert photometric_factor(HueShift(2) * HueShift(4)) == 1
    assert photometric_factor(P4M()) is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: GroupConv2d(P4().regular, P4().regular, 3, execution="fourier"),
        lambda: GroupConv2d(HueShift(4).image, HueShift(4).regular, 3, execution="fourier"),
        lambda: GroupConv2d(HueShift(3).regular, HueShift(3).trivial, 3, execution="fourier"),
        lambda: GroupConv2d((HueShift(3) * SO2(1)).regular, (HueShift(3) * SO2(1)).regular, 3, execution="fourier"),
        lambda: GroupConv2d(HueShift(3).regular, HueShift(3).regular, 3, execution="fast"),
    ],
)
def test_mistakes_are_told(make):
    with pytest.raises(FieldTypeError, match='"fourier"'):
        make()
