"""The steerable network of the rotated digits: published sizes, invariance, and its options."""

import pytest
import torch
from samples import check_copies

from equiconv.bases import Derivatives, Harmonics
from equiconv.errors import ExactnessError, FieldTypeError, GroupError, ShapeError
from equiconv.groups import O2, P4, P4M, SO2, Cyclic, Dihedral, Flip, HueShift, Trivial
from equiconv.layers import DiskMask, FourierActivation, GroupConv2d, NormPool
from equiconv.models import SteerableCNN, create
from equiconv.testing import assert_equivariant

H, T = HueShift(3), Trivial()


def convolutions(net):
    return [module for module in net.modules() if isinstance(module, GroupConv2d)]


def assert_invariant(net, part):
    """Test the elements that send pixels to pixels: white noise does not bear other angles."""
    assert_equivariant(net, net.in_type.restrict(part), net.out_type.restrict(part), size=(29, 29))


def test_published_sizes():
    net = SteerableCNN(Cyclic(8), basis=Harmonics.e2cnn)
    assert [conv.weight.numel() for conv in convolutions(net)] == [432, 101_376, 202_752, 405_504, 811_008, 540_672]
    assert sum(p.numel() for p in net.parameters() if p.requires_grad) == 2_067_434
    small, sizes = SteerableCNN(Cyclic(8), 0.1, basis=Harmonics.e2cnn), []
    for layer in small.features:
        layer.register_forward_hook(lambda m, x, y: sizes.append(y.shape[-1]))
    assert small(torch.randn(2, 1, 29, 29)).shape == (2, 10)
    assert sizes == [29] + [25] * 6 + [13] * 7 + [7] * 4 + [5] * 3 + [1] * 2


@pytest.mark.parametrize("pool", ["max", "mean"])
@pytest.mark.parametrize(
    ("group", "part"),
    [
        (T, T),
        (P4M(), P4M()),
        (Flip(), Flip()),
        (Cyclic(8), P4()),
        (Dihedral(6), Dihedral(2)),
        (H, H),
        (HueShift(2) * Cyclic(8), HueShift(2) * P4()),
        (SO2(2), P4()),
        (O2(1), P4M()),
        (H * SO2(1), H * P4()),
    ],
    ids=repr,
)
def test_logits_are_invariant(group, part, pool):
    net = create("steerable-cnn", group, width=0.04, in_channels=3, classes=4, pool=pool)
    assert net.out_type == 4 * group.trivial
    assert_invariant(net, part)
    assert_invariant(net.eval(), part)


@pytest.mark.parametrize(
    ("groups", "kept", "part"),
    [
        ([SO2(2)] * 3 + [Cyclic(8)] * 3, Cyclic(8), P4()),
        ([O2(1)] * 2 + [Dihedral(8)] * 2 + [P4M()] * 2, P4M(), P4M()),
        ([P4M()] * 5 + [P4()], P4(), P4()),
        ([H * P4()] * 2 + [P4()] * 4, H * P4(), H * P4()),
        ([H] * 2 + [T] * 4, H, H),
    ],
    ids=repr,
)
def test_layers_on_smaller_groups(groups, kept, part):
    net = SteerableCNN(groups, 0.04, in_channels=3).eval()
    assert net.in_type.group == net.out_type.group == kept
    assert [conv.out_type.group for conv in convolutions(net)] == groups
    assert_invariant(net, part)


def test_what_was_left_behind_is_no_longer_invariant():
    net = SteerableCNN([P4M()] * 3 + [P4()] * 3, 0.1, in_channels=3).eval()
    with pytest.raises(AssertionError, match="element 4 of 8"):
        assert_equivariant(net, 1 * P4M().image, 10 * P4M().trivial, size=(29, 29))


@pytest.mark.parametrize("group", [Cyclic(8), SO2(1), H * P4(), [O2(1)] * 3 + [P4M()] * 3], ids=repr)
def test_gradients_reach_every_parameter(group):
    net = SteerableCNN(group, 0.05, in_channels=3)
    net(torch.randn(6, 3, 29, 29)).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any() or name == "head.0.bias", name  # the batch norm behind takes it away


def test_continuous_groups_have_functions_and_norms():
    net = SteerableCNN(SO2(2), 0.1)
    assert sum(isinstance(module, FourierActivation) for module in net.modules()) == 6
    assert isinstance(net.features[-1], NormPool)


def test_every_argument_has_an_effect():
    assert [conv.out_type.n for conv in convolutions(SteerableCNN(P4(), 0.25))] == [6, 12, 12, 24, 24, 16]
    rgb = SteerableCNN(P4(), 0.1, in_channels=3, classes=7)
    assert rgb(torch.rand(2, 3, 33, 33)).shape == (2, 7)
    assert rgb.in_type == 1 * P4().image
    assert not any(
        isinstance(module, DiskMask) for module in create("steerable-cnn", P4(), width=0.1, masked=False).modules()
    )
    bases = [conv.basis for conv in convolutions(SteerableCNN(P4(), 0.1, basis=Derivatives))]
    assert all(isinstance(basis, Derivatives) for basis in bases)
    net = SteerableCNN(P4(), 0.1).eval()
    other = create("steerable-cnn", P4(), width=0.1, pool="mean").eval()
    other.load_state_dict(net.state_dict())
    x = torch.rand(2, 1, 29, 29)
    assert not torch.allclose(net(x), other(x))


def test_the_mask_hides_the_corners():
    net, x = SteerableCNN(P4(), 0.1).eval(), torch.rand(1, 1, 29, 29)
    changed = x.clone()
    changed[..., :4, :4] = 0
    open_net = create("steerable-cnn", P4(), width=0.1, masked=False).eval()
    assert torch.equal(net(x), net(changed))
    assert not torch.equal(open_net(x), open_net(changed))


def test_sizes_that_lose_equivariance():
    net = SteerableCNN(Cyclic(8), 0.1).eval()
    with pytest.raises(ExactnessError, match="32x32 image"):
        net(torch.rand(1, 1, 36, 36))
    loose = SteerableCNN(Cyclic(8), 0.1, exact=False).eval()
    x = torch.rand(1, 1, 36, 36)
    assert not torch.allclose(loose(x), loose(torch.rot90(x, 1, (-2, -1))), rtol=1e-3, atol=0)
    with pytest.raises(ShapeError, match="smaller than the window"):
        net(torch.rand(1, 1, 25, 25))


def test_copies_and_states():
    check_copies(lambda: SteerableCNN([O2(1)] * 3 + [Cyclic(4)] * 3, 0.05), 1, 29, 29)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SteerableCNN(8), GroupError, "one group for each layer; got 8"),
        (lambda: SteerableCNN([]), GroupError, "one group for each layer"),
        (lambda: SteerableCNN([P4(), 4]), GroupError, "one group for each layer"),
        (lambda: SteerableCNN([P4()] * 5), ShapeError, "6 layers and one group for each; got 5"),
        (lambda: SteerableCNN([P4()] * 3 + [P4M()] * 3, 0.1), GroupError, "not a subgroup"),
        (lambda: SteerableCNN(H), FieldTypeError, "3 channels"),
        (lambda: SteerableCNN(P4(), 0), FieldTypeError, "above 0; got 0"),
        (lambda: SteerableCNN(P4(), "2"), FieldTypeError, "above 0; got '2'"),
        (lambda: create("steerable-cnn", P4(), pool="sum"), FieldTypeError, "pool is"),
        (lambda: SteerableCNN(P4(), 0.1, classes=0), FieldTypeError, "n >= 1"),
        (lambda: SteerableCNN(P4(), 0.1, in_channels=0), FieldTypeError, "n >= 1"),
        (lambda: SteerableCNN(Cyclic(8), 0.1, basis="pixels"), ExactnessError, "between pixels"),
        (lambda: SteerableCNN(P4(), 0.1)(torch.rand(1, 3, 29, 29)), ShapeError, r"\(B, 1, H, W\)"),
    ],
)
def test_mistakes_are_told(make, error, message):
    with pytest.raises(error, match=message):
        make()
