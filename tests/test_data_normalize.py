"""Normalization: what it makes of the values, and what it commutes with."""

import math

import numpy as np
import pytest
import torch

from benchmarks.data.normalize import (
    CIFAR,
    IMAGENET,
    IMAGENET_COMMON,
    NORMALIZATIONS,
    ZCA,
    ContrastNorm,
    Gray,
    Standardize,
    normalization,
    taken,
)
from equiconv import P4, EquiconvError, HueShift
from equiconv.groups import Color, Saturation, Value

HUE = HueShift(3)


def images(count=60, size=6):
    """Return bytes whose channels differ, and whose neighbors are alike."""
    generator = np.random.default_rng(0)
    mixing = generator.normal(size=(3 * size * size,) * 2) / 4 + np.eye(3 * size * size)
    values = generator.normal(size=(count, 3 * size * size)) @ mixing
    values = values.reshape(count, 3, size, size) * 20 + np.array([90, 120, 150]).reshape(3, 1, 1)
    return values.clip(0, 255).astype(np.uint8)


def batch():
    return torch.from_numpy(images()).float() / 255


def assert_commutes_with_hue(module):
    """Shifting the hue by thirds of a turn before is the same as after."""
    x = batch()
    for element in range(1, HUE.order):
        rho = torch.tensor(HUE.image.rho[element], dtype=x.dtype)

        def shifted(y, rho=rho):
            return torch.einsum("ij,bjhw->bihw", rho.round(), y)  # (B, 3, H, W)

        assert torch.equal(module(shifted(x)), shifted(module(x)))


def test_one_mean_and_deviation_commute_with_hue_and_one_a_channel_does_not():
    assert_commutes_with_hue(Standardize.fitted(images()))
    assert_commutes_with_hue(Standardize(*IMAGENET_COMMON))
    for statistics in (IMAGENET, CIFAR, (IMAGENET[0], 0.2), (0.4, IMAGENET[1])):
        with pytest.raises(AssertionError):
            assert_commutes_with_hue(Standardize(*statistics))


def test_standardize_is_fitted_to_all_values(monkeypatch):
    monkeypatch.setattr("benchmarks.data.normalize.CHUNK", 7)
    x = images() / 255
    for stored in (images(), np.float32(x)):
        module = Standardize.fitted(stored)
        assert module.mean.item() == pytest.approx(x.mean(), abs=1e-6)
        assert module.std.item() == pytest.approx(x.std(), abs=1e-6)
    y = module(batch())
    assert y.mean().item() == pytest.approx(0, abs=1e-5)
    assert y.std().item() == pytest.approx(1, abs=1e-3)


def test_standardize_takes_channels_and_is_saved():
    x = torch.ones(1, 3, 2, 2)
    y = Standardize((0.0, 0.5, 1.0), (1.0, 0.5, 2.0))(x)
    assert y[0, :, 0, 0].tolist() == [1, 1, 0]
    other = Standardize((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    other.load_state_dict(Standardize((0.0, 0.5, 1.0), (1.0, 0.5, 2.0)).state_dict())
    assert torch.equal(other(x), y)
    with pytest.raises(EquiconvError, match=r"a standard deviation is above 0; got 0\.0: are all images the same"):
        Standardize.fitted(np.full((4, 3, 2, 2), 7, np.uint8))


def test_contrast_is_that_of_each_image():
    x = batch()
    x[3] = 0.25
    y = ContrastNorm()(x)
    assert (y[3] == 0).all()
    others = torch.cat([y[:3], y[4:]]).flatten(1)
    assert others.mean(1).abs().max() < 1e-6
    assert (others.std(1) - 1).abs().max() < 1e-5  # of a sample: n - 1
    expected = (images()[0] - images()[0].mean()) / images()[0].std(ddof=1)
    assert np.abs(y[0].numpy() - expected).max() < 1e-5


def published_zca(x, epsilon=1e-5):
    """Whiten rows by a singular value decomposition, as published."""
    mean = x.mean(0)
    _, s, axes = np.linalg.svd((x - mean) / math.sqrt(len(x) - 1), full_matrices=False)
    return (x - mean) @ (axes.T / (s + epsilon)) @ axes


def assert_whitens(whitened):
    """It is what the published formula gives: the covariance is the identity, and pixels stay where they are."""
    expected = published_zca(images(600).reshape(600, -1) / 255)
    assert np.abs(np.cov(whitened.T) - np.eye(108)).max() < 1e-2
    assert np.abs(whitened - expected).max() < 1e-2


def test_zca_whitens():
    x = images(600)
    module = ZCA.fitted(x)
    y = module(torch.from_numpy(x).float() / 255)
    assert y.shape == x.shape
    whitened = y.flatten(1).double().numpy()
    assert_whitens(whitened)
    axes = np.linalg.svd(x.reshape(600, -1) - x.reshape(600, -1).mean(0))[2]
    principal = whitened @ axes.T  # whitened, but turned to the principal axes
    for broken in (principal, 2 * whitened, whitened[:, ::-1]):
        with pytest.raises(AssertionError):
            assert_whitens(broken)


def test_zca_after_contrast_leaves_out_what_is_only_rounding():
    x = images(600)
    module = ZCA.fitted(x, ContrastNorm())
    y = module(ContrastNorm()(torch.from_numpy(x).float() / 255))
    variances = np.linalg.eigvalsh(np.cov(y.flatten(1).double().numpy().T))
    assert variances[0] < 1e-6  # the mean of an image, which is gone
    assert np.abs(variances[1:] - 1).max() < 1e-2


def test_zca_is_saved_and_knows_its_size():
    module = ZCA.fitted(images())
    other = ZCA((3, 6, 6))
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(batch()), module(batch()))
    with pytest.raises(EquiconvError, match="the whitening is of images"):
        module(torch.zeros(2, 3, 8, 8))
    with pytest.raises(EquiconvError, match="at least 2 images; got 1"):
        ZCA.fitted(images(1))


def test_gray_is_the_same_in_every_mode_and_the_plain_mean_commutes_with_hue():
    x = batch()
    plain, luminance = Gray(), Gray(luminance=True)
    assert torch.allclose(plain(x)[:, 2], x.mean(1))
    assert torch.allclose(luminance(x)[:, 1], 0.299 * x[:, 0] + 0.587 * x[:, 1] + 0.114 * x[:, 2])
    assert torch.equal(plain.eval()(x), plain.train()(x))
    assert torch.allclose(plain(x.roll(1, 1)), plain(x), atol=1e-6)
    assert not torch.allclose(luminance(x.roll(1, 1)), luminance(x), atol=1e-2)


def test_normalizations_by_name_are_done_in_their_order():
    x = images()
    steps = normalization(["contrast", "whiten"], x)
    expected = ZCA.fitted(x, ContrastNorm())
    torch.testing.assert_close(steps(batch()), expected(ContrastNorm()(batch())))
    gray = normalization(["common", "gray"], x)(batch())
    torch.testing.assert_close(gray, Gray()(Standardize(*IMAGENET_COMMON)(batch())))
    assert len(normalization([], x)) == 0
    with pytest.raises(EquiconvError, match=r"normalizations are unit, .*; got grey"):
        normalization(["grey"], x)


def test_padding_adds_a_row_below_and_a_column_on_the_right():
    x = batch()
    padded = normalization(["pad"], images())(x)
    assert padded.shape == (60, 3, 7, 7)
    assert torch.equal(padded[..., :6, :6], x)
    assert not padded[..., 6, :].any()
    assert not padded[..., 6].any()


MOVED = {  # a group that shifts colors along a model, and the normalizations whose images it takes
    HueShift(4, "hsv"): {"unit", "gray", "luminance", "pad", "common"},
    HueShift(4, "lab"): {"unit", "gray", "luminance", "pad"},
    Color(4, 3): {"unit", "gray", "luminance", "pad"},
    Value(3) * P4(): {"unit", "gray", "luminance", "pad"},
    HueShift(4) * P4(): set(NORMALIZATIONS),
}


@pytest.mark.parametrize("group", MOVED, ids=repr)
def test_what_a_group_takes(group):
    assert set(taken(group)) == MOVED[group]


def commutes(group, name):
    """Tell whether images of all hues, and of saturation and value within their intervals, move alike normalized."""
    x = 0.4 + 0.1 * torch.rand(4, 3, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    module = normalization([name], None)
    return all(
        torch.allclose(module(group.transform_image(x, g)), group.transform_image(module(x), g), atol=1e-5)
        for g in range(group.order)
    )


def test_normalized_images_move_as_images_do_only_where_they_are_taken():
    hue, saturation, value = HueShift(4, "hsv"), Saturation(4, truncated=True), Value(4, truncated=True)
    for name in ("unit", "common"):
        assert commutes(hue, name)
    for name in ("imagenet", "cifar", "contrast"):
        assert name not in taken(hue)
        assert not commutes(hue, name)
    for group in (saturation, value, HueShift(4, "lab")):
        assert commutes(group, "unit")
        for name in set(NORMALIZATIONS) - {*taken(group), "whiten"}:
            assert not commutes(group, name)
