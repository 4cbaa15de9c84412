"""The layers of CEConv and SepGroupPy, with kernels spelled out, and by the names of their weights."""

import math

import torch
from torch import nn
from torch.nn import functional as F

FIBERS = {"P4": 4, "P4M": 8}


def hue_matrix(hues):
    """Rodrigues' rotation about gray, which brings red towards green."""
    angle, axis = 2 * math.pi / hues, torch.ones(3, dtype=torch.float64) / math.sqrt(3)
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], dtype=torch.float64) / math.sqrt(3)
    return math.cos(angle) * torch.eye(3) + (1 - math.cos(angle)) * torch.outer(axis, axis) + math.sin(angle) * cross


def turned(kernels, g):
    """Kernels turned by g % 4 quarter turns, and with their rows flipped then if g > 3."""
    kernels = torch.rot90(kernels, g % 4, (-2, -1))
    return kernels.flip(-2) if g > 3 else kernels


def quotient(g, h):
    """The number of g^-1 h: mirrors cancel, and a turn is undone backwards behind a mirror."""
    mirrored = (g // 4) ^ (h // 4)
    return 4 * mirrored + (h + (g if mirrored else -g)) % 4


class Layer(nn.Module):
    """A convolution with a bank of kernels (o, g, i, f, kh, kw)."""

    def __init__(self, outputs, bias, **place):
        super().__init__()
        self.place = place
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None

    def forward(self, x):
        bank = self.bank()
        x = x if x.dim() == 4 else x.flatten(1, 2)
        y = F.conv2d(x, bank.flatten(0, 1).flatten(1, 2), **self.place).unflatten(1, bank.shape[:2])
        return y if self.bias is None else y + self.bias.view(1, -1, 1, 1, 1)


class Hue(Layer):
    """CEConv2d."""

    def __init__(self, before, hues, i, o, size, *, separable=False, bias=True, **place):
        super().__init__(o, bias, **place)
        self.lifts, self.hues = before == 1, hues
        self.weight = nn.Parameter(torch.empty(o, i, 1 if separable or self.lifts else hues, size, size))
        if self.lifts:
            self.transformation_matrix = nn.Parameter(hue_matrix(hues), requires_grad=False)
        elif separable:
            self.pointwise_weight = nn.Parameter(torch.empty(o, i, hues, 1, 1))

    def bank(self):
        if self.lifts:
            powers = [torch.matrix_power(self.transformation_matrix, s) for s in range(self.hues)]
            return torch.stack([torch.einsum("cd,odfhw->ocfhw", power, self.weight) for power in powers], 1)
        whole = self.weight * getattr(self, "pointwise_weight", 1)
        return torch.stack([whole.roll(s, 2) for s in range(self.hues)], 1)


class Turn(Layer):
    """P4ConvZ2 and its kin."""

    def __init__(self, fiber, kind, i, o, size, *, lifts=False, bias=True, **place):
        super().__init__(o, bias, **place)
        self.fiber, self.lifts = fiber, lifts
        if lifts or kind is None:
            self.weight = nn.Parameter(torch.empty(o, i, 1 if lifts else fiber, size, size))
        else:
            self.pointwise_weight = nn.Parameter(torch.empty(o, i, fiber, 1, 1))
            self.depthwise_weight = nn.Parameter(
                torch.empty((o, i, size, size) if kind == "g" else (o, 1, 1, size, size))
            )

    def bank(self):
        if hasattr(self, "weight"):
            whole = self.weight
        else:
            spatial = self.depthwise_weight
            whole = self.pointwise_weight * (spatial if spatial.dim() == 5 else spatial[:, :, None])
        elements = range(self.fiber)
        sources = [[0] if self.lifts else [quotient(g, h) for h in elements] for g in elements]
        return torch.stack([turned(whole[:, :, sources[g]], g) for g in elements], 1)


def plain(i, o, size, **place):
    return nn.Conv2d(i, o, size, **place)


def split(i, o, size, *, bias=True, **place):
    return nn.Sequential(nn.Conv2d(i, o, 1, bias=bias), nn.Conv2d(o, o, size, groups=o, bias=bias, **place))
