"""What an augmentation is."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn

from equiconv import EquiconvError

__all__ = ["Augmentation", "checked", "is_count", "is_share"]


class Augmentation(nn.Module, ABC):
    """Change images ``(B, C, S, S)`` with values in [0, 1] at random, in training only."""

    colors = False  # whether it needs three channels

    def forward(self, x: Tensor) -> Tensor:
        """Return changed images in training, and the images themselves in evaluation."""
        if not self.training:
            return x
        if self.colors and x.shape[1] != 3:
            raise EquiconvError(f"{type(self).__name__} needs RGB images; got {x.shape[1]} channels: leave it out")
        return self.change(x)

    @abstractmethod
    def change(self, x: Tensor) -> Tensor:
        """Return changed images."""


def is_count(value: float) -> bool:
    """Tell whether a value is a whole number, at least 1."""
    return value >= 1 and value == int(value)


def is_share(value: float) -> bool:
    """Tell whether a value is above 0 and at most 1."""
    return 0 < value <= 1


def checked(name: str, value: float, expected: str, holds: Callable[[float], bool]) -> float:
    """Return a value, or raise EquiconvError if it is not what is expected."""
    if not holds(value):
        raise EquiconvError(f"{name} takes {expected}; got {value}")
    return value
