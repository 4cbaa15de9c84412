"""The layers of CEConv, by its names and arguments."""

import torch
from torch import Tensor, nn

from equiconv.errors import FieldTypeError
from equiconv.groups import FieldType, HueShift, Trivial
from equiconv.groups.values import integer
from equiconv.interop.pooling import WindowMaxPool, check_maps
from equiconv.layers import ColorSpace, GroupConv2d
from equiconv.layers.layer import check_flags
from equiconv.layers.window import Size
from equiconv.recorded import Recorded

__all__ = ["CEConv2d", "GroupCosetAvgPool", "GroupMaxPool2d"]


def CEConv2d(
    in_rotations: int,
    out_rotations: int,
    in_channels: int,
    out_channels: int,
    kernel_size: Size,
    learnable: bool = False,
    separable: bool = True,
    *,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
    bias: bool = True,
    padding_mode: str = "zeros",
    device: torch.device | str | int | None = None,
    dtype: torch.dtype | None = None,
) -> GroupConv2d | nn.Sequential:
    """Return the ``GroupConv2d`` on hue shifts that these arguments of CEConv mean.

    Equivariance:
        With ``group = HueShift(out_rotations)``, ``conv(in_type.transform(x, g)) == out_type.transform(conv(x), g)``:
        exact, as long as shifted colors are not clipped. With ``learnable`` the shifts are those of a learned color
        space, and exact in it.

    Args:
        in_rotations: 1 for RGB images, else the hues of the maps that come in.
        out_rotations: the number of hues; that of ``in_rotations`` for maps.
        in_channels: 3 for images, else the number of fields.
        out_channels: the number of fields that go out.
        kernel_size: rows and columns of the kernel.
        learnable: put a ``ColorSpace`` in front, for images: the two in an ``nn.Sequential``. CEConv learns a matrix
            instead whose powers are no group, and is not equivariant then.
        separable: factorize the kernels between maps, ``factorization="g"``; those for images stay free.
        stride: as of ``nn.Conv2d``, which takes the place of CEConv's parent: so do the arguments behind it.
        padding: pixels on each side, or ``"same"``.
        dilation: distance of the kernel's pixels; CEConv takes it and does nothing.
        groups: blocks of channels that do not see each other; CEConv takes it and does nothing.
        bias: learn one number for each field.
        padding_mode: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``; CEConv pads zeros always.
        device: of the parameters.
        dtype: of the parameters.

    Returns:
        A layer that takes ``(B, 3, H, W)`` or ``(B, in_channels, in_rotations, H, W)`` and returns
        ``(B, out_channels, out_rotations, H', W')``. Its parameters are drawn as those of ``GroupConv2d`` are: a
        separable kernel of CEConv is far smaller in the beginning than others.

    Raises:
        FieldTypeError: if images do not have three channels, if maps of one number of hues are to become maps of
            another, or if colors are to be learned where there are none.
        EquiconvError: what ``GroupConv2d`` and ``HueShift`` raise.

    Example:
        >>> lift = CEConv2d(1, 3, 3, 32, 3, padding=1)
        >>> CEConv2d(3, 3, 32, 64, 3, padding=1)(lift(torch.zeros(2, 3, 8, 8))).shape
        torch.Size([2, 64, 3, 8, 8])

    Source:
        Lengyel et al., Color Equivariant Convolutional Networks (NeurIPS 2023).
    """
    check_flags("CEConv2d", learnable=learnable, separable=separable)
    in_type = _in_type(in_rotations, out_rotations, in_channels)
    if learnable and not in_type.flat:
        raise FieldTypeError("CEConv2d: learnable=True learns colors, and maps have none: only a layer for images can")
    conv = GroupConv2d(
        in_type,
        FieldType(in_type.group.regular, out_channels),
        kernel_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
        padding_mode=padding_mode,
        bias=bias,
        channel_groups=groups,
        factorization="g" if separable and in_rotations != 1 else None,
    )
    layer = nn.Sequential(ColorSpace(in_type), conv) if learnable else conv
    return layer.to(device=device, dtype=dtype)


def _in_type(in_rotations: int, out_rotations: int, in_channels: int) -> FieldType:
    """Return the type of images, or of maps; with one hue, three channels are an image and all others are maps."""
    group, hues = HueShift(out_rotations), integer(in_rotations)
    if hues == group.order and (hues > 1 or in_channels != 3):
        return FieldType(group.regular, in_channels)
    if hues != 1:
        raise FieldTypeError(
            f"CEConv2d: in_rotations is 1, for images, or out_rotations; got {in_rotations!r} and {out_rotations!r}, "
            "and no such layer is equivariant: change the group by SubgroupPool or Restrict"
        )
    if in_channels != 3:
        raise FieldTypeError(
            f"CEConv2d: hues are shifted in images of three channels, RGB; got in_channels={in_channels!r}: for "
            "several images use GroupConv2d(n * group.image, ...), for channels without color n * group.trivial"
        )
    return FieldType(group.image, 1)


def GroupMaxPool2d(
    kernel_size: Size, stride: Size | None = None, padding: Size = 0, *, dilation: Size = 1, ceil_mode: bool = False
) -> nn.Module:
    """Return a layer that takes maxima over windows of the plane, for each hue alone.

    Equivariance:
        Exact for hue shifts, which do not move the plane. It is ``SpatialPool`` for code that does not name the type of
        its maps.

    Args:
        kernel_size: rows and columns of the window.
        stride: its steps; None takes ``kernel_size``.
        padding: pixels on each side, which never win.
        dilation: distance of the pixels in the window.
        ceil_mode: let the last window reach over the border.

    Returns:
        A layer that takes ``(B, C, G, H, W)`` and returns ``(B, C, G, H', W')``. It has no ``return_indices``, with
        which CEConv fails.

    Raises:
        ShapeError: if a size cannot be used, or in ``forward`` if the maps are not 5-D or too small.

    Example:
        >>> GroupMaxPool2d(2)(torch.zeros(2, 8, 3, 6, 6)).shape
        torch.Size([2, 8, 3, 3, 3])
    """
    return WindowMaxPool(
        Trivial(), kernel_size, stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode, exact=True
    )


class GroupCosetAvgPool(Recorded):
    """Take the mean over the group axis.

    Equivariance:
        The pooled maps move with the plane and else stay: exact for every finite group. It is
        ``GroupPool(..., mode="mean")`` for code that does not name the type of its maps.

    Shapes:
        Input: ``(B, C, G, H, W)``. Output: ``(B, C, H, W)``.

    Raises:
        ShapeError: in ``forward``, if the maps are not 5-D.

    Example:
        >>> GroupCosetAvgPool()(torch.zeros(2, 8, 3, 5, 5)).shape
        torch.Size([2, 8, 5, 5])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Pool maps."""
        check_maps(x)
        return x.mean(2)
