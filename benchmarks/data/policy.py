"""AutoAugment's policy for CIFAR-10: pairs of operations, each with a probability and a level from 0 to 9.

The operations are those of Pillow on images of 256 levels, computed for whole batches.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["OPERATIONS", "POLICY", "applied", "changed"]

HIGHEST = 9  # level
GRAY = 128.0  # what is seen where there is no image
WHITE = 255.0
SHEAR, SHIFT, TURN, BLEND = 0.3, 150 / 331, 30.0, 0.9  # at the highest level: slope, share of a side, degrees, share
Step = tuple[str, float, int]  # operation, probability, level

POLICY: tuple[tuple[Step, Step], ...] = (
    (("invert", 0.1, 7), ("contrast", 0.2, 6)),
    (("rotate", 0.7, 2), ("translate-x", 0.3, 9)),
    (("sharpness", 0.8, 1), ("sharpness", 0.9, 3)),
    (("shear-y", 0.5, 8), ("translate-y", 0.7, 9)),
    (("autocontrast", 0.5, 8), ("equalize", 0.9, 2)),
    (("shear-y", 0.2, 7), ("posterize", 0.3, 7)),
    (("color", 0.4, 3), ("brightness", 0.6, 7)),
    (("sharpness", 0.3, 9), ("brightness", 0.7, 9)),
    (("equalize", 0.6, 5), ("equalize", 0.5, 1)),
    (("contrast", 0.6, 7), ("sharpness", 0.6, 5)),
    (("color", 0.7, 7), ("translate-x", 0.5, 8)),
    (("equalize", 0.3, 7), ("autocontrast", 0.4, 8)),
    (("translate-y", 0.4, 3), ("sharpness", 0.2, 6)),
    (("brightness", 0.9, 6), ("color", 0.2, 8)),
    (("solarize", 0.5, 2), ("invert", 0.0, 3)),
    (("equalize", 0.2, 0), ("autocontrast", 0.6, 0)),
    (("equalize", 0.2, 8), ("equalize", 0.8, 4)),
    (("color", 0.9, 9), ("equalize", 0.6, 6)),
    (("autocontrast", 0.8, 4), ("solarize", 0.2, 8)),
    (("brightness", 0.1, 3), ("color", 0.7, 0)),
    (("solarize", 0.4, 5), ("autocontrast", 0.9, 3)),
    (("translate-y", 0.9, 9), ("translate-y", 0.7, 9)),
    (("autocontrast", 0.9, 2), ("solarize", 0.8, 3)),
    (("equalize", 0.8, 8), ("invert", 0.1, 3)),
    (("translate-y", 0.7, 9), ("autocontrast", 0.9, 1)),
)


def changed(x: Tensor) -> Tensor:
    """Return RGB images ``(B, 3, H, W)`` in [0, 1], each changed by a pair of the policy that is drawn for it."""
    count = len(x)
    pairs, chances = torch.randint(len(POLICY), (count,)), torch.rand(2, count)
    signs = 2.0 * torch.randint(2, (2, count)) - 1
    names, levels = list(OPERATIONS), (WHITE * x).round()
    for step, (chance, sign) in enumerate(zip(chances, signs, strict=True)):
        table = torch.tensor([[names.index(pair[step][0]), *pair[step][1:]] for pair in POLICY])[pairs]
        for number, name in enumerate(names):
            index = ((table[:, 0] == number) & (chance < table[:, 1])).nonzero()[:, 0]
            if len(index):
                strengths = table[index, 2].to(x), sign[index].to(x)
                index = index.to(x.device)
                levels[index] = applied(name, levels[index], *strengths)
    return levels / WHITE


def applied(name: str, levels: Tensor, strength: Tensor, sign: Tensor) -> Tensor:
    """Return images after an operation.

    Args:
        name: of the operation, in ``OPERATIONS``.
        levels: images ``(B, 3, H, W)``, whole numbers from 0 to 255.
        strength: of each image, from 0 to 9.
        sign: of each image, 1 or -1; for operations that have two sides.
    """
    return OPERATIONS[name](levels, strength / HIGHEST, sign).clamp(0, WHITE).floor()


def _warped(levels: Tensor, matrix: Tensor, mode: str) -> Tensor:
    """Return images whose pixels at (x, y) are those at ``matrix (x, y, 1)``; gray where there are none.

    Args:
        levels: the images.
        matrix: ``(B, 2, 3)``, of points in pixels from the upper left corner.
        mode: ``"nearest"`` or ``"bicubic"``.
    """
    height, width = levels.shape[-2:]
    y, x = (torch.arange(side, dtype=levels.dtype, device=levels.device) + 0.5 for side in (height, width))
    points = torch.stack([*torch.meshgrid(x, y, indexing="xy"), torch.ones_like(levels[0, 0])], -1)  # (h, w, 3)
    source = torch.einsum("bij,hwj->bhwi", matrix, points)
    size = levels.new_tensor([width, height])
    seen = ((source >= 0) & (source < size)).all(-1)[:, None]  # (b, 1, h, w)
    moved = F.grid_sample(levels, 2 * source / size - 1, mode=mode, padding_mode="border", align_corners=False)
    return torch.where(seen, moved.round(), GRAY)


def _matrix(like: Tensor, x: tuple[Tensor | float, ...], y: tuple[Tensor | float, ...]) -> Tensor:
    """Return matrices ``(B, 2, 3)`` of two rows, whose entries are numbers or one for each image."""
    entries = [torch.as_tensor(each, dtype=like.dtype, device=like.device).expand(len(like)) for each in (*x, *y)]
    return torch.stack(entries, -1).view(-1, 2, 3)


def _shear_y(levels: Tensor, part: Tensor, sign: Tensor) -> Tensor:
    return _warped(levels, _matrix(part, (1.0, 0.0, 0.0), (SHEAR * part * sign, 1.0, 0.0)), "bicubic")


def _translate_x(levels: Tensor, part: Tensor, sign: Tensor) -> Tensor:
    shift = SHIFT * part * sign * levels.shape[-1]
    return _warped(levels, _matrix(part, (1.0, 0.0, shift), (0.0, 1.0, 0.0)), "nearest")


def _translate_y(levels: Tensor, part: Tensor, sign: Tensor) -> Tensor:
    shift = SHIFT * part * sign * levels.shape[-2]
    return _warped(levels, _matrix(part, (1.0, 0.0, 0.0), (0.0, 1.0, shift)), "nearest")


def _rotate(levels: Tensor, part: Tensor, sign: Tensor) -> Tensor:
    """Turn counter-clockwise; the published code has no other sense."""
    cos, sin = torch.cos(part * math.radians(TURN)), torch.sin(part * math.radians(TURN))
    x, y = levels.shape[-1] / 2, levels.shape[-2] / 2
    rows = (cos, -sin, x - cos * x + sin * y), (sin, cos, y - sin * x - cos * y)
    return _warped(levels, _matrix(part, *rows), "nearest")


def _blended(plain: Tensor, levels: Tensor, part: Tensor, sign: Tensor) -> Tensor:
    """Return images moved away from plain ones, or towards them."""
    return plain + (1 + sign * BLEND * part).view(-1, 1, 1, 1) * (levels - plain)


def _luminance(levels: Tensor) -> Tensor:
    weights = levels.new_tensor([19595, 38470, 7471]).view(3, 1, 1)
    return (((levels * weights).sum(1, keepdim=True) + 32768) / 65536).floor()  # (b, 1, h, w)


def _color(levels: Tensor, part: Tensor, sign: Tensor) -> Tensor:
    return _blended(_luminance(levels), levels, part, sign)


def _contrast(levels: Tensor, part: Tensor, sign: Tensor) -> Tensor:
    mean = (_luminance(levels).mean((1, 2, 3), keepdim=True) + 0.5).floor()
    return _blended(mean, levels, part, sign)


def _brightness(levels: Tensor, part: Tensor, sign: Tensor) -> Tensor:
    return _blended(torch.zeros_like(levels), levels, part, sign)


def _sharpness(levels: Tensor, part: Tensor, sign: Tensor) -> Tensor:
    kernel = levels.new_tensor([[1, 1, 1], [1, 5, 1], [1, 1, 1]]).expand(3, 1, 3, 3) / 13
    smooth = levels.clone()
    smooth[..., 1:-1, 1:-1] = F.conv2d(levels, kernel, groups=3).round()
    return _blended(smooth, levels, part, sign)


def _posterize(levels: Tensor, part: Tensor, sign: Tensor) -> Tensor:
    step = 2 ** (4 * part).round().view(-1, 1, 1, 1)  # 8 to 4 bits are kept
    return levels - levels % step


def _solarize(levels: Tensor, part: Tensor, sign: Tensor) -> Tensor:
    return torch.where(levels < 256 * (1 - part).view(-1, 1, 1, 1), levels, WHITE - levels)


def _invert(levels: Tensor, part: Tensor, sign: Tensor) -> Tensor:
    return WHITE - levels


def _autocontrast(levels: Tensor, part: Tensor, sign: Tensor) -> Tensor:
    low, high = levels.amin((-2, -1), keepdim=True), levels.amax((-2, -1), keepdim=True)
    scaled = ((levels - low) * WHITE / (high - low).clamp(min=1)).floor()
    return torch.where(high > low, scaled, levels)


def _equalize(levels: Tensor, part: Tensor, sign: Tensor) -> Tensor:
    """Make the levels of each channel equally frequent."""
    flat = levels.flatten(2).flatten(0, 1).long()  # (b * 3, h * w)
    rows = torch.arange(len(flat), device=flat.device)[:, None]
    counts = torch.bincount((flat + 256 * rows).flatten(), minlength=256 * len(flat)).view(-1, 256)
    last = counts.gather(1, flat.amax(1, keepdim=True))
    step = (flat.shape[1] - last) // 255
    below = counts.cumsum(1) - counts
    table = ((step // 2 + below) // step.clamp(min=1)).clamp(max=255)
    return torch.where(step > 0, table.gather(1, flat), flat).view_as(levels).to(levels)


OPERATIONS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "shear-y": _shear_y,
    "translate-x": _translate_x,
    "translate-y": _translate_y,
    "rotate": _rotate,
    "color": _color,
    "contrast": _contrast,
    "brightness": _brightness,
    "sharpness": _sharpness,
    "posterize": _posterize,
    "solarize": _solarize,
    "invert": _invert,
    "autocontrast": _autocontrast,
    "equalize": _equalize,
}
