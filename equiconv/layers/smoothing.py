"""Layers that filter the plane: the same for every entry, and the same from all sides."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from equiconv.errors import FieldTypeError, ShapeError
from equiconv.groups.field_type import FieldType
from equiconv.groups.laws import Floats
from equiconv.groups.representation import Representation
from equiconv.groups.values import integer, is_number
from equiconv.layers.layer import FieldLayer, in_format_of
from equiconv.layers.window import PADDING_MODES, Size, Window

__all__ = ["Antialiased", "BlurPool", "DiskMask"]

STEEPEST = 100.0  # of the Kaiser window
WIDEST = 1e3  # pixels


class BlurPool(FieldLayer):
    """Blur every entry of the fields with a Gaussian, and keep every ``stride``-th pixel.

    Equivariance:
        Exact on the pixel grid: ``pool(in_type.transform(x, g)) == in_type.transform(pool(x), g)`` where the windows
        lie symmetrically on the image; ExactnessError is raised where they do not. A Gaussian is the same from all
        sides, and other angles are approximate: regular fields of ``Cyclic(8)``, with sigma 1 and stride 2, have an
        error of 0.008.

    Args:
        in_type: any field type.
        sigma: the standard deviation of the Gaussian in pixels.
        stride: steps of the window in pixels.
        kernel_size: rows and columns of the window; None takes the odd size that reaches 3 sigma. On even sizes, an
            even one is exact with stride 2.
        padding: pixels added on each side; None takes ``(kernel_size - 1) // 2``.
        padding_mode: ``"replicate"``, ``"zeros"``, ``"reflect"`` or ``"circular"``.
        exact: refuse settings that lose equivariance; False lets them pass.

    Shapes:
        Input: a tensor of ``in_type``, ``(B, n, d, H, W)``. Output: the same with H' = (H + 2 padding - kernel_size)
        // stride + 1: with the defaults the half, rounded up.

    An antialiased maximum is ``SpatialPool`` with stride 1, and this layer behind it.

    Raises:
        ShapeError: if a size or sigma cannot be used.
        ExactnessError: if the settings or (in ``forward``) the image size would lose equivariance.

    Example:
        >>> import torch
        >>> from equiconv.groups import P4
        >>> from equiconv.layers import SpatialPool
        >>> kind = 4 * P4().regular
        >>> pool = nn.Sequential(SpatialPool(kind, 3, stride=1, padding=1), BlurPool(kind, sigma=0.6))
        >>> pool(torch.zeros(1, 4, 4, 9, 9)).shape
        torch.Size([1, 4, 4, 5, 5])

    Source:
        Zhang, Making Convolutional Networks Shift-Invariant Again (ICML 2019).
    """

    blur: Tensor

    def __init__(
        self,
        in_type: FieldType | Representation,
        *,
        sigma: float,
        stride: Size = 2,
        kernel_size: int | None = None,
        padding: Size | None = None,
        padding_mode: str = "replicate",
        exact: bool = True,
    ) -> None:
        super().__init__(in_type, in_type)
        if not is_number(sigma, 0, WIDEST) or sigma == 0:
            raise ShapeError(f"BlurPool: sigma is a number of pixels, 0 < sigma <= {WIDEST:g}; got {sigma!r}")
        if padding_mode not in PADDING_MODES:
            raise ShapeError(f"padding_mode is one of {', '.join(PADDING_MODES)}; got {padding_mode!r}")
        side = 2 * int(np.ceil(3 * sigma)) + 1 if kernel_size is None else integer(kernel_size)
        if side is None or side < 1:
            raise ShapeError(f"BlurPool: kernel_size is an integer >= 1, or None; got {kernel_size!r}")
        ends = (side - 1) // 2 if padding is None else padding
        self.window = Window(self.in_type.group, side, stride=stride, padding=ends, dilation=1, exact=exact)
        self.sigma, self.padding_mode = sigma, padding_mode
        exponents = ((np.arange(side) - (side - 1) / 2) / sigma) ** 2
        line = np.exp(-0.5 * (exponents - exponents.min()))
        blur = np.outer(line, line)
        self.add_table("blur", (blur / blur.sum())[None, None])  # (1, 1, k, k)

    def forward(self, x: Tensor) -> Tensor:
        """Pool a tensor of ``in_type``; return a tensor of the same type."""
        x = self.in_type.flatten(x)  # (b, n*d, h, w)
        self.settle(x.device)
        channels = self.in_type.channels
        y = self.window.convolve(x, self.blur.expand(channels, -1, -1, -1), None, self.padding_mode, channels)
        return self.out_type.unflatten(in_format_of(y, x))

    def extra_repr(self) -> str:
        """Return the arguments."""
        window = self.window
        return (
            f"{self.in_type!r}, sigma={self.sigma}, stride={window.stride}, kernel_size={window.kernel[0]}, "
            f"padding={window.shown_padding!r}, padding_mode={self.padding_mode!r}, exact={window.exact}"
        )


class DiskMask(FieldLayer):
    """Fade out what lies outside a disk: the corners of an image, which leave it when it is turned.

    Pixels within the radius R = (1 - margin) (min(H, W) - 1) / 2 about the center stay; farther ones, at the distance
    r, are multiplied by exp(-(r - R)^2 / (2 sigma^2)).

    Equivariance:
        Exact on the pixel grid: ``mask(in_type.transform(x, g)) == in_type.transform(mask(x), g)`` for every type. At
        other angles the interpolation of the image is not: images under ``Cyclic(8)`` have an error of 0.0001.

    Args:
        in_type: any field type; images only of groups that are linear, or shift scaled colors to scaled ones.
        margin: the part of the radius that is faded out too, within [0, 1].
        sigma: the width of the border in pixels.

    Raises:
        FieldTypeError: if a color that is made darker is shifted to another one.
        ShapeError: if margin or sigma are out of range.

    Example:
        >>> import torch
        >>> from equiconv.groups import Cyclic
        >>> mask = DiskMask(Cyclic(8).image, sigma=0.5)
        >>> mask(torch.ones(1, 3, 5, 5))[0, 0, 2:, 2:]
        tensor([[1.0000, 1.0000, 1.0000],
                [1.0000, 1.0000, 0.8945],
                [1.0000, 0.8945, 0.2535]])

    Source:
        Weiler and Cesa, General E(2)-Equivariant Steerable CNNs (NeurIPS 2019), whose code masks its inputs.
    """

    takes_tones = True

    def __init__(self, in_type: FieldType | Representation, *, margin: float = 0.0, sigma: float = 2.0) -> None:
        super().__init__(in_type, in_type)
        tone = self.in_type.group.tone
        if not self.in_type.representation.is_linear and not tone.scales:
            raise FieldTypeError(
                f"DiskMask does not commute with how {self.in_type.group!r} shifts dark colors: mask behind the "
                "first layer, or not at all (SteerableArchitecture(..., masked=False))"
            )
        if not is_number(margin, 0, 1) or not is_number(sigma, 0, WIDEST) or sigma == 0:
            raise ShapeError(
                f"DiskMask: margin is a part of the radius, within [0, 1], and sigma a number of pixels, 0 < sigma <= "
                f"{WIDEST:g}; got {margin!r} and {sigma!r}"
            )
        self.margin, self.sigma = margin, sigma

    def forward(self, x: Tensor) -> Tensor:
        """Mask a tensor of ``in_type``; return a tensor of the same type."""
        self.in_type.check(x)
        height, width = x.shape[-2:]
        dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
        y, x_ = (torch.arange(n, dtype=dtype, device=x.device) - (n - 1) / 2 for n in (height, width))
        radius = (1 - self.margin) * (min(height, width) - 1) / 2
        outside = ((y[:, None] ** 2 + x_**2).sqrt() - radius).clamp(min=0)  # (h, w)
        return x * torch.exp(-0.5 * (outside / self.sigma) ** 2).to(x.dtype)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.in_type!r}, margin={self.margin}, sigma={self.sigma}"


class Antialiased(FieldLayer):
    """Apply a nonlinearity on a finer grid, and filter what the coarse one cannot hold.

    The plane is enlarged ``factor`` times by a windowed sinc, the layer applied, and the result filtered by the same
    sinc and sampled back. Beyond the outermost pixels images are continued by them. Constant fields are treated as by
    the layer alone.

    Equivariance:
        As its layers: exact on the pixel grid where the layer is, on every size. At other angles less aliases: ReLU on
        regular fields of ``Cyclic(8)``, in images with details of 2 pixels, has an error of 0.022, and in this layer an
        error of 0.009.

    Args:
        layer: a module with ``in_type`` and ``out_type`` that acts on every pixel alone: an activation.
        factor: how many times finer the grid is, an integer >= 2.
        radius: how far the sinc reaches, in pixels of the coarse grid, an integer >= 1.
        beta: the shape of its Kaiser window, >= 0; larger ones leak less and blur more.

    Shapes:
        Input: a tensor of ``layer.in_type``. Output: a tensor of ``layer.out_type`` of the same height and width.

    Raises:
        FieldTypeError: if the layer does not know its types.
        ShapeError: if factor, radius or beta cannot be used, or the layer changes height or width.

    Example:
        >>> import torch
        >>> from equiconv.groups import Cyclic
        >>> from equiconv.layers import Pointwise
        >>> Antialiased(Pointwise(2 * Cyclic(8).regular))(torch.randn(1, 2, 8, 9, 9)).shape
        torch.Size([1, 2, 8, 9, 9])

    Source:
        Karras et al., Alias-Free Generative Adversarial Networks (NeurIPS 2021), section 3.
    """

    sinc: Tensor

    def __init__(self, layer: nn.Module, *, factor: int = 2, radius: int = 3, beta: float = 6.0) -> None:
        in_type, out_type = getattr(layer, "in_type", None), getattr(layer, "out_type", None)
        if not isinstance(layer, nn.Module) or in_type is None or out_type is None:
            raise FieldTypeError(
                f"Antialiased wraps a layer with in_type and out_type, such as Pointwise; got {layer!r}"
            )
        super().__init__(in_type, out_type)
        self.factor, self.radius, self.beta = integer(factor) or 0, integer(radius) or 0, beta
        if self.factor < 2 or self.radius < 1 or not is_number(beta, 0, STEEPEST):
            raise ShapeError(
                "Antialiased: factor is an integer >= 2, radius an integer >= 1, beta a number from 0 to "
                f"{STEEPEST:g}; got "
                f"{factor!r}, {radius!r}, {beta!r}"
            )
        self.layer = layer
        self.margin = self.factor * (2 * self.radius - 1) // 2  # fine pixels beyond one coarse one, on each side
        self.add_table("sinc", _windowed_sinc(self.factor, self.radius, self.margin, beta)[None, None])

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to a tensor of ``in_type``; return a tensor of ``out_type``."""
        self.settle(x.device)
        flat = self.in_type.flatten(x)  # (b, n*d, h, w)
        fine = self._finer(self._finer(flat).mT).mT  # (b, n*d, factor*h, factor*w)
        y = self.out_type.flatten(self.layer(self.in_type.unflatten(fine)))
        if y.shape[-2:] != fine.shape[-2:]:
            raise ShapeError(
                f"Antialiased wraps a layer that keeps height and width; {self.layer!r} made "
                f"{tuple(y.shape[-2:])} of {tuple(fine.shape[-2:])}"
            )
        return self.out_type.unflatten(in_format_of(self._coarser(self._coarser(y).mT).mT, flat))

    def _finer(self, x: Tensor) -> Tensor:
        """Return ``x`` (b, c, h, w) as ``(b, c, h, factor*w)``."""
        wide = F.pad(x, (self.radius, self.radius, 0, 0), mode="replicate")
        cut, channels = self.margin + self.radius * self.factor, x.shape[1]
        sinc = self.sinc.expand(channels, -1, -1, -1)
        return F.conv_transpose2d(wide, sinc, stride=(1, self.factor), padding=(0, cut), groups=channels)

    def _coarser(self, x: Tensor) -> Tensor:
        """Return ``x`` (b, c, h, factor*w) as ``(b, c, h, w)``."""
        wide = F.pad(x, (self.margin, self.margin, 0, 0), mode="replicate")
        sinc = self.sinc.expand(x.shape[1], -1, -1, -1) / self.factor
        return F.conv2d(wide, sinc, stride=(1, self.factor), groups=x.shape[1])

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.layer!r}, factor={self.factor}, radius={self.radius}, beta={self.beta}"


def _windowed_sinc(factor: int, radius: int, margin: int, beta: float) -> Floats:
    """Return the filter ``(1, factor + 2 margin)``: what a coarse pixel gives to the fine ones around it."""
    steps = np.arange(-margin, factor + margin)
    places = (steps - (factor - 1) / 2) / factor  # of the fine pixels, in coarse ones
    values = np.sinc(places) * np.i0(beta * np.sqrt(1 - (places / radius) ** 2)) / np.i0(beta)
    sums = np.bincount(steps % factor, values)  # what a fine pixel gets of a constant
    values = values / sums[steps % factor]
    return ((values + values[::-1]) / 2)[None]
