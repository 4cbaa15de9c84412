"""Augmentations of batches of images, on the device where they are; by kornia.

Each is a module that draws anew for every image from the random numbers of torch, and that does nothing in evaluation.
It has no state: nothing of it is saved with a network.
"""

from collections.abc import Callable, Mapping
from functools import partial

import kornia.augmentation as kornia_augmentation
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.data import policy
from benchmarks.data.augmenting import Augmentation, checked, is_count, is_share
from benchmarks.data.jitter import Brightness, Grayscale, Hue, Saturation
from equiconv import EquiconvError

__all__ = [
    "AUGMENTATIONS",
    "Augmentation",
    "AutoAugment",
    "Brightness",
    "Crop",
    "Cutout",
    "Grayscale",
    "Hue",
    "Mirror",
    "ResizedCrop",
    "Rotation",
    "Saturation",
    "augmentation",
]


FINER = 3  # times the size at which images are turned, as published


class Crop(Augmentation):
    """Shift images by cutting them out of their zero-padded selves, at whole pixels.

    Args:
        padding: pixels on every side, at least 1.
    """

    def __init__(self, padding: float) -> None:
        super().__init__()
        self.padding = checked("crop", padding, "a whole number of pixels, at least 1", is_count)

    def change(self, x: Tensor) -> Tensor:
        """Return shifted images."""
        size = (x.shape[-2], x.shape[-1])
        return kornia_augmentation.RandomCrop(size, padding=int(self.padding))(x)


class ResizedCrop(Augmentation):
    """Cut out a random part and resize it bilinearly; in evaluation the middle of the images is cut out, not resized.

    Args:
        size: the side of the result.
        area: the range of the part's area, as a share.
        aspect: the range of its width over its height.
    """

    def __init__(
        self, size: float, area: tuple[float, float] = (0.08, 1.0), aspect: tuple[float, float] = (3 / 4, 4 / 3)
    ) -> None:
        super().__init__()
        self.size = int(checked("resized-crop", size, "a whole number of pixels, at least 1", is_count))
        self.area, self.aspect = area, aspect

    def forward(self, x: Tensor) -> Tensor:
        """Return random parts in training, the middle in evaluation: ``(B, C, size, size)``."""
        if min(x.shape[-2:]) < self.size:
            raise EquiconvError(
                f"ResizedCrop({self.size}) needs images of at least {self.size} pixels a side; got "
                f"{x.shape[-2]}x{x.shape[-1]}: load larger ones"
            )
        top, left = ((side - self.size) // 2 for side in x.shape[-2:])
        return self.change(x) if self.training else x[..., top : top + self.size, left : left + self.size]

    def change(self, x: Tensor) -> Tensor:
        """Return random parts."""
        size = (self.size, self.size)
        return kornia_augmentation.RandomResizedCrop(size, self.area, self.aspect, cropping_mode="resample")(x)


class Mirror(Augmentation):
    """Mirror images left to right.

    Args:
        probability: with which each is mirrored.
    """

    def __init__(self, probability: float = 0.5) -> None:
        super().__init__()
        self.probability = checked("mirror", probability, "a probability", is_share)

    def change(self, x: Tensor) -> Tensor:
        """Return mirrored images."""
        return kornia_augmentation.RandomHorizontalFlip(p=self.probability)(x)


class Rotation(Augmentation):
    """Turn images by a uniform angle about their center, black outside.

    Args:
        degrees: the largest angle to either side; 180 is every angle.
        interpolation: ``bilinear`` or ``nearest``.
        scale: images are enlarged so many times before they are turned, and reduced afterwards, both bilinearly.
    """

    def __init__(self, degrees: float = 180, interpolation: str = "bilinear", scale: int = 1) -> None:
        super().__init__()
        self.degrees = checked("rotation", degrees, "from above 0 to 180 degrees", lambda value: 0 < value <= 180)
        if interpolation not in ("bilinear", "nearest"):
            raise EquiconvError(f'interpolation is "bilinear" or "nearest"; got {interpolation!r}')
        self.interpolation = interpolation
        self.scale = int(checked("rotation", scale, "a whole number as the scale, at least 1", is_count))

    def change(self, x: Tensor) -> Tensor:
        """Return turned images."""
        turn = kornia_augmentation.RandomRotation(float(self.degrees), resample=self.interpolation, p=1.0)
        if self.scale == 1:
            return turn(x)
        enlarged = F.interpolate(x, scale_factor=self.scale, mode="bilinear")
        return F.interpolate(turn(enlarged), x.shape[-2:], mode="bilinear", antialias=True)


class AutoAugment(Augmentation):
    """Change images by AutoAugment's policy for CIFAR-10, as stored with 256 levels: by one of 25 pairs of operations.

    Each operation of the pair has a probability and a level. The bicubic kernel of the shear is that of PyTorch, a
    little sharper than Pillow's.

    Args:
        probability: with which a pair is drawn for an image; as published 1.

    Source:
        Cubuk et al., AutoAugment: Learning Augmentation Policies from Data (CVPR 2019), table 7.
    """

    colors = True

    def __init__(self, probability: float = 1.0) -> None:
        super().__init__()
        self.probability = checked("autoaugment", probability, "a probability", is_share)

    def change(self, x: Tensor) -> Tensor:
        """Return changed images."""
        drawn = (torch.rand(len(x)) < self.probability).to(x.device)
        return torch.where(drawn.view(-1, 1, 1, 1), policy.changed(x), x)


class Cutout(Augmentation):
    """Set a square of each image to 0; its center is uniform over the pixels, and what lies outside is cut off.

    Args:
        side: of the square, in pixels.

    Source:
        DeVries and Taylor, Improved Regularization of Convolutional Neural Networks with Cutout (2017).
    """

    def __init__(self, side: float) -> None:
        super().__init__()
        self.side = int(checked("cutout", side, "a whole number of pixels, at least 1", is_count))

    def change(self, x: Tensor) -> Tensor:
        """Return images with a square of zeros."""
        rows, columns = (self._covered(len(x), size).to(x.device) for size in x.shape[-2:])
        return x.masked_fill((rows[:, :, None] & columns[:, None]).unsqueeze(1), 0)  # (b, 1, h, w)

    def _covered(self, count: int, size: int) -> Tensor:
        """Return which pixels of an axis are covered in each of some images: ``(count, size)``."""
        start = torch.randint(size, (count, 1)) - self.side // 2
        place = torch.arange(size)
        return (start <= place) & (place < start + self.side)


AUGMENTATIONS: dict[str, Callable[[float], Augmentation]] = {
    "crop": Crop,
    "resized-crop": ResizedCrop,
    "mirror": Mirror,
    "rotation": Rotation,
    "rotation-nearest": partial(Rotation, interpolation="nearest"),
    "rotation-fine": partial(Rotation, scale=FINER),
    "hue": Hue,
    "saturation": Saturation,
    "brightness": Brightness,
    "grayscale": Grayscale,
    "autoaugment": AutoAugment,
    "cutout": Cutout,
}


def augmentation(steps: Mapping[str, float]) -> nn.Sequential:
    """Return augmentations in the given order, from names and values.

    Args:
        steps: names in ``AUGMENTATIONS`` and their values: pixels of padding for ``crop``, the side for
            ``resized-crop``, probabilities for ``mirror``, ``grayscale`` and ``autoaugment``, degrees for ``rotation``
            and its variants ``rotation-nearest``, by the nearest pixel, and ``rotation-fine``, on images of three times
            the size; a part of a turn for ``hue``, parts of what there is for ``saturation`` and ``brightness``, the
            side of the square for ``cutout``.

    Raises:
        EquiconvError: if a name is unknown or a value out of range.

    Example:
        >>> augmentation({"crop": 4, "mirror": 0.5})
        Sequential(
          (0): Crop()
          (1): Mirror()
        )
    """
    unknown = ", ".join(name for name in steps if name not in AUGMENTATIONS)
    if unknown:
        raise EquiconvError(f"augmentations are {', '.join(AUGMENTATIONS)}; got {unknown}")
    return nn.Sequential(*(AUGMENTATIONS[name](value) for name, value in steps.items()))
