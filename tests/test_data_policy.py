"""The operations of AutoAugment's policy, beside those of Pillow, and how they are drawn."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from benchmarks.data import policy
from benchmarks.data.policy import OPERATIONS, POLICY, applied, changed

SIDE = 32
FILL = (128, 128, 128)


def warped(image, matrix, resample=Image.Resampling.NEAREST):
    return image.transform(image.size, Image.Transform.AFFINE, matrix, resample, fillcolor=FILL)


def enhanced(kind, image, level, sign):
    return kind(image).enhance(1 + sign * 0.9 * level / 9)


def turned(image, level, sign):
    return image.rotate(30 * level / 9, fillcolor=FILL)


PILLOW = {
    "shear-y": lambda x, level, sign: warped(x, (1, 0, 0, sign * 0.3 * level / 9, 1, 0), Image.Resampling.BICUBIC),
    "translate-x": lambda x, level, sign: warped(x, (1, 0, sign * SIDE * 150 / 331 * level / 9, 0, 1, 0)),
    "translate-y": lambda x, level, sign: warped(x, (1, 0, 0, 0, 1, sign * SIDE * 150 / 331 * level / 9)),
    "rotate": turned,
    "color": partial(enhanced, ImageEnhance.Color),
    "contrast": partial(enhanced, ImageEnhance.Contrast),
    "brightness": partial(enhanced, ImageEnhance.Brightness),
    "sharpness": partial(enhanced, ImageEnhance.Sharpness),
    "posterize": lambda x, level, sign: ImageOps.posterize(x, round(8 - 4 * level / 9)),
    "solarize": lambda x, level, sign: ImageOps.solarize(x, 256 * (1 - level / 9)),
    "invert": lambda x, level, sign: ImageOps.invert(x),
    "autocontrast": lambda x, level, sign: ImageOps.autocontrast(x),
    "equalize": lambda x, level, sign: ImageOps.equalize(x),
}


def photographs(count=6):
    """Return smooth images of whole levels, each with its own range: ``(count, 3, SIDE, SIDE)``."""
    generator = np.random.default_rng(3)
    coarse = generator.integers(0, 256, (count, 5, 5, 3), dtype=np.uint8)
    smooth = [Image.fromarray(each).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for each in coarse]
    levels = np.stack([np.asarray(each) for each in smooth]).astype(np.float32)
    low = generator.integers(0, 60, (count, 1, 1, 1))
    return (
        torch.tensor(np.floor(low + levels * (0.4 + 0.1 * np.arange(count))[:, None, None, None] / 1.5).clip(0, 255))
        .permute(0, 3, 1, 2)
        .float()
    )


def assert_is_pillows(name, operation, far=2.0, mean=0.2):
    x = photographs()
    levels = torch.tensor([9, 7, 5, 3, 1, 0]).float()
    signs = torch.tensor([1, -1, -1, 1, -1, 1]).float()
    y = operation(x, levels, signs)
    for index in range(len(x)):
        image = Image.fromarray(x[index].permute(1, 2, 0).numpy().astype(np.uint8))
        expected = np.asarray(PILLOW[name](image, int(levels[index]), int(signs[index]))).astype(np.float32)
        off = np.abs(y[index].permute(1, 2, 0).numpy() - expected)
        assert (off > far).mean() < 5e-3, f"image {index}"
        assert off.mean() < mean + far * 5e-3, f"image {index}"


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_are_those_of_pillow(name):
    bounds = {"far": 8.0, "mean": 1.0} if name == "shear-y" else {}  # another bicubic kernel
    assert_is_pillows(name, partial(applied, name), **bounds)
    for broken in (
        lambda x, level, sign: x,
        lambda x, level, sign: applied(name, x.flip(-1), level, sign),
        lambda x, level, sign: applied(name, x, level, sign) * 0.9,
    ):
        with pytest.raises(AssertionError):
            assert_is_pillows(name, broken, **bounds)


LEVELED = ["shear-y", "translate-x", "translate-y", "rotate", "color", "contrast", "brightness", "solarize"]


@pytest.mark.parametrize("name", LEVELED)
def test_level_and_sign_matter(name):
    with pytest.raises(AssertionError):
        assert_is_pillows(name, lambda x, level, sign: applied(name, x, 9 - level, sign))
    if name not in ("rotate", "solarize"):
        with pytest.raises(AssertionError):
            assert_is_pillows(name, lambda x, level, sign: applied(name, x, level, -sign))


def test_images_of_one_level_stay():
    x = torch.full((2, 3, 8, 8), 77.0)
    for name in ("autocontrast", "equalize"):
        assert torch.equal(applied(name, x, torch.zeros(2), torch.ones(2)), x)


def test_the_policy_has_25_pairs_of_known_operations():
    steps = [step for pair in POLICY for step in pair]
    assert len(POLICY) == 25
    assert {name for name, _, _ in steps} == set(OPERATIONS)
    assert all(0 <= probability <= 1 and level in range(10) for _, probability, level in steps)


def test_pairs_are_drawn_alike_often_and_applied_in_order(monkeypatch):
    """Every operation writes down whom it was given; the marks of an image tell its pair."""
    seen = []

    def noted(name):
        def operation(levels, part, sign):
            seen.extend(
                (int(level), name, round(float(9 * p)), float(s))
                for level, p, s in zip(levels[:, 0, 0, 0], part, sign, strict=True)
            )
            return levels

        return operation

    monkeypatch.setattr(policy, "OPERATIONS", {name: noted(name) for name in OPERATIONS})
    count, rounds = 250, 40
    x = (torch.arange(count) / 255).view(-1, 1, 1, 1).expand(-1, 3, 1, 1)
    counts = dict.fromkeys([(name, level) for pair in POLICY for name, _, level in pair], 0)
    signs = []
    for _ in range(rounds):
        seen.clear()
        assert torch.allclose(changed(x), x)
        marks = {}
        for image, name, level, sign in seen:
            counts[name, level] += 1
            signs.append(sign)
            marks.setdefault(image, []).append((name, level))
        for steps in marks.values():
            assert any(_is_part(steps, [(name, level) for name, _, level in pair]) for pair in POLICY)
    total = count * rounds
    for (name, level), found in counts.items():
        expected = total / 25 * sum(p for pair in POLICY for n, p, each in pair if (n, each) == (name, level))
        assert abs(found - expected) <= 5 * math.sqrt(expected + 1), (name, level)
    assert abs(np.mean(signs)) < 5 / math.sqrt(len(signs))


def _is_part(steps, pair):
    return steps in (pair, pair[:1], pair[1:])
