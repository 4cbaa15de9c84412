"""Networks built from the layers, for any group, and ordinary ones that are taught a symmetry."""

from equiconv.models.architecture import Architecture, matched_widths
from equiconv.models.channel_pooled import ChannelPooledCNN, ChannelPooledVGG
from equiconv.models.channel_pooled_resnet import ChannelPooledResNet18
from equiconv.models.cnn import CNN
from equiconv.models.registry import create, list_models
from equiconv.models.resnet import RESNET18, RESNET34, RESNET44, RESNET50, RESNET101, RESNET152, ResNet
from equiconv.models.steerable import SteerableCNN
from equiconv.models.steerable_architecture import (
    STEERABLE,
    STEERABLE_LARGE,
    STEERABLE_SMALL,
    SteerableArchitecture,
    SteerableLayer,
)
from equiconv.models.wide_resnet import WideResNet

__all__ = [
    "CNN",
    "RESNET18",
    "RESNET34",
    "RESNET44",
    "RESNET50",
    "RESNET101",
    "RESNET152",
    "STEERABLE",
    "STEERABLE_LARGE",
    "STEERABLE_SMALL",
    "Architecture",
    "ChannelPooledCNN",
    "ChannelPooledResNet18",
    "ChannelPooledVGG",
    "ResNet",
    "SteerableArchitecture",
    "SteerableCNN",
    "SteerableLayer",
    "WideResNet",
    "create",
    "list_models",
    "matched_widths",
]
