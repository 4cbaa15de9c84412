"""Pooling of 5-D maps that does not know their type: what CEConv and SepGroupPy have in common."""

from torch import Tensor
from torch.nn import functional as F

from equiconv.errors import ShapeError
from equiconv.groups import Group
from equiconv.layers.layer import check_flags
from equiconv.layers.window import Size, Window, pair
from equiconv.recorded import Recorded


class WindowMaxPool(Recorded):
    """Take maxima over windows of the plane, of every channel and every entry of the group alone.

    Args:
        group: whose symmetry the windows are to keep.
        kernel_size, stride, padding, dilation: as of ``nn.MaxPool2d``; no stride is that of ``kernel_size``.
        ceil_mode: let the last window reach over the border.
        exact: refuse settings that lose equivariance; False lets them pass.
    """

    def __init__(
        self,
        group: Group,
        kernel_size: Size,
        stride: Size | None,
        *,
        padding: Size,
        dilation: Size,
        ceil_mode: bool,
        exact: bool,
    ) -> None:
        super().__init__()
        check_flags("GroupMaxPool2d", ceil_mode=ceil_mode, exact=exact)
        steps, ends = kernel_size if stride is None else stride, pair(padding, "padding", 0)
        self.window = Window(group, kernel_size, stride=steps, padding=ends, dilation=dilation, exact=exact)
        self.window.check_pool()
        self.ceil_mode = ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        """Pool maps ``(B, C, G, H, W)``; return ``(B, C, G, H', W')``."""
        check_maps(x)
        self.window.check_size(x.shape[-2], x.shape[-1])
        (above, _), (left, _) = self.window.padding
        place = (self.window.kernel, self.window.stride, (above, left), self.window.dilation)
        pooled = F.max_pool2d(x.flatten(1, 2), *place, ceil_mode=self.ceil_mode)  # (b, c*g, h', w')
        return pooled.unflatten(1, x.shape[1:3])

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.window!r}, ceil_mode={self.ceil_mode}, exact={self.window.exact}"


class GroupCosetMaxPool(Recorded):
    """Take the maximum over the group axis.

    Equivariance:
        The pooled maps move with the plane and else stay: exact for every finite group. It is ``GroupPool`` for code
        that does not name the type of its maps.

    Shapes:
        Input: ``(B, C, G, H, W)``. Output: ``(B, C, H, W)``.

    Raises:
        ShapeError: in ``forward``, if the maps are not 5-D.

    Example:
        >>> import torch
        >>> GroupCosetMaxPool()(torch.zeros(2, 8, 3, 5, 5)).shape
        torch.Size([2, 8, 5, 5])

    Source:
        Cohen and Welling, Group Equivariant Convolutional Networks (ICML 2016), section 6.3.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Pool maps."""
        check_maps(x)
        return x.amax(2)


def check_maps(x: Tensor) -> None:
    """Raise ShapeError unless ``x`` has five axes."""
    if x.dim() != 5:
        raise ShapeError(f"maps of a group are (B, C, G, H, W); got {tuple(x.shape)}")
