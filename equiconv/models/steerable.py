"""The steerable network of the rotated digits, for any group."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from equiconv.bases import Basis
from equiconv.errors import FieldTypeError
from equiconv.groups import Group
from equiconv.groups.values import is_number
from equiconv.layers import BlurPool, DiskMask, GroupConv2d
from equiconv.models.blocks import (
    activation,
    change_group,
    dropped_factors,
    image_type,
    invariants,
    kept_group,
    normalization,
    one_group_each,
)

__all__ = ["SteerableCNN"]

BLOCKS = ((24, 7, 1), (48, 5, 2), (48, 5, 2), (96, 5, 2), (96, 5, 2), (64, 5, 1))  # fields, kernel size, padding
MARGIN, BORDER = 0.01, 0.1  # of the mask: the part of the radius that is faded out, and over how many pixels
SIGMA = 0.66  # pixels, of the Gaussian that pools the plane
WIDEST = 1e3


class SteerableCNN(nn.Module):
    """Classify turned images by six steerable convolutions: conv, batch norm, ReLU, and a blur after every second.

    The network of the published example on rotated digits, which is on ``Cyclic(8)``. For images of 29x29 pixels, such
    as digits padded by a row and a column, the spatial sizes are 25, 25 (pooled to 13), 13, 13 (pooled to 7), 7, 5
    (pooled to 1). Its fields are functions on the group; on a continuous group band-limited ones, and the nonlinearity
    acts on their samples. On ``Trivial()`` it is an ordinary network.

    Equivariance:
        The logits are invariant under every element of the group: exact for those that keep the pixel grid, other
        angles are approximate. Where blocks change to a smaller group, ``in_type`` and ``out_type`` name what is left:
        that group, and the factors that were pooled over and do not move the plane. Images of 29, 33, 37, ... pixels
        fit the pooling; ExactnessError is raised for others, unless ``exact=False``.

    Args:
        group: the group of all blocks, or one for each of the six: ``[O2(3)] * 3 + [Cyclic(8)] * 3`` becomes discrete
            halfway. Where a later group is made of some of the factors of the one before, the fields are pooled over
            the others; any other subgroup goes on with the fields as they are.
        width: a factor on the number of fields, 24, 48, 48, 96, 96 and 64 for width 1. With sqrt(8 / n) a group of
            order n has about as many parameters as one of order 8 with width 1.
        in_channels: 3 for RGB images, any other number for channels that no element moves.
        classes: the number of classes.
        pool: ``"max"`` or ``"mean"`` over the group before the head; of functions on a continuous group, the norm
            stands for the maximum.
        masked: fade out what lies outside the largest disk within the image.
        basis: what the kernels are made of, as in ``GroupConv2d``.
        exact: refuse image sizes that lose equivariance; False lets them pass.

    Shapes:
        Input: ``(B, in_channels, H, W)``, H and W at least 29. Output: logits ``(B, classes)``; what is left of
        the plane is averaged.

    Raises:
        GroupError: if the group is none, or a block's group is not a subgroup of the one before.
        FieldTypeError: if the group moves colors and the images are not RGB, or an option is out of range.
        ShapeError: if there is not one group for each of the six blocks; in ``forward``, if the image is too small.
        ExactnessError: in ``forward``, if the image size would lose equivariance.

    Example:
        >>> from equiconv.groups import Cyclic
        >>> net = SteerableCNN(Cyclic(8))
        >>> sum(p.numel() for p in net.parameters())
        2067434

    Source:
        Weiler and Cesa, General E(2)-Equivariant Steerable CNNs (NeurIPS 2019); the network is that of the example
        that comes with their code.
    """

    def __init__(
        self,
        group: Group | Sequence[Group],
        width: float = 1.0,
        *,
        in_channels: int = 1,
        classes: int = 10,
        pool: str = "max",
        masked: bool = True,
        basis: Basis = "auto",
        exact: bool = True,
    ) -> None:
        super().__init__()
        groups = one_group_each(group, len(BLOCKS), "block")
        if not is_number(width, 0, WIDEST) or width == 0:
            raise FieldTypeError(f"width is a factor on the number of fields, above 0; got {width!r}")
        current, kept = image_type(groups[0], in_channels), kept_group(groups, dropped_factors)
        self.in_type, self.out_type = current.restrict(kept), classes * kept.trivial
        modules: list[nn.Module] = [DiskMask(current, margin=MARGIN, sigma=BORDER)] if masked else []
        for index, (layer_group, (fields, size, padding)) in enumerate(zip(groups, BLOCKS, strict=True)):
            pooling, current = change_group(current, layer_group, dropped_factors(current.group, layer_group), pool)
            modules.extend(pooling)
            out_type = max(1, round(width * fields)) * layer_group.regular
            modules.append(GroupConv2d(current, out_type, size, padding=padding, bias=False, basis=basis))
            modules.extend([normalization(out_type), activation(out_type)])
            if index % 2:
                stride, ends = (2, None) if index + 1 < len(BLOCKS) else (1, 0)
                blur = partial(BlurPool, sigma=SIGMA, padding_mode="zeros", exact=exact)
                modules.append(blur(out_type, stride=stride, padding=ends))
            current = out_type
        n = current.n
        self.features = nn.Sequential(*modules, invariants(current, pool))
        self.head = nn.Sequential(nn.Linear(n, n), nn.BatchNorm1d(n), nn.ELU(), nn.Linear(n, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``(B, classes)`` of images ``(B, in_channels, H, W)``."""
        return self.head(self.features(x).mean((-2, -1)))  # (b, n, h, w) -> (b, n) -> (b, classes)
