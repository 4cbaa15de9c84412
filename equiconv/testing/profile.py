"""The error of equivariance of every layer of a network, under every element of a group and between them."""

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from equiconv.errors import FieldTypeError, ShapeError
from equiconv.groups import Group
from equiconv.groups.laws import Floats
from equiconv.taps import Carried, Layers, Tap, Taps, Which, by_layer, carried_by, unwrapped
from equiconv.testing.carried import Map
from equiconv.testing.equivariance import device_of, disk, distance, moved_fields, unmeasured
from equiconv.testing.moves import Move, hue_shifted, move_image, turned

__all__ = ["Profile", "Sweep", "equivariance_profile"]

EVERY = tuple(range(0, 360, 15))  # degrees

Compare = Callable[[Map, Tensor, Tensor], tuple[Tensor, Tensor]]


class Sweep(NamedTuple):
    """Hold the errors under moves by any angle.

    Args:
        degrees: the angles, ``(angles,)``.
        errors: ``(layers, angles)``.
    """

    degrees: Floats
    errors: Floats


@dataclass(frozen=True, eq=False)
class Profile:
    """Hold the error of every layer, as ``equivariance_profile`` measures it. ``print`` shows a table of the worst.

    Args:
        group: the group.
        layers: the names of the layers, in the order of their calls.
        elements: the errors under the elements of the group, ``(layers, order)``.
        angles: the errors when the image is turned; None if the group leaves the plane as it is.
        hues: the errors when its hue is shifted; None if the group does not do so.
    """

    group: Group
    layers: tuple[str, ...]
    elements: Floats
    angles: Sweep | None = None
    hues: Sweep | None = None

    @property
    def worst(self) -> Floats:
        """The largest error of each layer under the elements, ``(layers,)``; NaN if one is."""
        return self.elements.max(1)

    def as_dict(self) -> dict[str, object]:
        """Return names, numbers and lists of them, as JSON takes them where all errors are finite."""
        sweeps = {name: sweep for name in ("angles", "hues") if (sweep := getattr(self, name)) is not None}
        return {
            "group": repr(self.group),
            "layers": list(self.layers),
            "elements": self.elements.tolist(),
            **{name: {key: value.tolist() for key, value in sweep._asdict().items()} for name, sweep in sweeps.items()},
        }

    def __str__(self) -> str:
        columns = {f"{self.group!r}": self.worst}
        columns |= {"any angle": self.angles.errors.max(1)} if self.angles else {}
        columns |= {"any hue": self.hues.errors.max(1)} if self.hues else {}
        width = max(map(len, ("layer", *self.layers)))
        lines = [f"{'layer':{width}}  {'  '.join(f'{name:>9}' for name in columns)}"]
        for name, *errors in zip(self.layers, *columns.values(), strict=True):
            numbers = (f"{error:{max(9, len(title))}.1e}" for title, error in zip(columns, errors, strict=True))
            lines.append(f"{name:{width}}  {'  '.join(numbers)}")
        return "\n".join(lines)


def equivariance_profile(
    model: nn.Module,
    group: Group,
    images: Tensor,
    *,
    layers: Layers | None = None,
    carried: Carried | Mapping[Which, Carried] | None = None,
    angles: Sequence[float] = EVERY,
    hues: Sequence[float] = EVERY,
    dtype: torch.dtype | None = None,
    move: Move | None = None,
    seed: int = 0,
) -> Profile:
    """Measure how far every layer of a network is from equivariance to a group.

    The error of a layer is that of ``equivariance_error``, with the images given instead of noise: ``|f(g x) - g f(x)|
    / |f(x) - f(x')|``, f being the network up to this layer. How g moves f(x) is said by the field type of the layer,
    if it has one. A type on a larger group is restricted. One on some of the factors of the group leaves the others
    nothing to change. One on a subgroup says nothing of the elements outside: the norms of its fields over the fiber
    are compared, which no element changes. The channels of all other maps, such as those of an ordinary network, are
    taken for invariant: they move with the plane and else stay. Vectors ``(B, C)`` stay.

    By the angles and hues between the elements, a field of a finite group has no law to keep. Where turns, or shifts of
    the hue, in the group change it, its norm is compared. A field of a continuous group is moved by the angle itself.
    A curve is measured in one way at all of its angles, also at those of elements.

    If the group is off the pixel grid, and for all angles, only the inscribed disk counts, and the interpolation of
    images and maps is part of the error: the more so, the fewer pixels a map has. Maps of two rows or columns have no
    such disk; their means over the plane are compared.

    Args:
        model: the network. A copy of it runs, in the mode (training or evaluation) that it is in, without gradients.
        group: one of equiconv's groups, a product or a subgroup of them.
        images: ``(B, C, H, W)``, at least two that differ; C = 3 if the group moves colors. A quarter turn exchanges H
            and W.
        layers: which layers, as of ``equiconv.taps.Taps``; None takes all.
        carried: what the maps are made of: a field type, on this group or one whose types are understood as above; or a
            function, such as ``ChannelMaxPool(4)``, that is applied to them before they are compared; or these by names
            and classes of layers. None asks the layers.
        angles: by how many degrees the images are turned; nothing to leave this out.
        hues: by how many degrees their hue is shifted, in the space in which the group does so; nothing to leave this
            out.
        dtype: the precision in which the network runs; None takes its own.
        move: how ``(image, element)`` becomes the moved image, for groups that are not equiconv's own; also called
            with single-channel maps, of which only the plane moves.
        seed: the seed of whatever is random in the network; every run starts from it.

    Returns:
        The errors. NaN where an output is not finite; infinity where it is zero, constant or the same for different
        images, so that nothing was tested, or has another shape than the moved output.

    Raises:
        ShapeError: if the images are not as said, or a layer returns neither maps ``(B, ..., H, W)`` nor ``(B, C)``.
        FieldTypeError: if a layer is not in the network, or a type does not fit its map or the group.
        GroupError: if it is not known how the group moves an image.

    Example:
        >>> from equiconv.groups import P4
        >>> from equiconv.models import CNN
        >>> net = CNN(P4(), 8, classes=3, kernel_sizes=(3, 3, 3)).double().eval()
        >>> profile = equivariance_profile(net, P4(), torch.rand(2, 3, 14, 14), layers=["features.0", "head"])
        >>> profile.layers, profile.elements.shape, bool(profile.worst.max() < 1e-10)
        (('features.0', 'head'), (2, 4), True)
        >>> bool((profile.angles.errors[:, 3] > 1e-2).all())  # at 45 degrees
        True
    """
    _check_images(images, group)
    mover = move or (lambda x, g: move_image(group, x, g))
    runner = _Runner(model, images, group, layers=layers, carried=carried, dtype=dtype, seed=seed)
    whole, space = group.keeps_grid, _hue_space(group)

    def element(g: int) -> Floats:
        def compare(of: Map, found: Tensor, still: Tensor) -> tuple[Tensor, Tensor]:
            if of.elements[g] < 0:
                found, still = _norms(found), _norms(still)
                return found, mover(still, g)
            return found, moved_fields(of.kind, still, int(of.elements[g]), lambda x, _: mover(x, g))

        return runner.errors(lambda x: mover(x, g), compare, whole=whole)

    def turn(degrees: float) -> Floats:
        return runner.errors(lambda x: turned(x, degrees), _between_turns(group, degrees), whole=False)

    def shift(degrees: float) -> Floats:
        angle = math.radians(degrees)
        return runner.errors(lambda x: hue_shifted(x, angle, space), _between_hues(group, angle, space), whole=True)

    elements = np.stack([element(g) for g in range(group.order)], 1)  # (layers, order)
    return Profile(
        group,
        runner.names,
        elements,
        _sweep(turn, angles) if group.moves_plane else None,
        _sweep(shift, hues) if space else None,
    )


def _sweep(measure: Callable[[float], Floats], degrees: Iterable[float]) -> Sweep | None:
    columns = {float(angle): measure(float(angle)) for angle in degrees}
    return Sweep(np.array(list(columns)), np.stack(list(columns.values()), 1)) if columns else None


def _check_images(images: Tensor, group: Group) -> None:
    fits = images.dim() == 4 and len(images) >= 2 and (images.shape[1] == 3 or not group.moves_color)
    if not fits or not images.is_floating_point():
        channels = "3" if group.moves_color else "C"
        raise ShapeError(
            f"images: for {group!r} a floating-point batch (B, {channels}, H, W) of two images or more, since errors "
            f"are relative to how outputs differ between images; got {tuple(images.shape)} of {images.dtype}"
        )


class _Runner:
    """Run a copy of a network on moved images, and compare its maps with those of the images as they are."""

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        group: Group,
        *,
        layers: Layers | None,
        carried: Carried | Mapping[Which, Carried] | None,
        dtype: torch.dtype | None,
        seed: int,
    ) -> None:
        self.model = copy.deepcopy(unwrapped(model))
        self.model = self.model.to(dtype) if dtype else self.model
        for module in self.model.modules():
            if getattr(module, "inplace", None) is True:
                vars(module)["inplace"] = False  # it would overwrite the map of the layer before it
        own = next((p.dtype for p in self.model.parameters() if p.is_floating_point()), images.dtype)
        self.device, self.dtype, self.seed = device_of(self.model), dtype or own, seed
        self.images = images.detach().cpu().double()
        self.taps = Taps(self.model, layers)
        taps = self.run(self.images)
        if not taps:
            raise FieldTypeError(f"layers: none of {', '.join(self.taps.wanted)} was called and returned a tensor")
        self.names = tuple(tap.name for tap in taps)
        carried_in_order = carried_by(by_layer(carried), self.taps)
        self.maps = [Map(tap, said, group) for tap, said in zip(taps, carried_in_order, strict=True)]
        self.still = [each.read(tap.value) for each, tap in zip(self.maps, taps, strict=True)]

    def run(self, images: Tensor) -> list[Tap]:
        """Return what the layers return."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), torch.no_grad(), self.taps:
            torch.manual_seed(self.seed)
            self.model(images.to(self.device, self.dtype))
        for tap in self.taps.taps:
            tap.check()
        return self.taps.taps

    def errors(self, move: Callable[[Tensor], Tensor], compare: Compare, *, whole: bool) -> Floats:
        """Return the error of each layer, ``(layers,)``.

        Args:
            move: of the images.
            compare: makes of a map's fields ``(b, n, d, h, w)`` for the moved and for the still images what should be
                equal.
            whole: whether all pixels count, or only the inscribed disk.
        """
        found = []
        for each, still, tap in zip(self.maps, self.still, self.run(move(self.images)), strict=True):
            moved, reference = each.read(tap.value).double(), still.double()
            if not whole and min(reference.shape[-2:]) == 2:  # no pixel stays within
                moved, reference = (fields.mean((-2, -1), keepdim=True) for fields in (moved, reference))
            found.append(_error(*compare(each, moved, reference), whole, unmeasured(moved, reference)))
        return np.array(found)


def _error(found: Tensor, expected: Tensor, whole: bool, nothing: float | None) -> float:
    if nothing is not None:
        return nothing
    if found.shape != expected.shape:
        return math.inf
    return distance(found, expected, None if whole else disk(*expected.shape[-2:]))


def _between_turns(group: Group, degrees: float) -> Compare:
    turns = (np.linalg.det(group.plane) > 0) & (abs(group.color - np.eye(3)).max((1, 2)) < 1e-9)

    def compare(of: Map, found: Tensor, still: Tensor) -> tuple[Tensor, Tensor]:
        representation = of.kind.representation
        if representation.group.max_frequency is not None:
            rho = torch.tensor(representation.at(math.radians(degrees)).tolist(), dtype=torch.float64)
            still = torch.einsum("ij,bnjhw->bnihw", rho, still)
        elif of.is_changed(turns):
            found, still = _norms(found), _norms(still)
        return found, turned(still, degrees)

    return compare


def _hue_space(group: Group) -> str:
    """Return the color space in which a group turns the hue; nothing if it does not."""
    if group.action.mixes_colors:
        return "rgb"
    turns = group.tone.model.hue if group.tone.shift[:, 0].any() else None
    return {None: "", "hexagon": "hsv", "lab": "lab"}[turns]


def _between_hues(group: Group, angle: float, space: str) -> Compare:
    shifts = abs(group.plane - np.eye(2)).max((1, 2)) < 1e-9

    def compare(of: Map, found: Tensor, still: Tensor) -> tuple[Tensor, Tensor]:
        if of.kind.representation == of.kind.group.image:
            return found, hue_shifted(still, angle, space)
        return (_norms(found), _norms(still)) if of.is_changed(shifts) else (found, still)

    return compare


def _norms(fields: Tensor) -> Tensor:
    return fields.norm(dim=2, keepdim=True)  # (b, n, 1, h, w)
