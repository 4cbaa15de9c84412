"""Layers that resample the plane, against independent code."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn
from torch.nn import functional as F

from equiconv.errors import ExactnessError, FieldTypeError, ShapeError
from equiconv.groups import P4, P4M, Cyclic, Flip, HueShift, Trivial
from equiconv.layers import (
    AdaptivePool,
    Antialiased,
    BlurPool,
    DiskMask,
    GroupConv2d,
    GroupPool,
    Pointwise,
    SpatialPool,
    Upsample,
)
from equiconv.testing import assert_equivariant, equivariance_error

KIND = 2 * P4().regular


def windows(size, kernel, stride, padding):
    """Return the pixels of each window on an axis."""
    starts = range(-padding, size + padding - kernel + 1, stride)
    return [[p for p in range(start, start + kernel) if 0 <= p < size] for start in starts]


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 2, 1), (2, 2, 0), (3, 1, 1)])
def test_norm_pooling_keeps_the_longest_vector(kernel, stride, padding):
    group = P4M()
    rep = group.irrep(2) + group.trivial + group.regular
    layer = SpatialPool(3 * rep, kernel, stride=stride, padding=padding, mode="norm", exact=False)
    x = torch.randn(2, 3, 11, 7, 6, dtype=torch.float64)
    rows, columns = windows(7, kernel, stride, padding), windows(6, kernel, stride, padding)
    expected = torch.empty(2, 3, 11, len(rows), len(columns), dtype=torch.float64)
    for b, n, (i, row), (j, column), part in (
        (b, n, row, column, part)
        for b in range(2)
        for n in range(3)
        for row in enumerate(rows)
        for column in enumerate(columns)
        for part in (slice(0, 2), slice(2, 3), slice(3, 11))
    ):
        seen = [x[b, n, part, p, q] for p in row for q in column]
        expected[b, n, part, i, j] = max(seen, key=lambda v: v.norm())
    assert torch.equal(layer(x), expected)


def test_norm_pooling_passes_gradients_to_the_longest():
    x = torch.randn(1, 1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    layer = SpatialPool(P4().vector, 2, mode="norm")
    torch.autograd.gradcheck(layer, x)
    layer(x).sum().backward()
    assert (x.grad.sum(2) != 0).sum() == 4  # one vector in each window


@pytest.mark.parametrize("size", [(8, 7), (5, 5), (2, 3), (13, 4)])
@pytest.mark.parametrize("mode", ["max", "mean", "norm"])
def test_adaptive_pooling(size, mode):
    layer = AdaptivePool(2 * P4M().regular, 3, mode=mode)
    assert_equivariant(layer, size=size)
    x = torch.randn(2, 2, 8, *size)
    stock = {"max": F.adaptive_max_pool2d, "mean": F.adaptive_avg_pool2d}
    if mode in stock:
        assert torch.equal(layer(x), stock[mode](x.flatten(1, 2), 3).unflatten(1, (2, 8)))
    whole = AdaptivePool(2 * P4M().regular, 1, mode="norm")(x)
    best = x.square().sum(2).flatten(2).argmax(2)  # (b, n)
    assert torch.equal(whole.flatten(2), x.flatten(3).gather(3, best[:, :, None, None].expand(-1, -1, 8, 1))[..., 0])


@pytest.mark.parametrize(("padding_mode", "scipy_mode"), [("replicate", "nearest"), ("zeros", "constant")])
def test_blur_is_that_of_scipy(padding_mode, scipy_mode):
    layer = BlurPool(P4().vector, sigma=1.3, stride=2, padding_mode=padding_mode).double()
    x = torch.randn(2, 1, 2, 13, 11, dtype=torch.float64)
    radius = layer.window.kernel[0] // 2
    blurred = ndimage.gaussian_filter(x.numpy(), 1.3, axes=(-2, -1), mode=scipy_mode, radius=radius)
    np.testing.assert_allclose(layer(x).numpy(), blurred[..., ::2, ::2], rtol=1e-10, atol=1e-12)


def test_blur_fits_even_images_with_an_even_kernel():
    odd, even = BlurPool(KIND, sigma=1), BlurPool(KIND, sigma=1, kernel_size=6)
    assert_equivariant(even, size=(8, 12))
    assert even(torch.zeros(1, 2, 4, 8, 12)).shape[-2:] == (4, 6)
    with pytest.raises(ExactnessError, match="8x8 image leaves"):
        odd(torch.zeros(1, 2, 4, 8, 8))
    assert_equivariant(BlurPool(2 * P4().image, sigma=0.5, stride=3, padding=2), size=(7, 10))


def test_blur_before_sampling_removes_what_would_alias():
    stripes = torch.tensor([1.0, -1.0]).repeat(9)[:17].expand(1, 1, 17, 17)
    kind = Trivial().trivial
    assert BlurPool(kind, sigma=1.2, padding_mode="reflect")(stripes).abs().max() < 0.01
    sampled = SpatialPool(kind, 1, stride=2)(stripes)
    assert torch.equal(sampled, torch.ones_like(sampled))
    assert torch.allclose(BlurPool(kind, sigma=1.2)(torch.ones(1, 1, 17, 17)), torch.ones(1, 1, 9, 9))


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_upsample_by_whole_scales(mode, scale):
    layer = Upsample(2 * P4M().vector, scale=scale, mode=mode)
    x = torch.randn(2, 2, 2, 6, 5)
    corners = None if mode == "nearest" else False
    stock = F.interpolate(x.flatten(1, 2), scale_factor=scale, mode=mode, align_corners=corners)
    torch.testing.assert_close(layer(x).flatten(1, 2), stock)
    assert_equivariant(layer, size=(6, 5))


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "nearest"])
def test_upsample_to_any_size_that_is_symmetric(mode):
    refused = 0
    for old in range(1, 9):
        for new in range(old, 20):
            layer = Upsample(KIND, size=new, mode=mode)
            try:
                assert_equivariant(layer, size=(old, old))
            except ExactnessError:
                refused += 1
                loose = Upsample(KIND, size=new, mode=mode, exact=False)
                assert equivariance_error(loose, size=(old, old)) > 0.01
    assert (refused > 0) == (mode == "nearest")


def test_upsample_by_other_scales():
    assert Upsample(KIND, scale=1.5)(torch.zeros(1, 2, 4, 5, 6)).shape[-2:] == (7, 9)
    assert Upsample(KIND, scale=1.15)(torch.zeros(1, 2, 4, 20, 20)).shape[-2:] == (23, 23)
    flip = Flip()
    layer = Upsample(flip.image, scale=(2, 1.5), mode="nearest")
    assert_equivariant(layer, size=(4, 5))
    with pytest.raises(ExactnessError, match=r"from 4x6 to 8x9.*halfway"):
        layer(torch.zeros(1, 3, 4, 6))
    assert Upsample(HueShift(3).image, scale=1.5, mode="nearest")(torch.zeros(1, 3, 4, 6)).shape[-2:] == (6, 9)


def test_off_the_grid_upsampling_first_is_better_than_a_transposed_convolution():
    kind = 2 * Cyclic(8).regular
    net = nn.Sequential(Upsample(kind, scale=2), GroupConv2d(kind, kind, 5, padding=2, bias=False))
    assert equivariance_error(net, kind, kind, size=(41, 41)) < 0.01
    assert equivariance_error(BlurPool(kind, sigma=1), size=(41, 41)) < 0.02
    assert equivariance_error(DiskMask(kind), size=(41, 41)) < 0.001


@pytest.mark.parametrize("size", [(9, 9), (8, 13)])
def test_mask(size):
    layer = DiskMask(Cyclic(8).image, margin=0.25, sigma=1.5)
    mask = layer(torch.ones(1, 3, *size, dtype=torch.float64))[0, 1]
    radius = 0.75 * (min(size) - 1) / 2
    for i, j in np.ndindex(*size):
        r = np.hypot(i - (size[0] - 1) / 2, j - (size[1] - 1) / 2)
        assert mask[i, j].item() == pytest.approx(1.0 if r <= radius else np.exp(-((r - radius) ** 2) / 4.5))


@pytest.mark.parametrize(("factor", "radius"), [(2, 1), (2, 3), (3, 2), (4, 3), (5, 1)])
def test_antialiasing_keeps_the_grid_and_constants(factor, radius):
    layer = Antialiased(Pointwise(2 * P4M().regular), factor=factor, radius=radius)
    for size in ((8, 7), (1, 1), (2, 5)):
        if size != (1, 1):
            assert_equivariant(layer, size=size)
        field = torch.randn(1, 2, 8, 1, 1).expand(-1, -1, -1, *size)
        torch.testing.assert_close(layer(field), field.relu())


def test_antialiasing_keeps_what_the_grid_can_hold():
    wave = torch.cos(2 * torch.pi * 0.1 * torch.arange(64.0)).expand(1, 1, 64, 64)
    layer = Antialiased(Pointwise(Trivial().trivial, lambda x: 2 * x), radius=6)
    inner = (..., slice(16, -16), slice(16, -16))
    torch.testing.assert_close(layer(wave)[inner], 2 * wave[inner], rtol=0, atol=0.02)
    square = Antialiased(Pointwise(Trivial().trivial, torch.square), radius=6)
    fast = torch.cos(2 * torch.pi * 0.4 * torch.arange(64.0)).expand(1, 1, 64, 64)  # its square has 0.8 > 1/2
    assert (square(fast)[inner] - 0.5).abs().max() < 0.1
    assert (fast.square()[inner] - 0.5).abs().max() > 0.4  # aliased to 0.2


def test_antialiasing_helps_off_the_grid():
    kind = 2 * Cyclic(8).regular
    errors = [equivariance_error(layer, size=(41, 41)) for layer in (Antialiased(Pointwise(kind)), Pointwise(kind))]
    assert errors[0] < 0.5 * errors[1]
    assert errors[0] < 0.01


MISTAKES = [
    (lambda: SpatialPool(KIND, 3, mode="sum"), FieldTypeError, '"norm"'),
    (lambda: AdaptivePool(2 * P4().vector, 3, mode="max"), FieldTypeError, 'mode="norm"'),
    (lambda: AdaptivePool(KIND, 0), ShapeError, "output_size is an integer >= 1"),
    (lambda: AdaptivePool(KIND, (2, 3)), ExactnessError, "output_size must be the same"),
    (lambda: AdaptivePool(2 * Cyclic(8).regular, 2), ExactnessError, "exact=False"),
    (lambda: BlurPool(KIND, sigma=0), ShapeError, "sigma"),
    (lambda: BlurPool(KIND, sigma="1"), ShapeError, "sigma"),
    (lambda: BlurPool(KIND, sigma=1, kernel_size=0), ShapeError, "kernel_size"),
    (lambda: BlurPool(KIND, sigma=1, kernel_size=(3, 3)), ShapeError, "kernel_size"),
    (lambda: BlurPool(KIND, sigma=1, padding_mode="mirror"), ShapeError, "padding_mode is one of"),
    (lambda: BlurPool(KIND, sigma=1, stride=(1, 2)), ExactnessError, "stride must be the same"),
    (lambda: BlurPool(KIND, sigma=1)(torch.zeros(1, 8, 9, 9)), ShapeError, "got"),
    (lambda: Upsample(KIND), ShapeError, "either scale or size"),
    (lambda: Upsample(KIND, scale=2, size=9), ShapeError, "either scale or size"),
    (lambda: Upsample(KIND, scale=0.5), ShapeError, "number >= 1"),
    (lambda: Upsample(KIND, scale=(1, 2, 3)), ShapeError, "number >= 1"),
    (lambda: Upsample(KIND, scale=(1, 2)), ExactnessError, "scale must be the same"),
    (lambda: Upsample(KIND, size=(8, 9)), ExactnessError, "size must be the same"),
    (lambda: Upsample(KIND, scale=2, mode="area"), ShapeError, "mode is one of"),
    (lambda: Upsample(KIND, size=5)(torch.zeros(1, 2, 4, 6, 5)), ShapeError, "smaller than the 6x5"),
    (lambda: Upsample(2 * Cyclic(8).regular, scale=2, mode="nearest"), ExactnessError, "bilinear"),
    (lambda: DiskMask(KIND, margin=2), ShapeError, "margin"),
    (lambda: DiskMask(KIND, sigma=0), ShapeError, "sigma"),
    (lambda: DiskMask(KIND)(torch.zeros(1, 8, 5, 5)), ShapeError, "got"),
    (lambda: Antialiased(torch.relu), FieldTypeError, "in_type and out_type"),
    (lambda: Antialiased(nn.ReLU()), FieldTypeError, "in_type and out_type"),
    (lambda: Antialiased(Pointwise(KIND), factor=1), ShapeError, "factor is an integer >= 2"),
    (lambda: Antialiased(Pointwise(KIND), radius=0), ShapeError, "radius an integer >= 1"),
    (lambda: Antialiased(Pointwise(KIND), beta=-1), ShapeError, "beta a number"),
    (lambda: Antialiased(SpatialPool(KIND, 2))(torch.zeros(1, 2, 4, 4, 4)), ShapeError, "keeps height and width"),
    (lambda: Antialiased(GroupPool(KIND))(torch.zeros(1, 8, 4, 4)), ShapeError, "got"),
]


@pytest.mark.parametrize(("make", "error", "message"), MISTAKES)
def test_mistakes_are_told(make, error, message):
    with pytest.raises(error, match=message):
        make()
