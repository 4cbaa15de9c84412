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

from equiconv.errors import FieldTypeError
from equiconv.groups import P4, P4M, HueShift, Trivial
from equiconv.layers import (
    FieldBatchNorm,
    FourierActivation,
    GatedActivation,
    GroupConv2d,
    GroupPool,
    NormActivation,
    NormPool,
    SpatialPool,
    Upsample,
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
    compiled = torch.compile(net, fullgraph=True)
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


def test_batch_norm_is_the_stock_one_where_that_is_exact():
    for group in (P4M(), HueShift(3)):
        ours, stock = FieldBatchNorm(3 * group.regular), nn.BatchNorm3d(3)
        for module in (ours, stock):
            nn.init.constant_(module.weight, 2.0)
            nn.init.constant_(module.bias, 0.5)
        for _ in range(3):
            x = torch.randn(4, 3, group.order, 5, 5) * 3 + 1
            torch.testing.assert_close(ours(x), stock(x), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(ours.eval()(x), stock.eval()(x), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(ours.running_var.flatten(), stock.running_var)


def test_batch_norm_normalizes_each_summand():
    group = P4M()
    norm = FieldBatchNorm(3 * (group.trivial + group.irrep(2) + group.regular))
    y = norm(torch.randn(8, 3, 11, 9, 9) * torch.linspace(1, 9, 11)[:, None, None] + 2)
    for part in y.split((1, 2, 8), 2):
        torch.testing.assert_close(part.square().mean((0, 2, 3, 4)), torch.ones(3), rtol=0.01, atol=0)
    torch.testing.assert_close(y[:, :, 0].mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)


def test_dropout_keeps_the_mean_and_drops_whole_fields():
    from equiconv.layers import FieldDropout

    group = HueShift(3)
    x = torch.ones(64, 3 * 32, 2, 2)
    dropped = FieldDropout(32 * group.image, 0.25)(x)
    fields = dropped.unflatten(1, (32, 3)).flatten(2)
    assert ((fields == 0).all(2) | (fields == 1 / 0.75).all(2)).all()
    assert dropped.mean().item() == pytest.approx(1, abs=0.05)
    assert FieldDropout(32 * group.image, 1.0)(x).abs().max() == 0
    assert torch.equal(FieldDropout(32 * group.image, 0.25).eval()(x), x)


def test_group_pool_values():
    group = HueShift(3) * P4()
    x = torch.randn(2, 2, 12, 3, 3)
    assert torch.equal(GroupPool(2 * group.regular)(x), x.amax(2))
    torch.testing.assert_close(GroupPool(2 * group.regular, mode="mean")(x), x.mean(2))
    over_hue = GroupPool(2 * group.regular, over=HueShift(3))(x)
    assert torch.equal(over_hue, x.unflatten(2, (3, 4)).amax(2))
    assert torch.equal(GroupPool(2 * group.regular, over=P4())(x), x.unflatten(2, (3, 4)).amax(3))


def test_values_of_nonlinearities():
    group = P4M()
    x = torch.randn(2, 3, 11, 4, 4)
    kind = 3 * (group.trivial + group.irrep(2) + group.regular)
    norms = [part.norm(dim=2) for part in x.split((1, 2, 8), 2)]
    torch.testing.assert_close(NormPool(kind)(x).unflatten(1, (3, 3)), torch.stack(norms, 2))
    soft = NormActivation(kind)
    torch.nn.init.constant_(soft.bias, 0.7)
    shrunk = [part.norm(dim=2) for part in soft(x).split((1, 2, 8), 2)]
    for before, after in zip(norms, shrunk, strict=True):
        torch.testing.assert_close(after, (before - 0.7).clamp(min=0), rtol=1e-3, atol=1e-4)
    gated = GatedActivation(3 * group.irrep(2))
    y = torch.randn(2, 3, 3, 4, 4)
    torch.testing.assert_close(gated(y), y[:, :, 1:] * y[:, :, :1].sigmoid())
    regular = torch.randn(2, 3, 8, 4, 4)
    torch.testing.assert_close(FourierActivation(3 * group.regular)(regular), regular.relu())
    double = FourierActivation(3 * group.irrep(2), lambda values: 2 * values)
    torch.testing.assert_close(double(regular[:, :, :2]), 2 * regular[:, :, :2])


def test_norms_have_a_derivative_at_zero():
    x = torch.zeros(1, 2, 2, 3, 3, requires_grad=True)
    for layer in (NormActivation(2 * P4().vector), NormPool(2 * P4().vector)):
        layer(x).sum().backward()
        assert x.grad.isfinite().all()


def test_norms_in_half_precision_neither_vanish_nor_overflow():
    kind = 1 * P4().irrep(1)
    for value in (0.0, 1e-4, 300.0):
        x = torch.full((1, 1, 2, 2, 2), value, dtype=torch.float16)
        norm = NormPool(kind)(x)
        assert norm.dtype == torch.float16
        assert norm.flatten()[0].item() == pytest.approx(value * 2**0.5, rel=1e-2, abs=1e-5)
        assert NormActivation(kind).half()(x).isfinite().all()


def test_the_mean_over_the_group_does_not_depend_on_the_other_parts():
    ones = torch.ones(1, 1, 6, 1, 1)
    ones[:, :, 4:] = 7
    assert GroupPool(P4().regular + P4().irrep(1), mode="mean")(ones).item() == pytest.approx(1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: FieldBatchNorm(P4().regular, affine="no"),
        lambda: NormActivation(P4().regular, bias="no"),
        lambda: Upsample(P4().regular, scale=2, exact="no"),
        lambda: SpatialPool(P4().regular, 2, exact=0),
    ],
)
def test_flags_are_true_or_false(make):
    with pytest.raises(FieldTypeError, match="True or False"):
        make()
