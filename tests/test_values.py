"""What the layers compute: values, and numbers that must not break them."""

import pytest
import torch
from torch import nn

from equiconv.errors import FieldTypeError
from equiconv.groups import P4, P4M, HueShift
from equiconv.layers import (
    FieldBatchNorm,
    FourierActivation,
    GatedActivation,
    GroupPool,
    NormActivation,
    NormPool,
    SpatialPool,
    Upsample,
)


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
