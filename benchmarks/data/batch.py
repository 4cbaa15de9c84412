"""From stored images to what a network sees."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equiconv import EquiconvError

__all__ = ["Pixels", "float_batch"]

Pixels = NDArray[np.uint8] | NDArray[np.float32]


def float_batch(images: Pixels | Tensor, channels: int | None = None) -> Tensor:
    """Return images as float32 with values in [0, 1], on the device where they are.

    Args:
        images: ``(B, C, S, S)``, uint8 from 0 to 255, or floating-point in [0, 1].
        channels: 3 repeats gray images over three channels; None and the channels that are there change nothing.

    Returns:
        ``(B, channels, S, S)``.

    Raises:
        EquiconvError: if the images have neither one channel nor as many as asked for.
    """
    x = torch.as_tensor(images)
    x = x.float() / 255 if x.dtype == torch.uint8 else x.float()
    if channels is None or channels == x.shape[1]:
        return x
    if x.shape[1] != 1:
        raise EquiconvError(f"expected images of {channels} channels or of one; got {x.shape[1]}: load others")
    return x.expand(-1, channels, -1, -1)
