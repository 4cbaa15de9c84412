"""The networks of CEConv and SepGroupPy as their papers describe them, by the names of their weights."""

import math

from predecessor_layers import FIBERS, Hue, Turn, plain, split
from torch import nn
from torch.nn import functional as F


def normed(conv, x, norm):
    return F.relu(norm(conv(x)))


def pooled(x, size, stride, padding=0):
    """Maxima over windows of each entry."""
    flat = x if x.dim() == 4 else x.flatten(1, 2)
    return F.max_pool2d(flat, size, stride, padding).unflatten(1, x.shape[1:-2])


def norm_for(fiber):
    return nn.BatchNorm2d if fiber == 1 else nn.BatchNorm3d


class Digits(nn.Module):
    """CNN of CEConv, and the networks of SepGroupPy for rotated digits."""

    def __init__(self, lift, hidden, width, fiber, i, classes=10):
        super().__init__()
        for number, size in enumerate((3, 3, 3, 3, 3, 3, 4), 1):
            conv = lift(i, width, size) if number == 1 else hidden(width, width, size)
            setattr(self, f"conv{number}", conv)
            setattr(self, f"bn{number}", norm_for(fiber)(width))
        self.fc = nn.Linear(width, classes)

    def forward(self, x):
        for number in range(1, 8):
            x = normed(getattr(self, f"conv{number}"), x, getattr(self, f"bn{number}"))
            x = pooled(x, 2, 2) if number == 2 else x
        return self.fc((x.amax(2) if x.dim() == 5 else x).flatten(1))


class ColoredDigits(nn.Module):
    """CECNN."""

    def __init__(self, width, hues, colored=7, coset=False, classes=10, separable=True):
        super().__init__()
        sizes, self.coset = (3, 3, 3, 3, 3, 3, 4), coset
        after = width if coset else hues * width

        def hue(number):
            before, i = (1, 3) if number == 0 else (hues, width)
            return Hue(before, hues, i, width, sizes[number], separable=separable and number > 0)

        unit = nn.Sequential
        self.ceconv_list = nn.ModuleList(unit(hue(number), nn.BatchNorm3d(width)) for number in range(colored))
        self.conv2d_list = nn.ModuleList(
            unit(nn.Conv2d(after, after, size), nn.BatchNorm2d(after)) for size in sizes[colored:]
        )
        self.fc = nn.Linear(after, classes)

    def forward(self, x):
        for number, unit in enumerate([*self.ceconv_list, *self.conv2d_list]):
            if number == len(self.ceconv_list):
                x = self.entered(x)
            x = F.relu(unit(x))
            x = pooled(x, 2, 2) if number == 1 else x
        return self.fc((self.entered(x) if x.dim() == 5 else x).flatten(1))

    def entered(self, x):
        return x.amax(2) if self.coset else x.flatten(1, 2)


class Block(nn.Module):
    """A residual block, by the name of its shortcut."""

    def __init__(self, conv, free, norm, i, inner, *, stride, bottleneck, preactivation, shortcut):
        super().__init__()
        o, self.preactivation, self.name = inner * (4 if bottleneck else 1), preactivation, shortcut
        sides, widths = ((1, 3, 1), (i, inner, inner, o)) if bottleneck else ((3, 3), (i, inner, inner))
        strided = sides.index(3)
        for number, size in enumerate(sides):
            before, after = widths[number], widths[number + 1]
            place = {"stride": stride if number == strided else 1, "padding": size // 2, "bias": False}
            setattr(self, f"conv{number + 1}", conv(before, after, size, **place))
            setattr(self, f"bn{number + 1}", norm(before if preactivation else after))
        self.count = len(sides)
        if stride != 1 or i != o:
            setattr(self, shortcut, nn.Sequential(free(i, o, 1, stride=stride, bias=False), norm(o)))

    def forward(self, x):
        y = x
        for number in range(1, self.count + 1):
            conv, norm = getattr(self, f"conv{number}"), getattr(self, f"bn{number}")
            if self.preactivation:
                y = conv(F.relu(norm(y)))
            else:
                y = norm(conv(y)) if number == self.count else F.relu(norm(conv(y)))
        y = y + (getattr(self, self.name)(x) if hasattr(self, self.name) else x)
        return y if self.preactivation else F.relu(y)


class Residual(nn.Module):
    """The residual networks of CEConv, torchvision and SepGroupPy.

    ``convs(stage)`` gives the convolution, the one of shortcuts, and the fiber of a stage; the stem is ``lift``.
    """

    def __init__(
        self,
        counts,
        widths,
        lift,
        convs,
        *,
        names,
        preactivation=False,
        bottleneck=False,
        coset=True,
        classes=10,
        stem_padding=1,
    ):
        super().__init__()
        stages, first, shortcut, self.head = names
        self.preactivation, self.coset, self.large = preactivation, coset, len(counts) == 4
        fiber, last = convs(0)[2], widths[-1] * (4 if bottleneck else 1)
        size = 7 if self.large else 3
        self.conv1 = lift(3, widths[0], size, stride=2 if self.large else 1, padding=stem_padding, bias=False)
        self.bn1 = norm_for(fiber)(last if self.preactivation else widths[0])
        self.stages, i = [f"{stages}{first + stage}" for stage in range(len(counts))], widths[0]
        if stages.endswith("."):
            self.layers = nn.ModuleList()
        for stage, (count, inner) in enumerate(zip(counts, widths, strict=True)):
            conv, free, fiber = convs(stage)
            blocks = nn.Sequential()
            for number in range(count):
                stride = 2 if stage > 0 and number == 0 else 1
                options = {"bottleneck": bottleneck, "preactivation": self.preactivation, "shortcut": shortcut}
                blocks.append(Block(conv, free, norm_for(fiber), i, inner, stride=stride, **options))
                i = inner * (4 if bottleneck else 1)
            if stages.endswith("."):
                self.layers.append(blocks)
            else:
                setattr(self, self.stages[stage], blocks)
        setattr(self, self.head, nn.Linear(i * (1 if coset else fiber), classes))

    def forward(self, x):
        x = self.conv1(x)
        x = x if self.preactivation else F.relu(self.bn1(x))
        x = pooled(x, 3, 2, 1) if self.large else x
        for stage in self.stages:
            blocks = self.get_submodule(stage)
            mixed = isinstance(blocks[0].conv1, nn.Conv2d) and x.dim() == 5
            x = blocks(x.amax(2) if mixed else x)
        x = F.relu(self.bn1(x)) if self.preactivation else x
        if x.dim() == 5:
            x = x.amax(2) if self.coset else x.flatten(1, 2)
        return getattr(self, self.head)(x.mean((-2, -1)))


CECONV = ("layers.", 0, "shortcut", "linear")
TORCHVISION = ("layer", 1, "downsample", "fc")
COUNTS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 44: (7, 7, 7), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def ceresnet(depth, widths, hues=1, *, colored=None, separable=False, coset=True, classes=10, names=CECONV):
    """ResNet and HybridResNet of CEConv: ``colored`` stages are color equivariant."""
    counts, torchvision = COUNTS[depth], names == TORCHVISION
    colored = (len(counts) if colored is None else colored) if hues > 1 else 0

    def convs(stage):
        if stage >= colored:
            return plain, plain, 1
        make = [
            lambda i, o, size, s=s, **place: Hue(hues, hues, i, o, size, separable=s, **place)
            for s in (separable, False)
        ]
        return *make, hues

    lift = (lambda i, o, size, **place: Hue(1, hues, i, o, size, **place)) if hues > 1 else plain
    padding = 3 if torchvision else 1
    options = {"names": names, "bottleneck": depth >= 50, "coset": coset, "classes": classes, "stem_padding": padding}
    return Residual(counts, widths, lift, convs, **options)


def turnresnet(widths, group=None, kind=None, *, classes=10):
    """The residual networks of SepGroupPy."""
    options = {"names": TORCHVISION, "preactivation": True}
    if group is None:
        hidden = plain if kind is None else split
        return Residual((7, 7, 7), widths, plain, lambda _: (hidden, plain, 1), classes=classes, **options)
    fiber = FIBERS[group]

    def make(kind, **lifts):
        return lambda i, o, size, **place: Turn(fiber, kind, i, o, size, **lifts, **place)

    convs, lift = (make(kind), make(None), fiber), make(None, lifts=True)
    return Residual((7, 7, 7), widths, lift, lambda _: convs, coset=False, classes=classes, **options)


def turndigits(width, group=None, kind=None):
    """The networks of SepGroupPy for rotated digits."""
    if group is None:
        return Digits(plain, plain if kind is None else split, width, 1, 1)
    fiber = FIBERS[group]

    def make(kind, **lifts):
        return lambda i, o, size: Turn(fiber, kind, i, o, size, **lifts)

    return Digits(make(None, lifts=True), make(kind), width, fiber, 1)


def drawn(net):
    """The network in double precision with random weights and statistics, none of them trivial."""
    net = net.double()
    for name, value in net.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2)
        elif name.endswith("num_batches_tracked"):
            value.fill_(3)
        elif not name.endswith("transformation_matrix"):
            if value.dim() > 1:
                value.normal_(std=math.sqrt(2 / value[0].numel()))
            elif name.endswith("weight"):
                value.uniform_(0.8, 1.6)
            else:
                value.normal_(std=0.1)
    return net.eval()


def trainable(net):
    return sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)
