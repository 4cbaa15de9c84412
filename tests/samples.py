"""The lists that every test runs over: a new group or layer adds one entry and inherits the battery."""

import copy
import math
from collections.abc import Callable

import torch
from torch import nn

from equiconv.errors import GroupError
from equiconv.groups import P4, P4M, Cyclic, Dihedral, Flip, Group, HueShift, Trivial
from equiconv.layers import (
    AdaptivePool,
    Antialiased,
    BlurPool,
    Branches,
    ColorSpace,
    DiskMask,
    FieldBatchNorm,
    FieldDropout,
    FieldGroupNorm,
    FourierActivation,
    GatedActivation,
    GroupConv2d,
    GroupConvTranspose2d,
    GroupPool,
    NormActivation,
    NormPool,
    Pointwise,
    Restrict,
    SpatialPool,
    SubgroupPool,
    Upsample,
    VectorFieldActivation,
    squash,
)
from equiconv.models import CNN

SINGLE = [Trivial(), P4(), P4M(), Flip(), HueShift(3), HueShift(4), Cyclic(2), Dihedral(2), Flip(0), Flip(math.pi / 4)]
OFF_GRID = [Cyclic(3), Cyclic(8), Dihedral(3), Dihedral(6), Flip(0.3)]


def products(groups: list[Group]) -> list[Group]:
    """Return all direct products of two of the groups; pairs that do not commute have none."""
    found = []
    for i, a in enumerate(groups):
        for b in groups[: i + 1]:
            try:
                found.append(b * a)
            except GroupError:
                continue
    return [group for group in found if len(group.factors) == 2]


PRODUCTS = products(SINGLE)
TRIPLE = HueShift(3) * Cyclic(2) * Flip()
GRID = [*SINGLE, *PRODUCTS, TRIPLE]
SOME = [Trivial(), P4(), P4M(), Flip(), HueShift(3), HueShift(4), HueShift(3) * P4(), Flip() * HueShift(2), TRIPLE]


def last_irrep(group: Group):
    return group.irreps[-1]


def mixed(group: Group):
    return group.trivial + group.irreps[-1] + group.regular


def halves(group: Group):
    """The cosets of the subgroup that the last generator generates."""
    return group.quotient([group.generators[-1]] if group.generators else [])


def first_factor(group: Group):
    """The first factor, by its elements where it stands twice in the product."""
    first = group.factors[0]
    return first if group.factors.count(first) == 1 else [g for g in group.generators if g >= first.order]


def induced(group: Group):
    """An irrep of the subgroup that the last generator generates, extended to the group; and one more summand."""
    part = group.subgroup([group.generators[-1]] if group.generators else [])
    return part.irreps[-1].induce(group) + group.irreps[-1]


def band(group: Group):
    """Half of the irreps, each once."""
    parts = group.irreps[: (len(group.irreps) + 1) // 2]
    return sum(parts[1:], parts[0])


def with_bias(layer):
    torch.nn.init.uniform_(layer.bias, -0.5, 0.5)
    return layer


# name -> (a module on the group, size of its test images)
CONVOLUTIONS: dict[str, Callable[[Group], nn.Module]] = {
    "lift": lambda g: GroupConv2d(g.image, 2 * g.regular, 3, padding=1),
    "group": lambda g: GroupConv2d(2 * g.regular, 3 * g.regular, 3, padding="same"),
    "g": lambda g: GroupConv2d(2 * g.regular, 2 * g.regular, 3, factorization="g"),
    "gc": lambda g: GroupConv2d(2 * g.regular, 2 * g.regular, 3, factorization="gc"),
    "lift gc": lambda g: GroupConv2d(g.image, 2 * g.regular, 3, factorization="gc"),
    "invariant to group": lambda g: GroupConv2d(2 * g.trivial, 2 * g.regular, 3),
    "group to invariant": lambda g: GroupConv2d(2 * g.regular, 3 * g.trivial, 3),
    "group to image": lambda g: GroupConv2d(2 * g.regular, g.image, 3),
    "irrep to irrep": lambda g: GroupConv2d(2 * last_irrep(g), 2 * last_irrep(g), 3, bias=False),
    "vector to group": lambda g: GroupConv2d(g.vector, 2 * g.regular, 3),
    "group to quotient": lambda g: GroupConv2d(2 * g.regular, 2 * halves(g), 3),
    "quotient to group": lambda g: GroupConv2d(2 * halves(g), 2 * g.regular, 3),
    "group to mixed": lambda g: GroupConv2d(2 * g.regular, 2 * mixed(g), 3),
    "mixed to group": lambda g: GroupConv2d(2 * mixed(g), 2 * g.regular, 3, factorization="g"),
    "strided": lambda g: GroupConv2d(g.regular, 2 * g.regular, 3, stride=2, padding=1),
    "dilated": lambda g: GroupConv2d(g.regular, 2 * g.regular, 3, dilation=2, padding=2),
    "even": lambda g: GroupConv2d(g.regular, 2 * g.regular, 4, padding=1),
    "1x1": lambda g: GroupConv2d(2 * g.regular, 2 * g.regular, 1),
    "transposed": lambda g: GroupConvTranspose2d(2 * g.regular, 2 * mixed(g), 3, padding=1, bias=False),
    "enlarging": lambda g: GroupConvTranspose2d(2 * g.regular, 2 * g.regular, 4, stride=2, padding=1),
    "channel groups": lambda g: GroupConv2d(4 * g.regular, 2 * g.regular, 3, channel_groups=2),
    "reflect": lambda g: GroupConv2d(g.regular, g.regular, 5, padding=2, padding_mode="reflect"),
    "replicate": lambda g: GroupConv2d(g.regular, g.regular, 3, padding=2, padding_mode="replicate"),
    "fourier": lambda g: GroupConv2d(2 * g.regular, 2 * g.regular, 1, execution="fourier" if g.order > 1 else "auto"),
    "steered": lambda g: GroupConv2d(2 * g.regular, 2 * g.regular, 3, padding=1, execution="steered"),
    "separable": lambda g: GroupConv2d(g.vector, 2 * g.regular, 3, factorization="gc", execution="separable"),
    "circular": lambda g: GroupConv2d(g.regular, g.regular, 3, padding=1, padding_mode="circular"),
}


class Typed(nn.Sequential):
    """A stock module that keeps a type, or one between two types."""

    def __init__(self, in_type, *modules, out_type=None):
        super().__init__(*modules)
        self.in_type, self.out_type = in_type, out_type or in_type


LAYERS: dict[str, Callable[[Group], nn.Module]] = {
    "group max": lambda g: GroupPool(2 * g.regular),
    "group mean": lambda g: GroupPool(2 * g.regular, mode="mean"),
    "coset max": lambda g: GroupPool(2 * g.regular, over=first_factor(g)),
    "coset mean": lambda g: GroupPool(2 * g.regular, over=list(g.generators[-1:]), mode="mean"),
    "quotient max": lambda g: GroupPool(2 * halves(g)),
    "spatial max": lambda g: SpatialPool(2 * g.regular, 3, stride=2),
    "spatial mean": lambda g: SpatialPool(2 * mixed(g), 3, stride=2, padding=1, mode="mean"),
    "batch norm": lambda g: FieldBatchNorm(2 * mixed(g)),
    "batch norm of images": lambda g: FieldBatchNorm(2 * g.image, affine=False),
    "stock batch norm": lambda g: Typed(2 * g.regular, nn.BatchNorm3d(2)),
    "field dropout": lambda g: FieldDropout(4 * g.image, 0.5),
    "field dropout of mixed fields": lambda g: FieldDropout(4 * mixed(g), 0.5),
    "stock dropout": lambda g: Typed(4 * g.regular, nn.Dropout3d(0.5)),
    "pointwise": lambda g: Pointwise(2 * halves(g), torch.tanh),
    "norm activation": lambda g: with_bias(NormActivation(2 * mixed(g))),
    "norm sigmoid": lambda g: NormActivation(2 * last_irrep(g), torch.sigmoid, bias=False),
    "norm activation of blocks": lambda g: with_bias(NormActivation(2 * induced(g), squash, parts="blocks")),
    "gated blocks": lambda g: GatedActivation(2 * induced(g), parts="blocks"),
    "norm pool of blocks": lambda g: NormPool(2 * induced(g), parts="blocks"),
    "gated": lambda g: GatedActivation(2 * mixed(g)),
    "fourier": lambda g: FourierActivation(2 * band(g), torch.tanh),
    "fourier of regular fields": lambda g: FourierActivation(2 * g.regular),
    "norm pool": lambda g: NormPool(2 * mixed(g)),
    "color space": lambda g: ColorSpace(2 * g.image),
    "vector field": lambda g: VectorFieldActivation(2 * g.regular) if g.moves_plane else Pointwise(2 * g.regular),
    "antialiased": lambda g: Antialiased(Pointwise(2 * g.regular)),
    "antialiased gates": lambda g: Antialiased(GatedActivation(2 * g.image), factor=3, radius=2),
    "branches": lambda g: Branches(Pointwise(2 * g.regular), GatedActivation(2 * g.image), NormPool(2 * last_irrep(g))),
    "group norm": lambda g: FieldGroupNorm(4 * mixed(g), channel_groups=2),
    "layer norm of images": lambda g: FieldGroupNorm(2 * g.image, affine=False),
    "subgroup max": lambda g: SubgroupPool(2 * g.regular, list(g.generators[:1])),
    "subgroup mean": lambda g: SubgroupPool(2 * g.regular, list(g.generators[-1:]), mode="mean"),
    "restrict": lambda g: Restrict(2 * mixed(g), list(g.generators[-1:])),
    "largest norm": lambda g: SpatialPool(2 * (g.image + g.regular), 3, stride=1, padding=1, mode="norm"),
    "adaptive max": lambda g: AdaptivePool(2 * g.regular, 3, mode="max"),
    "adaptive mean": lambda g: AdaptivePool(2 * mixed(g), 5),
    "adaptive norm": lambda g: AdaptivePool(2 * g.vector, (2, 2), mode="norm"),
    "blur": lambda g: BlurPool(2 * mixed(g), sigma=0.7, stride=2),
    "blur of even size": lambda g: BlurPool(2 * g.image, sigma=1, stride=2, kernel_size=4, padding_mode="zeros"),
    "upsample": lambda g: Upsample(2 * mixed(g), scale=2),
    "upsample by a half": lambda g: Upsample(2 * g.image, scale=1.5, mode="bicubic"),
    "upsample to a size": lambda g: Upsample(2 * g.regular, size=24, mode="nearest"),
    "disk mask": lambda g: DiskMask(2 * g.image, margin=0.1),
}

SHAPES = {  # where (8, 7) is not symmetric
    **dict.fromkeys(["strided", "spatial max", "spatial mean", "blur"], (9, 7)),
    "blur of even size": (8, 6),
}


def check_copies(make: Callable[[], nn.Module], *shape: int) -> None:
    """Train-mode statistics are seen once; a network with the same state, and a deep copy, then compute the same."""
    net, other = make(), make()
    net(torch.rand(3, *shape))
    other.load_state_dict(net.state_dict())
    x = torch.rand(2, *shape)
    expected = net.eval()(x)
    assert torch.equal(other.eval()(x), expected)
    assert torch.equal(copy.deepcopy(net)(x), expected)


def trained_cnn(group: Group) -> CNN:
    """Return a small network in eval mode that has seen upright images only."""
    net = CNN(group, 2, classes=3, kernel_sizes=(3, 3, 3), dropout=0.2)
    optimizer = torch.optim.SGD(net.parameters(), 0.05)
    for _ in range(3):
        images = torch.randn(8, 3, 14, 14) + torch.linspace(-2, 2, 14)  # brighter to the right: not symmetric
        loss = nn.functional.cross_entropy(net(images), torch.randint(3, (8,)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval()
