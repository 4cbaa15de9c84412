"""A learned color space."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equiconv.errors import FieldTypeError
from equiconv.groups.field_type import FieldType
from equiconv.groups.representation import Representation
from equiconv.layers.layer import FieldLayer

__all__ = ["ColorSpace"]


class ColorSpace(FieldLayer):
    """Mix the three colors by a learned matrix, in front of the first convolution.

    The hue shifts that a lifting layer behind it is equivariant to are then learned too: they turn the colors about an
    axis, and in a metric, of the network's choice. Unlike a lifting layer whose color matrix is free, the shifts form a
    group at every moment of training.

    Equivariance:
        Exact at initialization, on every group. With M the matrix, then 1, and S the color action of g, the network
        moves by g if the image's colors move by M^-1 S M.

    Args:
        in_type: RGB images, ``n * group.image``.

    Shapes:
        Input and output: ``(B, 3 n, H, W)``.

    Raises:
        FieldTypeError: if the type is not made of images.

    Example:
        >>> import torch
        >>> from equiconv.groups import HueShift
        >>> x = torch.rand(1, 3, 4, 4)
        >>> torch.equal(ColorSpace(HueShift(3).image)(x), x)
        True

    Source:
        The learnable option of Lengyel et al., Color Equivariant Convolutional Networks (NeurIPS 2023), made exact: its
        bank T^i W with T = M^T S M^-T is the bank of the fixed shift S behind this layer.
    """

    def __init__(self, in_type: FieldType | Representation) -> None:
        super().__init__(in_type, in_type)
        if self.in_type.representation != self.in_type.group.image:
            raise FieldTypeError(f"ColorSpace mixes the colors of images, n * group.image; got {self.in_type!r}")
        self.weight = nn.Parameter(torch.eye(3))

    def forward(self, x: Tensor) -> Tensor:
        """Mix the colors of images; return images."""
        images = self.in_type.flatten(x)  # (b, 3*n, h, w)
        return F.conv2d(images, self.weight.repeat(self.in_type.n, 1)[..., None, None], groups=self.in_type.n)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return repr(self.in_type)
