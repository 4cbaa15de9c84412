"""Normalization of batches of images: the same in training and evaluation."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from benchmarks.data.batch import Pixels, float_batch
from equiconv import EquiconvError, Group
from equiconv.groups import Hexagon

__all__ = [
    "CIFAR",
    "FITTED",
    "IMAGENET",
    "IMAGENET_COMMON",
    "NORMALIZATIONS",
    "UNIT",
    "ZCA",
    "ContrastNorm",
    "Gray",
    "Standardize",
    "check_names",
    "normalization",
    "taken",
    "unfitted",
]

Statistic = float | tuple[float, ...]

IMAGENET_COMMON = (0.485, 0.229)  # published for color-equivariant and gray networks
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CIFAR = ((125.3 / 255, 123.0 / 255, 113.9 / 255), (63.0 / 255, 62.1 / 255, 66.7 / 255))
CHUNK = 4096
LUMINANCE = (0.299, 0.587, 0.114)


class Standardize(nn.Module):
    """Subtract a mean and divide by a standard deviation.

    **Equivariance**: with one mean and one deviation for all channels it commutes exactly with every permutation of the
    channels, so with ``HueShift(3)``; with a mean for each channel it does not.

    Args:
        mean: one number, or one for each channel.
        std: the same; above 0.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Statistic, std: Statistic) -> None:
        super().__init__()
        for name, value in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32).reshape(-1, 1, 1))
        if not (self.std > 0).all():
            raise EquiconvError(f"a standard deviation is above 0; got {std}: are all images the same?")

    @classmethod
    def fitted(cls, images: Pixels) -> "Standardize":
        """Return it with the mean and deviation of all values of training images ``(N, C, S, S)``, all channels."""
        sums = torch.zeros(2, dtype=torch.float64)
        for start in range(0, len(images), CHUNK):
            x = float_batch(images[start : start + CHUNK]).double()
            sums += torch.stack([x.sum(), (x**2).sum()])
        mean, square = (sums / images.size).tolist()
        return cls(mean, math.sqrt(max(square - mean**2, 0)))

    def forward(self, x: Tensor) -> Tensor:
        """Return normalized images of the shape that comes."""
        return (x - self.mean) / self.std


class ContrastNorm(nn.Module):
    """Give each image the mean 0 and the deviation 1, over all channels and pixels; a constant image becomes 0.

    The deviation is that of a sample, with n - 1.

    **Equivariance**: it commutes with every permutation of channels and pixels.

    Args:
        smallest: deviations below it count as 1.
    """

    def __init__(self, smallest: float = 1e-8) -> None:
        super().__init__()
        self.smallest = smallest

    def forward(self, x: Tensor) -> Tensor:
        """Return normalized images of the shape that comes."""
        centered = x - x.mean((1, 2, 3), keepdim=True)
        std = centered.square().sum((1, 2, 3), keepdim=True).div(x[0].numel() - 1).sqrt()
        return centered / torch.where(std < self.smallest, 1, std)


class ZCA(nn.Module):
    """Whiten images: ``W (x - mean)`` with ``W = U diag(1 / (s + epsilon)) U^T``.

    ``s`` are the standard deviations of the training images along the principal axes ``U``. Axes along which the
    training images vary less than float32 resolves are left out: published code multiplies their rounding errors by
    ``1 / epsilon``. It does not commute with moves of the image, since ``W`` is fitted to images in one orientation.

    Args:
        size: the shape ``(C, S, S)`` of the images; mean and matrix are 0 until they are fitted or loaded.
        epsilon: what is added to the deviations.
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, size: tuple[int, int, int], epsilon: float = 1e-5) -> None:
        super().__init__()
        self.size, self.epsilon = size, epsilon
        values = math.prod(size)
        self.register_buffer("mean", torch.zeros(values))
        self.register_buffer("matrix", torch.zeros(values, values))

    @classmethod
    def fitted(cls, images: Pixels, before: nn.Module | None = None, epsilon: float = 1e-5) -> "ZCA":
        """Return it fitted to training images.

        Args:
            images: ``(N, C, S, S)``, N at least 2.
            before: what is done to images before they are whitened, such as ``ContrastNorm()``.
            epsilon: what is added to the deviations.
        """
        if len(images) < 2:
            raise EquiconvError(f"whitening is fitted to at least 2 images; got {len(images)}")
        _, channels, height, width = images.shape
        made = cls((channels, height, width), epsilon)
        mean, covariance = _moments(images, before or nn.Identity())
        variance, axes = torch.linalg.eigh(covariance)
        std = variance.clamp(min=0).sqrt()
        resolved = std > std.max() * torch.finfo(torch.float32).eps * len(std) ** 0.5
        gain = torch.where(resolved, 1 / (std + epsilon), 0)
        made.mean.copy_(mean)
        made.matrix.copy_((axes * gain) @ axes.T)
        return made

    def forward(self, x: Tensor) -> Tensor:
        """Return whitened images of the shape that comes."""
        if tuple(x.shape[1:]) != self.size:
            raise EquiconvError(f"the whitening is of images {self.size}; got {tuple(x.shape[1:])}: fit another")
        return ((x.flatten(1) - self.mean) @ self.matrix.T).view_as(x)  # (B, C, S, S)


class Gray(nn.Module):
    """Take the color from RGB images, in training and evaluation; the channels stay three.

    Args:
        luminance: weigh the channels as the eye does; otherwise equally, which commutes with permutations of them.
    """

    weights: Tensor

    def __init__(self, *, luminance: bool = False) -> None:
        super().__init__()
        weights = torch.tensor(LUMINANCE if luminance else (1 / 3,) * 3)
        self.register_buffer("weights", weights.view(3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return gray images ``(B, 3, S, S)``."""
        return (x * self.weights).sum(1, keepdim=True).expand_as(x)


UNIT = "unit"
FIXED: dict[str, Callable[[], nn.Module]] = {
    UNIT: nn.Identity,
    "common": lambda: Standardize(*IMAGENET_COMMON),
    "imagenet": lambda: Standardize(*IMAGENET),
    "cifar": lambda: Standardize(*CIFAR),
    "contrast": ContrastNorm,
    "gray": Gray,
    "luminance": lambda: Gray(luminance=True),
    "pad": lambda: nn.ZeroPad2d((0, 1, 0, 1)),
}
FITTED: dict[str, type[ZCA]] = {"whiten": ZCA}
NORMALIZATIONS = (*FIXED, *FITTED)
WITHIN = (UNIT, "gray", "luminance", "pad")  # [0, 1]
SCALED = ("common",)  # by one mean and one scale, the same for all images


def check_names(names: Sequence[str]) -> None:
    """Raise EquiconvError unless all are names of ``NORMALIZATIONS``."""
    if unknown := ", ".join(name for name in names if name not in NORMALIZATIONS):
        raise EquiconvError(f"normalizations are {', '.join(NORMALIZATIONS)}; got {unknown}")


def taken(group: Group) -> tuple[str, ...]:
    """Return the names of the normalizations whose images a group can move: all, if it moves them by matrices.

    Shifts along a color model are those of images in [0, 1]; the hue of HSV and HSL alone does not change if all
    channels are shifted and scaled alike, by numbers that do not depend on the image.
    """
    if group.is_linear:
        return NORMALIZATIONS
    hue_only = isinstance(group.tone.model, Hexagon)
    return (*WITHIN, *SCALED) if hue_only else WITHIN


def normalization(names: Sequence[str], images: Pixels | None) -> nn.Sequential:
    """Return normalizations in the given order, by their names.

    Args:
        names: of ``NORMALIZATIONS``: ``unit`` leaves images as they are, in [0, 1]; ``common`` and ``imagenet``
            standardize by the statistics of ImageNet, those of all channels or of each, ``cifar`` by those of CIFAR;
            ``contrast`` is ``ContrastNorm``; ``gray`` takes the mean of the channels, ``luminance`` what the eye sees;
            ``pad`` adds a black column on the right and a row below, which makes an even size odd; ``whiten`` is
            ``ZCA``, fitted to what comes there.
        images: those for training, ``(N, C, S, S)``; None if nothing is fitted.

    Raises:
        EquiconvError: if a name is unknown, or there are no images to fit to.

    Example:
        >>> normalization(["gray", "common"], images=None)
        Sequential(
          (0): Gray()
          (1): Standardize()
        )
    """
    check_names(names)
    steps = nn.Sequential()
    for name in names:
        steps.append(_fitted(name, images, steps) if name in FITTED else FIXED[name]())
    return steps


def _fitted(name: str, images: Pixels | None, before: nn.Module) -> nn.Module:
    """Return a normalization that is fitted to images."""
    if images is None:
        raise EquiconvError(f"{name} is fitted to training images; got none")
    return FITTED[name].fitted(images, before)


def unfitted(names: Sequence[str], size: tuple[int, int, int]) -> nn.Sequential:
    """Return normalizations whose statistics are still to be loaded.

    Args:
        names: as ``normalization`` takes them.
        size: the shape ``(C, S, S)`` of the images.

    Raises:
        EquiconvError: if a name is unknown.
    """
    check_names(names)
    return nn.Sequential(*(FITTED[name](size) if name in FITTED else FIXED[name]() for name in names))


def _moments(images: Pixels, before: nn.Module) -> tuple[Tensor, Tensor]:
    """Return the mean ``(V,)`` and the covariance ``(V, V)`` of flattened images, in double precision."""
    chunks = range(0, len(images), CHUNK)

    def flat(start: int) -> Tensor:
        return before(float_batch(images[start : start + CHUNK])).flatten(1).double()

    mean = torch.stack([flat(start).sum(0) for start in chunks]).sum(0) / len(images)
    covariance = torch.zeros(len(mean), len(mean), dtype=torch.float64)
    for start in chunks:
        centered = flat(start) - mean
        covariance += centered.T @ centered
    return mean, covariance / (len(images) - 1)
