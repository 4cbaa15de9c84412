"""The separable layers of SepGroupPy, by their names and arguments."""

from equiconv.groups import P4, P4M, FieldType
from equiconv.interop.sepgroupy.layers import P4ConvZ2, P4MConvZ2, conv
from equiconv.layers import GroupConv2d
from equiconv.layers.window import Size

__all__ = [
    "gP4ConvP4",
    "gP4ConvZ2",
    "gP4MConvP4M",
    "gP4MConvZ2",
    "gcP4ConvP4",
    "gcP4ConvZ2",
    "gcP4MConvP4M",
    "gcP4MConvZ2",
]


def gP4ConvP4(
    in_channels: int,
    out_channels: int,
    kernel_size: Size,
    stride: Size = 1,
    padding: Size | str = 0,
    bias: bool = True,
    *,
    separable: bool = True,
    exact: bool = True,
) -> GroupConv2d:
    """Return the ``GroupConv2d`` between maps of ``P4()`` whose spatial kernels are one for each pair of fields.

    Equivariance:
        That of ``P4ConvZ2``: exact, and a stride that does not fit the image raises ExactnessError.

    Args:
        in_channels: the number of fields that come in.
        out_channels: the number of fields that go out.
        kernel_size: rows and columns of the kernel, the same for both.
        stride: steps of the window, in pixels.
        padding: pixels on each side, or ``"same"``.
        bias: learn one number for each field.
        separable: convolve part by part where that is expected to be faster, ``execution="auto"``; False convolves
            with the expanded kernel always, ``execution="dense"``. The function is the same.
        exact: refuse settings that lose equivariance; False lets them pass, as in the published networks.

    Returns:
        A layer of ``(B, channels, 4, H, W)``, with ``factorization="g"``. Its parameters are drawn as those of
        ``GroupConv2d`` are: a separable kernel of SepGroupPy is far smaller in the beginning than others.

    Raises:
        EquiconvError: what ``GroupConv2d`` raises.

    Example:
        >>> import torch
        >>> gP4ConvP4(8, 16, 3, padding=1)(torch.zeros(2, 8, 4, 9, 9)).shape
        torch.Size([2, 16, 4, 9, 9])

    Source:
        Lengyel and van Gemert, Exploiting Learned Symmetries in Group Equivariant Convolutions (ICIP 2021), equation
        5.
    """
    in_type = FieldType(P4().regular, in_channels)
    return conv(in_type, out_channels, kernel_size, stride, padding, bias, exact, "g", separable)


def gP4MConvP4M(
    in_channels: int,
    out_channels: int,
    kernel_size: Size,
    stride: Size = 1,
    padding: Size | str = 0,
    bias: bool = True,
    *,
    separable: bool = True,
    exact: bool = True,
) -> GroupConv2d:
    """Return the ``GroupConv2d`` between maps of ``P4M()`` whose spatial kernels are one for each pair of fields.

    Equivariance, arguments and errors are those of ``gP4ConvP4``, with maps ``(B, channels, 8, H, W)``.

    Example:
        >>> import torch
        >>> gP4MConvP4M(8, 16, 3, padding=1)(torch.zeros(2, 8, 8, 9, 9)).shape
        torch.Size([2, 16, 8, 9, 9])

    Source:
        Lengyel and van Gemert, Exploiting Learned Symmetries in Group Equivariant Convolutions (ICIP 2021), equation
        5.
    """
    in_type = FieldType(P4M().regular, in_channels)
    return conv(in_type, out_channels, kernel_size, stride, padding, bias, exact, "g", separable)


def gcP4ConvP4(
    in_channels: int,
    out_channels: int,
    kernel_size: Size,
    stride: Size = 1,
    padding: Size | str = 0,
    bias: bool = True,
    *,
    separable: bool = True,
    exact: bool = True,
) -> GroupConv2d:
    """Return the ``GroupConv2d`` between maps of ``P4()`` whose spatial kernels are one for each field that goes out.

    Equivariance, arguments and errors are those of ``gP4ConvP4``, with maps ``(B, channels, 4, H, W)``.

    Example:
        >>> import torch
        >>> gcP4ConvP4(8, 16, 3, padding=1)(torch.zeros(2, 8, 4, 9, 9)).shape
        torch.Size([2, 16, 4, 9, 9])

    Source:
        Lengyel and van Gemert, Exploiting Learned Symmetries in Group Equivariant Convolutions (ICIP 2021), equation
        6.
    """
    in_type = FieldType(P4().regular, in_channels)
    return conv(in_type, out_channels, kernel_size, stride, padding, bias, exact, "gc", separable)


def gcP4MConvP4M(
    in_channels: int,
    out_channels: int,
    kernel_size: Size,
    stride: Size = 1,
    padding: Size | str = 0,
    bias: bool = True,
    *,
    separable: bool = True,
    exact: bool = True,
) -> GroupConv2d:
    """Return the ``GroupConv2d`` between maps of ``P4M()`` whose spatial kernels are one for each field that goes out.

    Equivariance, arguments and errors are those of ``gP4ConvP4``, with maps ``(B, channels, 8, H, W)``.

    Example:
        >>> import torch
        >>> gcP4MConvP4M(8, 16, 3, padding=1)(torch.zeros(2, 8, 8, 9, 9)).shape
        torch.Size([2, 16, 8, 9, 9])

    Source:
        Lengyel and van Gemert, Exploiting Learned Symmetries in Group Equivariant Convolutions (ICIP 2021), equation
        6.
    """
    in_type = FieldType(P4M().regular, in_channels)
    return conv(in_type, out_channels, kernel_size, stride, padding, bias, exact, "gc", separable)


# images have no group axis, and nothing to separate
gP4ConvZ2 = gcP4ConvZ2 = P4ConvZ2  # noqa: N816 (the names are SepGroupPy's)
gP4MConvZ2 = gcP4MConvZ2 = P4MConvZ2  # noqa: N816
