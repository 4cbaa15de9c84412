"""Execution plans compute what the dense convolution computes."""

import copy
import io
import math

import pytest
import torch
from plans import difference, planned
from torch.nn import functional as F
from zoo_plans import BROKEN_PLANS, broken, tampered, waves_the_wrong_way_around

from equiconv.execution import blocks
from equiconv.execution.plan import pointwise
from equiconv.groups import P4, P4M, Cyclic, Dihedral, Flip, HueShift
from equiconv.layers import GroupConv2d, GroupConvTranspose2d
from equiconv.testing import assert_equivariant

PHOTOMETRIC = [
    *(HueShift(n) for n in (2, 3, 4, 5, 6, 8)),
    HueShift(3) * P4M(),
    P4() * HueShift(4),
    Flip() * HueShift(3) * Cyclic(2),
    HueShift(3) * Cyclic(8),
    HueShift(2) * HueShift(4),
]
SPATIAL = [P4(), P4M(), Flip(math.pi / 4), Cyclic(8), Dihedral(3), Dihedral(2) * HueShift(3), HueShift(3) * Cyclic(4)]
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
    "harmonics": {"basis": "harmonics"},
}
FACTORIZED = {
    "gc": {"factorization": "gc", "padding": 1},
    "gc strided": {"factorization": "gc", "stride": 2, "padding": 1},
    "gc in channel groups": {"factorization": "gc", "channel_groups": 2},
    "gc, harmonics": {"factorization": "gc", "basis": "harmonics"},
    "g": {"factorization": "g"},
    "g in channel groups": {"factorization": "g", "channel_groups": 2},
}
EACH = [
    *((group, "fourier", name) for group in PHOTOMETRIC for name in OPTIONS),
    *((group, "fourier", "1x1") for group in SPATIAL),
    *((group, "steered", name) for group in SPATIAL for name in OPTIONS),
    *((group, "steered", "plain") for group in PHOTOMETRIC),
    *((group, "separable", name) for group in [*PHOTOMETRIC[1:8], *SPATIAL] for name in FACTORIZED),
]


@pytest.mark.parametrize(("group", "execution", "name"), EACH, ids=str)
def test_same_function_and_gradients(group, execution, name):
    options = dict(FACTORIZED[name] if execution == "separable" else OPTIONS[name])
    layer, x = planned(group, execution, **options)
    assert layer.plan_for(x) == execution
    assert difference(layer, x) < 1e-12


@pytest.mark.parametrize("execution", ["fourier", "steered", "separable"])
@pytest.mark.parametrize("group", [HueShift(4), HueShift(3) * P4(), Cyclic(2) * HueShift(3)], ids=repr)
def test_transposed(group, execution):
    options = {"make": GroupConvTranspose2d, "factorization": "gc", "stride": 2, "padding": 1, "channel_groups": 2}
    layer, x = planned(group, execution, 4, **options)
    assert layer.plan_for(x) == execution
    assert difference(layer, x) < 1e-12


@pytest.mark.parametrize("execution", ["fourier", "steered", "separable"])
def test_from_other_fields_and_second_derivatives(execution):
    group = HueShift(3) * P4()
    layer, x = planned(group, execution, factorization="gc", fields=(2, 2))
    assert torch.autograd.gradgradcheck(layer, x[:1, :, :, :4, :4].clone().requires_grad_(), fast_mode=True)
    if execution == "separable":  # the fields that come in are any
        lift = GroupConv2d(group.image, 2 * group.regular, 3, factorization="gc", execution=execution).double()
        assert difference(lift, torch.randn(2, 3, 9, 9, dtype=torch.float64)) < 1e-12


@pytest.mark.parametrize("execution", ["fourier", "steered"])
@pytest.mark.parametrize("batch", [0, 1, 7])
def test_batches_are_convolved_in_pieces(monkeypatch, execution, batch):
    monkeypatch.setattr(blocks, "PIECE", 1000)
    monkeypatch.setattr(blocks, "LEAST", 1)
    layer, _ = planned(HueShift(3) * P4(), execution, padding=1)
    x = torch.randn(batch, 4, 12, 9, 9, dtype=torch.float64)
    assert blocks.images_at_once(x.flatten(1, 2).shape) == 1
    assert layer(x).shape == (batch, 6, 12, 9, 9)
    if batch:
        assert difference(layer, x) < 1e-12


EXECUTIONS = [(HueShift(3) * P4(), "fourier"), (P4M(), "steered"), (P4(), "separable")]


@pytest.mark.parametrize(("outputs", "size", "products"), [(6, 3, 1), (12, 3, 0)])
@pytest.mark.parametrize("channels_last", [False, True])
def test_1x1_steps_are_products_of_matrices(monkeypatch, outputs, size, products, channels_last):
    """Where the kernel is no larger than an image; with the same output and gradients."""
    x, kernel = torch.rand(3, 4, size, size, dtype=torch.float64), torch.rand(outputs, 4, 1, 1, dtype=torch.float64)
    x = x.to(memory_format=torch.channels_last) if channels_last else x
    bias, counted, product = torch.rand(outputs, dtype=torch.float64), [], torch.bmm
    monkeypatch.setattr(torch, "bmm", lambda *factors: (counted.append(1), product(*factors))[1])
    found, expected = (
        torch.func.grad(lambda x, kernel, bias, convolve=convolve: convolve(x, kernel, bias).square().sum(), (0, 1, 2))(
            x, kernel, bias
        )
        for convolve in (lambda x, kernel, bias: pointwise(x, kernel, bias, 1), F.conv2d)
    )
    assert len(counted) == (0 if channels_last else products)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(("group", "execution"), EXECUTIONS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_precision_and_autocast(group, execution, dtype):
    layer, x = planned(group, execution, factorization="gc")
    layer, x, dense = layer.float(), x.float(), copy.deepcopy(layer)
    dense.execution = "dense"
    expected = dense(x)
    tolerance = 1e-5 if dtype == torch.float32 else 0.06
    found = copy.deepcopy(layer).to(dtype)(x.to(dtype))
    assert found.dtype == dtype
    assert (found.float() - expected).abs().max() < tolerance * expected.abs().max()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = layer(x)
    assert mixed.dtype == torch.bfloat16
    assert (mixed.float() - expected).abs().max() < 0.06 * expected.abs().max()


@pytest.mark.parametrize(("group", "execution"), EXECUTIONS, ids=str)
def test_compiled_and_exported(group, execution):
    layer, x = planned(group, execution, factorization="gc", padding=1)
    expected = layer(x)
    torch.compiler.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), expected)
    gradients = [torch.autograd.grad(each(x).pow(2).sum(), list(layer.parameters())) for each in (layer, compiled)]
    torch.testing.assert_close(*gradients)
    exported = torch.export.export(layer, (x,), dynamic_shapes=({0: torch.export.Dim("b")},))
    torch.testing.assert_close(exported.module()(x[:1]), expected[:1])


@pytest.mark.parametrize(("group", "execution"), EXECUTIONS, ids=str)
def test_saved_and_on_the_meta_device(group, execution):
    layer, x = planned(group, execution, factorization="gc", padding=1)
    buffer = io.BytesIO()
    torch.save(layer, buffer)
    buffer.seek(0)
    torch.testing.assert_close(torch.load(buffer, weights_only=False)(x), layer(x))
    with torch.device("meta"):
        empty, _ = planned(group, execution, factorization="gc", padding=1)
    settled = empty.to_empty(device="cpu")
    settled.load_state_dict(layer.state_dict())
    torch.testing.assert_close(settled(x), layer(x))


@pytest.mark.parametrize(("group", "execution"), EXECUTIONS, ids=str)
def test_channels_last_is_kept(group, execution):
    layer, x = planned(group, execution, factorization="gc", padding=1)
    flat = x.flatten(1, 2).to(memory_format=torch.channels_last)
    y = layer(flat.unflatten(1, x.shape[1:3]))
    assert y.flatten(1, 2).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y, layer(x))


def test_functional_transforms():
    layer, x = planned(HueShift(3) * P4(), "fourier")
    parameters = {name: torch.stack([p, 2 * p]).detach() for name, p in layer.named_parameters()}
    found = torch.func.vmap(lambda p: torch.func.functional_call(layer.eval(), p, (x,)))(parameters)
    torch.testing.assert_close(found, torch.stack([layer(x), 2 * layer(x)]))


@pytest.mark.parametrize("make", BROKEN_PLANS, ids=lambda f: f.__name__)
def test_broken_plans_are_rejected(make):
    layer, x = make()
    assert difference(layer, x) > 1e-3


class Nothing:
    """Changes nothing."""


def test_the_tampering_itself_is_not_what_is_rejected():
    assert difference(*tampered(P4M(), "steered", "waves", lambda waves: waves)) < 1e-12
    assert difference(*broken(Nothing, HueShift(3), "fourier")) < 1e-12


def test_a_plan_in_the_wrong_direction_is_equivariant_all_the_same():
    layer, _ = waves_the_wrong_way_around()
    assert_equivariant(layer)
