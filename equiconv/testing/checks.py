"""What a profile can be measured of."""

from torch import Tensor, nn

from equiconv.errors import FieldTypeError, ShapeError
from equiconv.groups import FieldType, Group


def check_images(images: Tensor, group: Group) -> None:
    """Raise ShapeError unless these are images that the group moves, two or more."""
    fits = images.dim() == 4 and len(images) >= 2 and (images.shape[1] == 3 or not group.moves_color)
    if not fits or not images.is_floating_point():
        channels = "3" if group.moves_color else "C"
        raise ShapeError(
            f"images: for {group!r} a floating-point batch (B, {channels}, H, W) of two images or more, since errors "
            f"are relative to how outputs differ between images; got {tuple(images.shape)} of {images.dtype}"
        )


def check_takes_images(model: nn.Module) -> None:
    """Raise FieldTypeError if a network takes coordinates on a cover."""
    in_type = getattr(model, "in_type", None)
    if isinstance(in_type, FieldType) and in_type.representation.covers:
        raise FieldTypeError(
            f"the images of a profile are RGB, and this network takes {in_type!r}; equivariance_error measures it there"
        )
