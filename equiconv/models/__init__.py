"""Networks built from the layers, for any group."""

from equiconv.models.cnn import CNN
from equiconv.models.steerable import SteerableCNN
from equiconv.models.wide_resnet import WideResNet

__all__ = ["CNN", "SteerableCNN", "WideResNet"]
