"""Measuring equivariance."""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from scipy import ndimage
from torch import Tensor, nn

from equiconv.errors import FieldTypeError, GroupError
from equiconv.groups.field_type import FieldType, as_type
from equiconv.groups.representation import Representation
from equiconv.testing.moves import Move, move_image

__all__ = ["assert_equivariant", "equivariance_error"]

BLUR = 2.0  # pixels: the Gaussian width of test images for angles off the grid


def equivariance_error(
    module: Callable[[Tensor], Tensor],
    in_type: FieldType | Representation | None = None,
    out_type: FieldType | Representation | None = None,
    *,
    size: tuple[int, int] = (9, 9),
    dtype: torch.dtype = torch.float64,
    move: Move | None = None,
    seed: int = 0,
) -> float:
    """Measure how far a module is from equivariance, over every element of its group.

    A copy of the module runs in the mode (training or evaluation) that it is in.

    Args:
        module: a module or function from tensors of ``in_type`` to tensors of ``out_type``, or to ``(B, classes)``.
        in_type: the type of the input; None takes ``module.in_type``.
        out_type: the type of the output, on the same group, or on a subgroup whose elements are the ones tested; None
            takes ``module.out_type``.
        size: height and width of the test images.
        dtype: the precision in which the module runs.
        move: how ``(image, element)`` becomes the moved image, for groups that are not equiconv's own; also called
            with single-channel maps, of which only the plane moves.
        seed: the seed of the test images, and of whatever is random in the module.

    Returns:
        The largest ``|f(g x) - g f(x)| / |f(x) - f(x')|``, x and x' being different images. NaN if an output is not
        finite; infinity if the output is zero, constant, or the same for different inputs, so that nothing was tested.
        For groups off the pixel grid the test images are smooth, only the inscribed disk counts, and the interpolation
        of the images is part of the error; take a size of 33 or more.

    Raises:
        AssertionError: if an output has not the shape that the moved output would have.
        FieldTypeError: if a type is missing, or the group of the output is not that of the input nor in it.

    Example:
        >>> from equiconv.groups import P4
        >>> from equiconv.layers import GroupConv2d
        >>> equivariance_error(GroupConv2d(P4().image, 2 * P4().regular, 3)) < 1e-12
        True
    """
    errors = _errors(module, in_type, out_type, size, dtype, move, seed)
    return max(errors, key=lambda error: math.inf if math.isnan(error) else error)


def assert_equivariant(
    module: Callable[[Tensor], Tensor],
    in_type: FieldType | Representation | None = None,
    out_type: FieldType | Representation | None = None,
    *,
    size: tuple[int, int] = (9, 9),
    tolerance: float = 1e-10,
    dtype: torch.dtype = torch.float64,
    move: Move | None = None,
    seed: int = 0,
) -> None:
    """Raise AssertionError unless a module is equivariant under every element of its group.

    Args:
        module: a module or function from tensors of ``in_type`` to tensors of ``out_type``, or to ``(B, classes)``.
        in_type: the type of the input; None takes ``module.in_type``.
        out_type: the type of the output, on the same group, or on a subgroup whose elements are the ones tested; None
            takes ``module.out_type``.
        size: height and width of the test images.
        tolerance: the largest relative error allowed.
        dtype: the precision in which the module runs.
        move: how ``(image, element)`` becomes the moved image, for groups that are not equiconv's own; also called
            with single-channel maps, of which only the plane moves.
        seed: the seed of the test images, and of whatever is random in the module.

    Raises:
        AssertionError: if the error of an element is not below the tolerance, an output is not finite, or the output is
            zero, constant, or the same for different inputs.
        FieldTypeError: if a type is missing, or the group of the output is not that of the input nor in it.

    Example:
        >>> from equiconv.groups import HueShift
        >>> from equiconv.layers import GroupConv2d
        >>> assert_equivariant(GroupConv2d(HueShift(3).image, 2 * HueShift(3).regular, 3))
    """
    errors = _errors(module, in_type, out_type, size, dtype, move, seed)
    for g, error in enumerate(errors):
        if not error < tolerance:
            what = {"nan": "is not finite", "inf": "is zero, constant or blind to its input"}.get(str(error))
            reason = f"output {what}" if what else f"relative error {error:.3g}, tolerance {tolerance:g}"
            raise AssertionError(f"not equivariant under element {g} of {len(errors)}: {reason}")


def _errors(
    module: Callable[[Tensor], Tensor],
    in_type: FieldType | Representation | None,
    out_type: FieldType | Representation | None,
    size: tuple[int, int],
    dtype: torch.dtype,
    move: Move | None,
    seed: int,
) -> list[float]:
    """Return the error under each element."""
    source, target = _types(module, in_type, out_type)
    group = source.group
    mover = move or (lambda x, g: move_image(group, x, g))
    run = copy.deepcopy(module).to(dtype) if isinstance(module, nn.Module) else module
    device = device_of(module)
    generator = torch.Generator().manual_seed(seed)
    fields = torch.randn(2, source.n, source.fiber, *size, generator=generator, dtype=torch.float64)
    if not source.representation.is_linear:
        fields = torch.special.ndtr(fields)  # uniform between 0 and 1: colors that can be shifted

    if not group.keeps_grid:  # other angles are interpolated, which white noise does not bear
        fields = torch.from_numpy(ndimage.gaussian_filter(fields.numpy(), BLUR, axes=(-2, -1)))

    def output(g: int) -> Tensor:
        x = moved_fields(source, fields, g, mover).to(dtype)
        with seeded(seed, device), torch.no_grad():
            return run(source.like(x).to(device)).cpu().double()

    still = output(0)
    return [_difference(output(g), still, target, g, mover) for g in range(group.order)]


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draw random numbers from a seed, on the CPU and on a device, and go on as if nothing was drawn: a context."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        if device.type == "cpu":
            torch.default_generator.manual_seed(seed)  # torch.manual_seed asks for all kinds of devices: milliseconds
        else:
            torch.manual_seed(seed)
        yield


def device_of(module: object) -> torch.device:
    """Return where a module is: the device of its first parameter or buffer."""
    held = [*module.parameters(), *module.buffers()] if isinstance(module, nn.Module) else []
    return held[0].device if held else torch.device("cpu")


def _types(
    module: Callable[[Tensor], Tensor],
    in_type: FieldType | Representation | None,
    out_type: FieldType | Representation | None,
) -> tuple[FieldType, FieldType]:
    in_type, out_type = in_type or getattr(module, "in_type", None), out_type or getattr(module, "out_type", None)
    if in_type is None or out_type is None:
        raise FieldTypeError("say in_type and out_type: this module does not know them")
    source, target = as_type(in_type), as_type(out_type)
    if source.group == target.group:
        return source, target
    try:
        return source.restrict(target.group), target
    except GroupError:
        raise FieldTypeError(
            f"one group is tested at a time; got {source!r} and {target!r}: restrict one, or pass out_type on "
            f"{source.group!r} or a subgroup of it"
        ) from None


def moved_fields(field_type: FieldType, fields: Tensor, g: int, mover: Move) -> Tensor:
    """Return fields (b, n, d, h, w) moved by g: images by the mover, others by rho(g) and their pixels by the mover."""
    if field_type.representation == field_type.group.image:
        return mover(fields, g)
    if field_type.representation.covers:
        shift = field_type.group.tone.shift[g].tolist()
        fields = fields + torch.tensor(shift, dtype=fields.dtype).view(3, 1, 1)
    rho = torch.tensor(field_type.representation.rho[g].tolist(), dtype=torch.float64)
    turned = torch.einsum("ij,bnjhw->bnihw", rho, fields)
    return mover(turned[..., None, :, :], g).squeeze(-3)  # entries one by one: only the plane moves


def _difference(moved: Tensor, still: Tensor, target: FieldType, g: int, mover: Move) -> float:
    """Return the relative distance of ``moved`` from ``still`` moved by g."""
    if (nothing := unmeasured(moved, still)) is not None:
        return nothing
    if still.dim() == 2:
        return distance(moved, still)
    expected = moved_fields(target, target.fields(still), g, mover)  # (b, n, d, h, w)
    found = target.fields(moved)
    if found.shape != expected.shape:
        raise AssertionError(
            f"not equivariant under element {g}: shape {tuple(found.shape)}, not {tuple(expected.shape)}"
        )
    return distance(found, expected, None if target.group.keeps_grid else disk(*expected.shape[-2:]))


def unmeasured(moved: Tensor, still: Tensor) -> float | None:
    """Return NaN or infinity if two outputs tell nothing of equivariance, as ``equivariance_error`` says; else None."""
    if not (moved.isfinite().all() and still.isfinite().all()):
        return math.nan
    norm = float(still.norm())
    spread = float((still - still.flatten()[0]).norm())
    variation = float((still - still.roll(1, 0)).norm())  # between the two inputs: what a bias adds does not count
    return math.inf if norm == 0 or spread <= 1e-9 * norm or variation <= 1e-9 * norm else None


def distance(found: Tensor, expected: Tensor, weights: Tensor | None = None) -> float:
    """Return the distance of two outputs, relative to that between the outputs for different inputs.

    Args:
        found: what came, ``(b, ...)``.
        expected: what it should be.
        weights: of the pixels; None counts all alike.
    """
    scale = 1.0 if weights is None else weights
    return float(((found - expected) * scale).norm() / ((expected - expected.roll(1, 0)) * scale).norm())


def disk(height: int, width: int) -> Tensor:
    """Return 1 for the pixels that stay within an image when it is turned, else 0; 1 for all if it is that small."""
    side = max(min(height, width) - 1, 1)
    y, x = (torch.arange(1 - size, size, 2) / side for size in (height, width))
    inside = y[:, None] ** 2 + x**2 <= 0.8
    return (inside if inside.any() else torch.ones_like(inside)).double()
