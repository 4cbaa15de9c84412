"""Networks that see coordinates on the cover of a color model, where all shifts of color are exact."""

import copy

from torch import nn

from equiconv.errors import FieldTypeError
from equiconv.groups import FieldType
from equiconv.layers.convolution import Convolution
from equiconv.layers.lifting import Lifting

__all__ = ["on_cover"]


def on_cover(module: nn.Module) -> nn.Module:
    """Return a copy of a layer or network that takes coordinates on the cover instead of images.

    Shifts of saturation, value and lightness are exact there. On images they are only as far as no color is moved
    beyond an end of its interval: a network whose copy is equivariant, and itself is not, reflects colors at the ends.

    Args:
        module: a layer, or a network, whose first convolutions take images of a group that is not linear.

    Returns:
        The copy, whose ``in_type`` is ``n * group.cover`` where it was ``n * group.image``.

    Raises:
        FieldTypeError: if no convolution takes such images.

    Example:
        >>> from equiconv.groups import Saturation
        >>> from equiconv.layers import GroupConv2d
        >>> from equiconv.testing import equivariance_error
        >>> lift = GroupConv2d(Saturation(4).image, 2 * Saturation(4).regular, 3)
        >>> equivariance_error(lift) > 0.1, equivariance_error(on_cover(lift)) < 1e-12
        (True, True)
    """
    module = copy.deepcopy(module)
    lifting = [part for part in module.modules() if isinstance(part, Convolution) and part.lifting is not None]
    if not lifting:
        raise FieldTypeError(f"on_cover: no convolution lifts images by shifting their colors; got {module!r}")
    for part in lifting:
        part.in_type = _covered(part.in_type)
        part.lifting = Lifting(part.in_type, part.out_type).to(part.factors()[0])
    if isinstance(in_type := getattr(module, "in_type", None), FieldType) and not in_type.representation.is_linear:
        vars(module)["in_type"] = _covered(in_type)
    return module


def _covered(in_type: FieldType) -> FieldType:
    return in_type.n * in_type.group.cover
