"""Ordinary networks of the structure of well-known ones that are not residual, narrow."""

import torch
from ordinary_resnets import conv3x3
from torch import nn
from torch.nn import functional as F


class VGG(nn.Module):
    """As in torchvision, with batch norm in the first layer; it flattens maps of 7x7 pixels (here 3x3)."""

    def __init__(self, width=4, classes=5, side=3):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2, 2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2, 2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((side, side))
        self.classifier = nn.Sequential(
            nn.Linear(2 * width * side * side, 16),
            nn.ReLU(True),
            nn.Dropout(),
            nn.Linear(16, 16),
            nn.ReLU(True),
            nn.Dropout(),
            nn.Linear(16, classes),
        )

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class DenseLayer(nn.Module):
    def __init__(self, inputs, growth):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(inputs, 2 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(2 * growth)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(2 * growth, growth)

    def forward(self, *features):
        x = torch.cat(features, 1)
        return self.conv2(self.relu2(self.norm2(self.conv1(self.relu1(self.norm1(x))))))


class DenseNet(nn.Module):
    """As in torchvision: every layer sees all maps before; and the published shortcut by global average."""

    def __init__(self, growth=3, classes=5):
        super().__init__()
        self.conv0 = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.layers = nn.ModuleList(DenseLayer(6 + growth * place, growth) for place in range(3))
        channels = 6 + 3 * growth
        self.transition = nn.Sequential(
            nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels // 2, 1), nn.AvgPool2d(2, 2)
        )
        self.norm5 = nn.BatchNorm2d(channels // 2)
        self.classifier = nn.Linear(channels // 2, classes)

    def forward(self, x):
        features = [self.conv0(x)]
        for layer in self.layers:
            features.append(layer(*features))
        x = F.relu(self.norm5(self.transition(torch.cat(features, 1))), inplace=True)
        x = F.adaptive_avg_pool2d(x, (1, 1))
        return self.classifier(torch.flatten(x, 1))


class SqueezeExcitation(nn.Module):
    """As in torchvision."""

    def __init__(self, channels, squeezed):
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.activation = nn.ReLU()
        self.scale_activation = nn.Hardsigmoid()

    def forward(self, x):
        return self.scale_activation(self.fc2(self.activation(self.fc1(self.avgpool(x))))) * x


class LinearExcitation(nn.Module):
    """As published first, with linear layers."""

    def __init__(self, channels, squeezed):
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, squeezed), nn.ReLU(inplace=True), nn.Linear(squeezed, channels), nn.Sigmoid()
        )

    def forward(self, x):
        b, c, _, _ = x.size()
        y = x.mean((2, 3)).view(b, c)
        y = self.fc(y).view(b, c, 1, 1)
        return x * y.expand_as(x)


class InvertedResidual(nn.Module):
    """As in MobileNetV3: expansion, a depthwise convolution, squeeze and excitation, projection."""

    def __init__(self, channels, expanded, outputs, stride, excitation=SqueezeExcitation):
        super().__init__()
        self.use_res_connect = stride == 1 and channels == outputs
        self.block = nn.Sequential(
            nn.Sequential(nn.Conv2d(channels, expanded, 1, bias=False), nn.BatchNorm2d(expanded), nn.Hardswish()),
            nn.Sequential(conv3x3(expanded, expanded, stride, expanded), nn.BatchNorm2d(expanded), nn.ReLU6()),
            excitation(expanded, 4),
            nn.Sequential(nn.Conv2d(expanded, outputs, 1, bias=False), nn.BatchNorm2d(outputs)),
        )

    def forward(self, x):
        return x + self.block(x) if self.use_res_connect else self.block(x)


class MobileNet(nn.Module):
    """As in torchvision."""

    def __init__(self, classes=5):
        super().__init__()
        self.features = nn.Sequential(
            nn.Sequential(conv3x3(3, 8, 2), nn.BatchNorm2d(8), nn.Hardswish()),
            InvertedResidual(8, 16, 8, 1),
            InvertedResidual(8, 20, 12, 2, LinearExcitation),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(12, 16), nn.Hardswish(inplace=True), nn.Dropout(0.2), nn.Linear(16, classes)
        )

    def forward(self, x):
        x = self.avgpool(self.features(x))
        return self.classifier(torch.flatten(x, 1))


class BatchNormAct2d(nn.BatchNorm2d):
    """As in timm: batch norm with its activation."""

    def __init__(self, channels):
        super().__init__(channels)
        self.drop = nn.Identity()
        self.act = nn.SiLU(inplace=True)

    def forward(self, x):
        torch._assert(x.ndim == 4, "maps")
        x = F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, self.training, 0.1, self.eps)
        return self.act(self.drop(x))


class UNet(nn.Module):
    """Returns maps; with what the others lack: transposed convolutions, group and instance norm, splits."""

    def __init__(self, classes=2):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.bn1 = BatchNormAct2d(8)
        self.conv2 = nn.Conv2d(8, 16, 4, stride=2, padding=1)
        self.norm2 = nn.GroupNorm(4, 16)
        self.act2 = nn.PReLU(16)
        self.up = nn.ConvTranspose2d(8, 8, 4, stride=2, padding=1)
        self.norm3 = nn.InstanceNorm2d(8, affine=True)
        self.gain = 0.5
        self.head = nn.Conv2d(24, classes, 1)

    def forward(self, x):
        first = self.bn1(self.conv1(x))
        left, right = self.act2(self.norm2(self.conv2(first))).chunk(2, dim=1)
        up = self.norm3(self.up(left))
        wide = F.interpolate(F.dropout2d(right, 0.1, self.training), scale_factor=2.0, mode="bilinear")
        gate = torch.sigmoid(torch.mean(wide, dim=1, keepdim=True))
        attended = 1.0 - self.gain * (up * gate)
        return self.head(torch.cat([first + 1.0, attended, wide], 1))


class Small(nn.Module):
    """Functions where others have modules, for 16x16 images."""

    def __init__(self, classes=4):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 8, 2, stride=2)
        self.shared = nn.Conv2d(8, 8, 3, padding=1)
        self.norm = nn.LayerNorm(8)
        self.fc = nn.Linear(8, classes)

    def forward(self, x):
        x = F.max_pool2d(F.leaky_relu(self.conv1(x), 0.1), 3, 2, 1)
        x = F.gelu(self.conv2(x))
        x = F.hardswish(self.shared(F.hardswish(self.shared(x))))
        x = F.avg_pool2d(x, x.size(2)) + torch.amax(x, (2, 3), keepdim=True)
        x = self.norm(x.view(x.size(0), -1)) * 2
        return F.log_softmax(self.fc(x), dim=1)
