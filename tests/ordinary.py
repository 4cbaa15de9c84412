"""Ordinary networks for the tests of conversion."""

import torch
from ordinary_cnns import VGG, DenseNet, MobileNet, Small
from ordinary_resnets import Bottleneck, ResNet, TimmResNet
from torch import nn

NETWORKS = {
    "resnet": ResNet,
    "bottleneck": lambda: ResNet(Bottleneck, groups=4),
    "timm": TimmResNet,
    "vgg": VGG,
    "densenet": DenseNet,
    "mobilenet": MobileNet,
    "functions": Small,
}


def settled(net, size=16, channels=3):
    """Return a network whose statistics are those of some images, so that no output is almost constant."""
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None  # the mean of all batches
    for _ in range(2):
        net.train()(torch.randn(8, channels, size, size, dtype=next(net.parameters()).dtype))
    return net.eval()
