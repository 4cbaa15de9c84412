"""The layers of GrouPy and SepGroupPy, by their names and arguments."""

from torch import nn

from equiconv.groups import P4, P4M, FieldType
from equiconv.interop.pooling import WindowMaxPool
from equiconv.layers import GroupConv2d
from equiconv.layers.layer import check_flags
from equiconv.layers.window import Size

__all__ = ["GroupMaxPool2d", "P4ConvP4", "P4ConvZ2", "P4MConvP4M", "P4MConvZ2"]


def P4ConvZ2(
    in_channels: int,
    out_channels: int,
    kernel_size: Size,
    stride: Size = 1,
    padding: Size | str = 0,
    bias: bool = True,
    *,
    exact: bool = True,
) -> GroupConv2d:
    """Return the ``GroupConv2d`` that lifts the channels of images to ``P4()``.

    Equivariance:
        ``conv(in_type.transform(x, g)) == out_type.transform(conv(x), g)`` for every element of the group: exact. A
        stride that does not fit the image symmetrically raises ExactnessError; GrouPy and SepGroupPy lose equivariance
        there and say nothing.

    Args:
        in_channels: the channels of the image, which no element mixes.
        out_channels: the number of fields that go out.
        kernel_size: rows and columns of the kernel, the same for both; even ones too, also on ``P4M()``.
        stride: steps of the window, in pixels.
        padding: pixels on each side, or ``"same"``.
        bias: learn one number for each field.
        exact: refuse settings that lose equivariance; False lets them pass, as in the published networks.

    Returns:
        A layer that takes ``(B, in_channels, H, W)`` and returns ``(B, out_channels, 4, H', W')``. Its parameters are
        drawn as those of ``GroupConv2d`` are.

    Raises:
        EquiconvError: what ``GroupConv2d`` raises.

    Example:
        >>> import torch
        >>> conv = P4ConvZ2(in_channels=3, out_channels=64, kernel_size=3, stride=1, padding=1, bias=False)
        >>> conv(torch.zeros(10, 3, 9, 9)).shape
        torch.Size([10, 64, 4, 9, 9])

    Source:
        Cohen and Welling, Group Equivariant Convolutional Networks (ICML 2016), equation 10.
    """
    return conv(FieldType(P4().trivial, in_channels), out_channels, kernel_size, stride, padding, bias, exact)


def P4ConvP4(
    in_channels: int,
    out_channels: int,
    kernel_size: Size,
    stride: Size = 1,
    padding: Size | str = 0,
    bias: bool = True,
    *,
    exact: bool = True,
) -> GroupConv2d:
    """Return the ``GroupConv2d`` between maps of ``P4()``, ``(B, channels, 4, H, W)``.

    Equivariance, arguments and errors are those of ``P4ConvZ2``.

    Example:
        >>> import torch
        >>> P4ConvP4(in_channels=64, out_channels=64, kernel_size=3, padding=1)(torch.zeros(10, 64, 4, 9, 9)).shape
        torch.Size([10, 64, 4, 9, 9])

    Source:
        Cohen and Welling, Group Equivariant Convolutional Networks (ICML 2016), equation 11.
    """
    return conv(FieldType(P4().regular, in_channels), out_channels, kernel_size, stride, padding, bias, exact)


def P4MConvZ2(
    in_channels: int,
    out_channels: int,
    kernel_size: Size,
    stride: Size = 1,
    padding: Size | str = 0,
    bias: bool = True,
    *,
    exact: bool = True,
) -> GroupConv2d:
    """Return the ``GroupConv2d`` that lifts the channels of images to ``P4M()``, ``(B, channels, 8, H, W)``.

    Equivariance, arguments and errors are those of ``P4ConvZ2``.

    Example:
        >>> import torch
        >>> P4MConvZ2(3, 16, 3, padding=1)(torch.zeros(2, 3, 9, 9)).shape
        torch.Size([2, 16, 8, 9, 9])

    Source:
        Cohen and Welling, Group Equivariant Convolutional Networks (ICML 2016), equation 10.
    """
    return conv(FieldType(P4M().trivial, in_channels), out_channels, kernel_size, stride, padding, bias, exact)


def P4MConvP4M(
    in_channels: int,
    out_channels: int,
    kernel_size: Size,
    stride: Size = 1,
    padding: Size | str = 0,
    bias: bool = True,
    *,
    exact: bool = True,
) -> GroupConv2d:
    """Return the ``GroupConv2d`` between maps of ``P4M()``, ``(B, channels, 8, H, W)``.

    Equivariance, arguments and errors are those of ``P4ConvZ2``.

    Example:
        >>> import torch
        >>> P4MConvP4M(16, 16, 3, padding=1)(torch.zeros(2, 16, 8, 9, 9)).shape
        torch.Size([2, 16, 8, 9, 9])

    Source:
        Cohen and Welling, Group Equivariant Convolutional Networks (ICML 2016), equation 11.
    """
    return conv(FieldType(P4M().regular, in_channels), out_channels, kernel_size, stride, padding, bias, exact)


def conv(
    in_type: FieldType,
    out_channels: int,
    kernel_size: Size,
    stride: Size,
    padding: Size | str,
    bias: bool,
    exact: bool,
    factorization: str | None = None,
    separable: bool = True,
) -> GroupConv2d:
    """Return the layer into regular fields that the arguments of all these functions mean."""
    check_flags("a separable convolution", separable=separable)
    return GroupConv2d(
        in_type,
        FieldType(in_type.group.regular, out_channels),
        kernel_size,
        stride=stride,
        padding=padding,
        bias=bias,
        factorization=factorization,
        exact=exact,
        execution="auto" if separable else "dense",
    )


def GroupMaxPool2d(
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    *,
    dilation: Size = 1,
    ceil_mode: bool = False,
    exact: bool = True,
) -> nn.Module:
    """Return a layer that takes maxima over windows of the plane, for each element of the group alone.

    Equivariance:
        Exact for ``P4()`` and ``P4M()`` where windows lie symmetrically on the image, as those of 2x2 pixels do on even
        sizes; ExactnessError is raised where they do not. It is ``SpatialPool`` for code that does not name the type of
        its maps.

    Args:
        kernel_size: rows and columns of the window.
        stride: its steps; None takes ``kernel_size``.
        padding: pixels on each side, which never win.
        dilation: distance of the pixels in the window.
        ceil_mode: let the last window reach over the border, which is exact only where it does not.
        exact: refuse settings that lose equivariance; False lets them pass.

    Returns:
        A layer that takes ``(B, C, G, H, W)`` and returns ``(B, C, G, H', W')``. It has no ``return_indices``, with
        which SepGroupPy fails.

    Raises:
        ShapeError: if a size cannot be used, or in ``forward`` if the maps are not 5-D or too small.
        ExactnessError: if the settings or (in ``forward``) the image size would lose equivariance.

    Example:
        >>> import torch
        >>> GroupMaxPool2d(2)(torch.zeros(2, 8, 4, 6, 6)).shape
        torch.Size([2, 8, 4, 3, 3])
    """
    return WindowMaxPool(
        P4M(), kernel_size, stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode, exact=exact
    )
