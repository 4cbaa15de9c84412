"""Augmentations of colors, by kornia."""

import kornia.augmentation as kornia_augmentation
from torch import Tensor

from benchmarks.data.augmenting import Augmentation, checked, is_share

__all__ = ["Brightness", "Grayscale", "Hue", "Saturation"]


class Hue(Augmentation):
    """Shift the hue, as HSV has it, by a uniform part of a turn.

    Args:
        jitter: the largest part to either side; 0.5 is every hue.
    """

    colors = True

    def __init__(self, jitter: float = 0.5) -> None:
        super().__init__()
        self.jitter = checked("hue", jitter, "from above 0 to 0.5 of a turn", lambda value: 0 < value <= 0.5)

    def change(self, x: Tensor) -> Tensor:
        """Return images of other hues."""
        return kornia_augmentation.RandomHue((-self.jitter, self.jitter))(x)


class Saturation(Augmentation):
    """Scale the saturation, as HSV has it, by a uniform factor; it is cut off at 1.

    Args:
        jitter: how far the factor is from 1 at most; 1 is from gray to twice the saturation.
    """

    colors = True

    def __init__(self, jitter: float = 1.0) -> None:
        super().__init__()
        self.jitter = checked("saturation", jitter, "from above 0 to 1", is_share)

    def change(self, x: Tensor) -> Tensor:
        """Return images of other saturation."""
        return kornia_augmentation.RandomSaturation((1 - self.jitter, 1 + self.jitter))(x)


class Brightness(Augmentation):
    """Scale all channels by a uniform factor; each is cut off at 1.

    Args:
        jitter: how far the factor is from 1 at most; 1 is from black to twice as bright.
    """

    def __init__(self, jitter: float = 0.5) -> None:
        super().__init__()
        self.jitter = checked("brightness", jitter, "from above 0 to 1", is_share)

    def change(self, x: Tensor) -> Tensor:
        """Return brighter and darker images."""
        return kornia_augmentation.ColorJitter(brightness=(1 - self.jitter, 1 + self.jitter))(x)


class Grayscale(Augmentation):
    """Take the color from images: all channels become the luminance. ``normalize.Gray`` does so in evaluation too.

    Args:
        probability: with which each becomes gray.
    """

    colors = True

    def __init__(self, probability: float = 0.1) -> None:
        super().__init__()
        self.probability = checked("grayscale", probability, "a probability", is_share)

    def change(self, x: Tensor) -> Tensor:
        """Return images, some of them gray."""
        return kornia_augmentation.RandomGrayscale(p=self.probability)(x)
