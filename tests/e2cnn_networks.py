"""Networks that people make of e2cnn, small: as its examples and the experiments of its paper build them."""

from collections import OrderedDict

import torch
from e2cnn_pairs import enn, gspaces


class SteerableCNN(torch.nn.Module):
    """The network of the notebook: C8, regular fields, blurred pooling."""

    def __init__(self, rotations=8, width=2, classes=10):
        super().__init__()
        self.r2_act = gspaces.Rot2dOnR2(rotations)
        in_type = enn.FieldType(self.r2_act, [self.r2_act.trivial_repr])
        self.input_type = in_type
        self.block1 = enn.SequentialModule(enn.MaskModule(in_type, 29, margin=1), *self.conv(in_type, width, 7, 1))
        self.block2 = enn.SequentialModule(*self.conv(self.block1.out_type, 2 * width, 5, 2))
        self.pool1 = enn.SequentialModule(enn.PointwiseAvgPoolAntialiased(self.block2.out_type, sigma=0.66, stride=2))
        self.block3 = enn.SequentialModule(*self.conv(self.block2.out_type, 2 * width, 5, 2))
        self.pool2 = enn.SequentialModule(enn.PointwiseAvgPoolAntialiased(self.block3.out_type, sigma=0.66, stride=2))
        self.block4 = enn.SequentialModule(*self.conv(self.block3.out_type, 3 * width, 5, 1))
        self.pool3 = enn.PointwiseAvgPoolAntialiased(self.block4.out_type, sigma=0.66, stride=1, padding=0)
        self.gpool = enn.GroupPooling(self.block4.out_type)
        c = self.gpool.out_type.size
        self.fully_net = torch.nn.Sequential(
            torch.nn.Linear(c, 8), torch.nn.BatchNorm1d(8), torch.nn.ELU(inplace=True), torch.nn.Linear(8, classes)
        )

    def conv(self, in_type, width, size, padding):
        out_type = enn.FieldType(self.r2_act, width * [self.r2_act.regular_repr])
        return (
            enn.R2Conv(in_type, out_type, kernel_size=size, padding=padding, bias=False),
            enn.InnerBatchNorm(out_type),
            enn.ReLU(out_type, inplace=True),
        )

    def forward(self, input: torch.Tensor):  # noqa: A002
        x = enn.GeometricTensor(input, self.input_type)
        x = self.pool1(self.block2(self.block1(x)))
        x = self.pool2(self.block3(x))
        x = self.pool3(self.block4(x))
        x = self.gpool(x).tensor
        return self.fully_net(x.reshape(x.shape[0], -1))


class WideBasic(enn.EquivariantModule):
    """The block of the wide residual network, which ends with fewer symmetries if it restricts."""

    def __init__(self, in_type, inner, out_type, size, *, stride=1, dropout=0.3):
        super().__init__()
        self.in_type, self.out_type = in_type, out_type
        padding = size // 2
        self.bn1 = enn.InnerBatchNorm(in_type)
        self.relu1 = enn.ReLU(in_type, inplace=True)
        self.conv1 = enn.R2Conv(in_type, inner, kernel_size=size, padding=padding, bias=False)
        self.bn2 = enn.InnerBatchNorm(inner)
        self.relu2 = enn.ReLU(inner, inplace=True)
        self.dropout = enn.PointwiseDropout(inner, p=dropout)
        self.conv2 = enn.R2Conv(inner, out_type, kernel_size=size, padding=padding, stride=stride, bias=False)
        self.shortcut = None
        if stride != 1 or in_type != out_type:
            self.shortcut = enn.R2Conv(in_type, out_type, kernel_size=1, stride=stride, bias=False)

    def forward(self, x):
        x_n = self.relu1(self.bn1(x))
        out = self.relu2(self.bn2(self.conv1(x_n)))
        out = self.conv2(self.dropout(out))
        if self.shortcut is not None:
            out += self.shortcut(x_n)
        else:
            out += x
        return out

    def evaluate_output_shape(self, input_shape):
        return None


class WideResNet(torch.nn.Module):
    """The wide residual network that loses symmetries on its way: D8, D4, D1."""

    def __init__(self, rotations=8, flips=True, width=2, classes=10, size=33):
        super().__init__()
        space = gspaces.FlipRot2dOnR2(rotations) if flips else gspaces.Rot2dOnR2(rotations)
        self.in_type = enn.FieldType(space, 3 * [space.trivial_repr])
        stem = enn.FieldType(space, width * [space.regular_repr])
        self.conv1 = enn.R2Conv(self.in_type, stem, 5, padding=2, bias=False)
        self.layer1 = self.stage(stem, space, width, 5, 1)
        self.restrict1, space, kind = self.restricted(self.layer1.out_type, space, rotations // 2, flips)
        self.layer2 = self.stage(kind, space, width, 3, 2)
        self.restrict2, space, kind = self.restricted(self.layer2.out_type, space, 1, flips)
        self.layer3 = self.stage(kind, space, 2 * width, 3, 2, last=True)
        self.bn = enn.InnerBatchNorm(self.layer3.out_type, momentum=0.9)
        self.relu = enn.ReLU(self.bn.out_type, inplace=True)
        self.linear = torch.nn.Linear(self.bn.out_type.size, classes)

    def stage(self, in_type, space, width, size, stride, last=False):
        regular = enn.FieldType(space, width * [space.regular_repr])
        trivial = enn.FieldType(space, 2 * width * [space.trivial_repr])
        blocks = [
            WideBasic(in_type, regular, regular, size, stride=stride),
            WideBasic(regular, regular, trivial if last else regular, size),
        ]
        return enn.SequentialModule(*blocks)

    def restricted(self, in_type, space, rotations, flips):
        which = (0, rotations) if flips else rotations
        restrict = enn.RestrictionModule(in_type, which)
        untangle = enn.DisentangleModule(restrict.out_type)
        return enn.SequentialModule(restrict, untangle), restrict.out_type.gspace, untangle.out_type

    def features(self, x):
        x = enn.GeometricTensor(x, self.in_type)
        out = self.layer1(self.conv1(x))
        out = self.layer2(self.restrict1(out))
        return self.layer3(self.restrict2(out))

    def forward(self, x):
        out = self.relu(self.bn(self.features(x)))
        out = out.tensor
        b, c, w, h = out.shape[0], out.shape[1], out.shape[2], out.shape[3]
        out = torch.nn.functional.avg_pool2d(out, (w, h))
        return self.linear(out.view(b, c))


class SmallSFCNN(torch.nn.Module):
    """The small network of the digits: regular fields, or irreps with gates or norms."""

    def __init__(self, space, unit, nonlinearity, width=2):
        super().__init__()
        self.in_type = enn.FieldType(space, [space.trivial_repr])
        layers, kind = [], self.in_type
        for index, (size, padding) in enumerate([(7, 1), (5, 2), (5, 0)]):
            layer, kind = nonlinearity(enn, kind, space, unit, width, size, padding)
            layers.append(layer)
            if index == 1:
                layers.append(enn.PointwiseMaxPool(kind, 2) if unit == "regular" else enn.NormMaxPool(kind, 2))
        self.layers = torch.nn.ModuleList(layers)
        self.invariant = enn.GroupPooling(kind) if unit == "regular" else enn.NormPool(kind)
        self.head = torch.nn.Linear(self.invariant.out_type.size, 5)

    def forward(self, x):
        x = enn.GeometricTensor(x, self.in_type)
        for layer in self.layers:
            x = layer(x)
        x = self.invariant(x)
        return self.head(torch.nn.functional.adaptive_max_pool2d(x.tensor, 1).flatten(1))


def regular(enn, kind, space, unit, width, size, padding):
    out = enn.FieldType(space, width * [space.regular_repr])
    conv = enn.R2Conv(kind, out, size, padding=padding)
    return enn.SequentialModule(conv, enn.InnerBatchNorm(out), enn.ELU(out)), out


def gates(enn, kind, space, unit, width, size, padding):
    trivial, others = [space.trivial_repr] * width, [space.irrep(k) for k in unit] * width
    gate = [space.trivial_repr] * len(others)
    labels = ["trivial"] * width + ["gated"] * (2 * len(others))
    out = enn.FieldType(space, trivial + gate + others)
    parts = enn.FieldType(space, trivial), enn.FieldType(space, gate + others)
    activation = enn.MultipleModule(
        out, labels, [(enn.ELU(parts[0]), "trivial"), (enn.GatedNonLinearity1(parts[1]), "gated")]
    )
    norms = enn.FieldType(space, trivial + gate), enn.FieldType(space, others)
    norm = enn.MultipleModule(
        out,
        ["bn"] * (width + len(gate)) + ["nbn"] * len(others),
        [(enn.InnerBatchNorm(norms[0]), "bn"), (enn.NormBatchNorm(norms[1]), "nbn")],
    )
    conv = enn.R2Conv(kind, out, size, padding=padding)
    return enn.SequentialModule(conv, norm, activation), activation.out_type


class E2SFCNN(torch.nn.Module):
    """The six layers of the rotated digits, which restrict the reflections away before the fifth norm."""

    def __init__(self, space, subgroup, widths=(1, 2, 2, 2, 2, 3), classes=10):
        super().__init__()
        self.in_type = kind = enn.FieldType(space, [space.trivial_repr])
        settings = zip((9, 7, 7, 7, 7, 5), (0, 3, 3, 3, 3, 0), widths, strict=True)
        layers = []
        for index, (size, padding, width) in enumerate(settings):
            out = enn.FieldType(space, width * [space.regular_repr])
            layer = [("conv", enn.R2Conv(kind, out, size, padding=padding))]
            if index == 4:
                layer.append(("restrict", enn.RestrictionModule(out, subgroup)))
                layer.append(("disentangle", enn.DisentangleModule(layer[-1][1].out_type)))
                out = layer[-1][1].out_type
                space = out.gspace
            layer.append(("bn", enn.InnerBatchNorm(out)))
            if index == 5:
                layer.append(("gpool", enn.GroupPooling(out)))
                out = layer[-1][1].out_type
            if index in (1, 3):
                layer.append(("pool", enn.PointwiseMaxPool(out, kernel_size=2)))
            layer.append(("elu", enn.ELU(out)))
            layers.append(enn.SequentialModule(OrderedDict(layer)))
            kind = out
        self.layers = torch.nn.ModuleList(layers)
        self.pool = enn.PointwiseAdaptiveMaxPool(kind, 1)
        self.head = torch.nn.Sequential(torch.nn.Dropout(0.3), torch.nn.Linear(kind.size, classes))

    def forward(self, x):
        x = enn.GeometricTensor(x, self.in_type)
        for layer in self.layers:
            x = layer(x)
        x = self.pool(x).tensor
        b, c, _, _ = x.shape[0], x.shape[1], x.shape[2], x.shape[3]
        return self.head(x.view(b, c))
