"""Precisions, devices, memory formats, compilation, state: what a PyTorch module is expected to bear."""

import copy
import io
import pickle
import subprocess
import sys

import pytest
import torch
from samples import CONVOLUTIONS, LAYERS, SHAPES, SOME, trained_cnn
from torch import nn

from equiconv.groups import P4, P4M, HueShift, Trivial
from equiconv.layers import (
    FieldBatchNorm,
    GroupConv2d,
    SpatialPool,
)
from equiconv.models import CNN
from equiconv.testing import assert_equivariant, equivariance_error

GROUP = HueShift(4) * P4()  # its image is not a permutation, so both ways to act are taken
MODULES = CONVOLUTIONS | LAYERS


def inputs(module, name, **options):
    return torch.randn(2, *module.in_type.shape, *SHAPES.get(name, (8, 7)), **options)


@pytest.mark.parametrize("name", MODULES)
def test_double_is_exact_although_made_in_single_precision(name):
    torch.manual_seed(0)
    module = MODULES[name](GROUP).eval()
    torch.set_default_dtype(torch.float64)
    try:
        made_in_double = MODULES[name](GROUP).eval()
    finally:
        torch.set_default_dtype(torch.float32)
    module.double()
    made_in_double.load_state_dict(module.state_dict())
    x = inputs(module, name, dtype=torch.float64)
    torch.testing.assert_close(module(x), made_in_double(x), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", MODULES)
def test_dtype_in_is_dtype_out(name, dtype):
    module = MODULES[name](GROUP).to(dtype)
    x = inputs(module, name).to(dtype).requires_grad_()
    y = module(x)
    assert y.dtype == dtype
    y.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize("group", SOME, ids=repr)
def test_autocast(group):
    conv = GroupConv2d(2 * group.irreps[-1], 2 * group.regular, 3)
    x = torch.randn(2, *conv.in_type.shape, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        y = conv(x)
        assert y.dtype == torch.bfloat16
        y.float().square().mean().backward()
    torch.testing.assert_close(y.float(), conv(x), rtol=0.05, atol=0.05)
    assert conv.weight.grad.dtype == torch.float32


def test_autocast_normalizes_in_full_precision():
    norm, twin = (FieldBatchNorm(4 * (P4().irrep(0) + P4().irrep(1))) for _ in range(2))
    x = (torch.randn(4, 4, 3, 9, 9) + 100).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        y = norm(x)
    twin(x.float())
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(norm.running_mean, twin.running_mean, rtol=1e-5, atol=0)
    torch.testing.assert_close(norm.running_var, twin.running_var, rtol=1e-4, atol=0)
    regular, stock = FieldBatchNorm(4 * P4().regular), nn.BatchNorm3d(4)
    x = (torch.randn(4, 4, 4, 9, 9) * 0.1 + 30).bfloat16()
    torch.testing.assert_close(regular(x), stock(x), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("name", MODULES)
def test_empty_batch(name):
    module = MODULES[name](GROUP).eval()
    full, empty = (module(inputs(module, name)[:count]) for count in (2, 0))
    assert empty.shape == (0, *full.shape[1:])
    if not name.startswith("stock"):
        assert module.train()(inputs(module, name)[:0]).shape == empty.shape
        assert all(p.isfinite().all() for p in module.state_dict().values())


@pytest.mark.parametrize("group", [Trivial(), P4M(), HueShift(3)], ids=repr)
def test_channels_last(group):
    lift, conv, pool = (
        GroupConv2d(group.image, 8 * group.regular, 3),
        GroupConv2d(8 * group.regular, 8 * group.regular, 3),
        SpatialPool(8 * group.regular, 2),
    )
    x = torch.randn(2, 3, 12, 12)
    y = pool(conv(lift(x.to(memory_format=torch.channels_last))))
    assert y.flatten(1, 2).is_contiguous(memory_format=torch.channels_last)
    assert not pool(conv(lift(x))).flatten(1, 2).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y, pool(conv(lift(x))), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in MODULES if not name.startswith("stock")])
def test_channels_last_comes_out_as_it_goes_in(name):
    module = MODULES[name](GROUP)
    flat = module.in_type.flatten(inputs(module, name)).contiguous(memory_format=torch.channels_last)
    y = module.out_type.flatten(module(module.in_type.unflatten(flat)))
    assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", MODULES)
def test_inputs_that_are_not_contiguous(name):
    module = MODULES[name](GROUP).eval()
    x = inputs(module, name)
    other = x.transpose(0, 1).contiguous().transpose(0, 1)
    other = other.transpose(-1, -2).contiguous().transpose(-1, -2)
    torch.testing.assert_close(module(other), module(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODULES)
def test_state_dict_holds_parameters_and_statistics_only(name):
    module = MODULES[name](GROUP)
    statistics = {"running_mean", "running_var", "num_batches_tracked"}
    module(inputs(module, name))
    keys = set(module.state_dict())
    named = {key for key, _ in module.named_parameters()}
    assert {key.split(".")[-1] for key in keys - named} <= statistics
    module.eval()(inputs(module, name))
    assert set(module.state_dict()) == keys
    MODULES[name](GROUP).load_state_dict(module.state_dict(), strict=True)


@pytest.mark.parametrize("name", MODULES)
def test_copies(name):
    module = MODULES[name](GROUP).eval()
    x = inputs(module, name)
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), torch.load(file, weights_only=False)):
        assert torch.equal(other(x), module(x))
        assert equivariance_error(other, size=SHAPES.get(name, (8, 7))) < 1e-10


@pytest.mark.parametrize("name", MODULES)
def test_made_on_the_meta_device(name):
    with torch.device("meta"):
        ghost = MODULES[name](GROUP)
    assert all(p.device.type == "meta" for p in ghost.parameters())
    module = MODULES[name](GROUP).eval()
    x = inputs(module, name)
    if list(ghost.parameters()):
        with torch.device("meta"):
            assigned = MODULES[name](GROUP).eval()
        assigned.load_state_dict(module.state_dict(), assign=True)
        assert torch.equal(assigned(x), module(x))
    shape = module(x).shape
    assert ghost.eval()(inputs(module, name, device="meta")).shape == shape
    real = ghost.to_empty(device="cpu").eval()
    real.load_state_dict(module.state_dict())
    assert torch.equal(real(x), module(x))


def test_forward_on_the_meta_device_in_a_fresh_process():
    code = (
        "import torch; from equiconv import P4, GroupConv2d, FieldBatchNorm; torch.set_default_device('meta'); "
        "k = 2 * P4().regular; print(FieldBatchNorm(k)(GroupConv2d(P4().image, k, 3)(torch.zeros(1, 3, 5, 5))).shape)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[1, 2, 4, 3, 3]" in result.stdout


def test_one_module_in_double_leaves_others_alone():
    first, second = (GroupConv2d(GROUP.image, 2 * GROUP.regular, 3) for _ in range(2))
    first.double()
    assert second(torch.randn(1, 3, 5, 5)).dtype == torch.float32


def test_compiled_network_trains():
    torch.compiler.reset()
    net = CNN(HueShift(3) * P4(), 2, kernel_sizes=(3, 3, 3))
    twin = copy.deepcopy(net)
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")  # by inductor in the support table
    x, y = torch.randn(4, 3, 14, 14), torch.arange(4)
    for model in (compiled, twin):
        nn.functional.cross_entropy(model(x), y).backward()
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-3, atol=1e-5)
    assert_equivariant(compiled.eval(), net.in_type, net.out_type, size=(14, 14), dtype=torch.float32, tolerance=1e-3)


def test_exported_network():
    net = trained_cnn(HueShift(3) * P4())
    x = torch.randn(2, 3, 14, 14)
    program = torch.export.export(net, (x,), strict=True)
    torch.testing.assert_close(program.module()(x), net(x))
    batch = torch.export.Dim("batch", min=1, max=64)
    dynamic = torch.export.export(net, (x,), dynamic_shapes=({0: batch},), strict=True)
    more = torch.randn(5, 3, 14, 14)
    torch.testing.assert_close(dynamic.module()(more), net(more))


def test_gradients():
    for conv in (
        GroupConv2d(P4M().irrep(2), P4M().regular, 3),
        GroupConv2d(P4().regular, P4().regular, 2, factorization="gc"),
        GroupConv2d(P4().regular, P4().irrep(1), 3),
    ):
        conv.double()
        x = torch.randn(1, *conv.in_type.shape, 4, 4, dtype=torch.float64, requires_grad=True)
        names, values = zip(*conv.named_parameters(), strict=True)
        torch.autograd.gradcheck(
            lambda x, *p, c=conv, n=names: torch.func.functional_call(c, dict(zip(n, p, strict=True)), x), (x, *values)
        )


def test_vmap_over_an_ensemble():
    convs = [GroupConv2d(P4().image, 2 * P4().regular, 3) for _ in range(3)]
    params, _ = torch.func.stack_module_state(convs)
    x = torch.randn(1, 3, 6, 6)
    ys = torch.func.vmap(lambda p: torch.func.functional_call(convs[0], p, x))(params)
    torch.testing.assert_close(ys, torch.stack([conv(x) for conv in convs]))
