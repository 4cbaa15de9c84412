"""The loss of implicit equivariance."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from equiconv.errors import FieldTypeError, GroupError, ShapeError
from equiconv.groups import Cyclic, Dihedral, FieldType, Group
from equiconv.groups.laws import Floats, Ints
from equiconv.groups.moves import INTERPOLATIONS
from equiconv.groups.values import is_number
from equiconv.layers.layer import check_flags, shown
from equiconv.losses.distance import mean_within, permuted_distance, relative, spread
from equiconv.taps import Carried, Layers, Said, Tap, Taps, Which, by_layer, carried_by, listed

__all__ = ["EquivarianceLoss", "Pair", "ien_draw"]


class Pair(NamedTuple):
    """Hold what a network made of images and of moved ones.

    Args:
        output: of both, ``(2 B, ...)``; that of the images as they are comes first.
        penalty: beta times the sum of the errors.
        errors: of each layer, by name, without gradients.
    """

    output: Tensor
    penalty: Tensor
    errors: dict[str, Tensor]


class EquivarianceLoss:
    """Penalize the layers of any network for every element of a group under which they are not equivariant.

    Each image is moved by an element that is drawn for it. The network runs on the images and the moved ones together,
    and the maps of the layers that are listened to are compared: of an image x moved by g, ``f(x)`` with
    ``g^-1 f(g x)``. The network is not changed, and may be any module.

    What a map is asked to carry says how g moves it. If nothing else is said that is the type that a layer of equiconv
    has, and for a layer of any other network that all its channels are invariant: they move with the plane only.
    Channels that are ``ChannelMaxPool``-ed before are asked for less: that groups of channels hold one feature in
    several poses.

    Equivariance:
        Exact on the pixel grid: the loss is 0, up to rounding, for maps that move as they should under elements that
        send pixels to pixels, under shifts of the hue, and under shifts of saturation and brightness as far as no color
        is moved beyond an end of its interval. Other angles are interpolated, the map of an image as its image: there
        ``f(g x)`` is compared with ``g f(x)``, and only where that comes from within the map, so that a network which
        keeps the pixels as they are has no loss either. A map without such a part, of two rows or columns, has none.

    Args:
        group: the group, finite, or continuous: then its elements are those in its tables.
        layers: the modules: names as of ``model.named_modules()``, classes, or several of these.
        beta: the weight of the loss, at least 0. The errors of all layers are summed: a large weight is fulfilled by
            kernels that look the same from all sides, and leaves little to learn with. Published: 1, not normalized.
        carried: what the maps carry: a field type, or a function, such as ``ChannelMaxPool(4)`` or a ``GroupPool``,
            that makes invariant channels of a map, or fields if it knows their type as ``out_type``; or these by names
            and classes of layers. None asks the layers, as told above.
        normalized: divide the squared error of a layer by the variance of its channels, so that smaller features do not
            make it smaller: 0 is equivariant, 2 unrelated; a map that does not vary counts as 1. False takes the mean
            squared error, as published.
        draw: the probabilities of the elements, or numbers in proportion to these, shape ``(order,)``; None draws all
            alike. ``[0, 1, 1, 1]`` leaves out the identity, ``ien_draw(group)`` is as published.
        interpolation: of angles off the grid, ``"bicubic"``; ``"bilinear"``, which takes less time; or ``"nearest"``,
            as published: maps are pulled back, zeros from outside count, and the loss has a floor.

    Raises:
        GroupError: if the group is none, or the draw has not a number for each element.
        FieldTypeError: if another argument is not as above.

    Example:
        >>> from equiconv.groups import P4
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(392, 10))
        >>> equivariance = EquivarianceLoss(P4(), layers=nn.Conv2d)
        >>> images, labels = torch.rand(4, 3, 9, 9), torch.arange(4)
        >>> logits, penalty, errors = equivariance(model, images)
        >>> loss = nn.functional.cross_entropy(logits, labels.repeat(2)) + penalty

    Source:
        Khetan et al., Implicit Equivariance in Convolutional Networks (arXiv 2111.14157), for turns by 90 and 45
        degrees, and flips.
    """

    def __init__(
        self,
        group: Group,
        layers: Layers,
        beta: float = 0.01,
        *,
        carried: Carried | Mapping[Which, Carried] | None = None,
        normalized: bool = True,
        draw: ArrayLike | None = None,
        interpolation: str = "bicubic",
    ) -> None:
        if not isinstance(group, Group):
            raise GroupError(f"EquivarianceLoss: the group is one, such as HueShift(3) * P4(); got {group!r}")
        if not is_number(beta, 0, np.inf):
            raise FieldTypeError(f"EquivarianceLoss: beta is a number, at least 0; got {beta!r}")
        check_flags("EquivarianceLoss", normalized=normalized)
        if interpolation not in INTERPOLATIONS:
            known = ", ".join(map(repr, INTERPOLATIONS))
            raise FieldTypeError(f"EquivarianceLoss: interpolation is one of {known}; got {interpolation!r}")
        self.group, self.layers, self.beta = group, listed(layers), beta
        self.carried = by_layer(carried)
        self.normalized, self.interpolation = normalized, interpolation
        self.probabilities = _probabilities(group, draw)

    def __call__(self, model: nn.Module, images: Tensor) -> Pair:
        """Run a network on images and on moved ones.

        Args:
            model: the network, in the mode that it is in.
            images: ``(B, C, H, W)``; square if an element exchanges rows and columns.

        Returns:
            The output for both, ``(2 B, ...)``, the penalty to add to the loss, and the error of each layer.

        Raises:
            FieldTypeError: if a layer is not there, or did not run, or it is not known how its map should move.
            ShapeError: if there are no images, the group does not move such, or a map is not of its type.
        """
        elements = self.draw(len(images))
        with Taps(model, self.layers) as taps:
            output = model(self.doubled(images, elements))
        return Pair(output, *self.compare(taps, elements))

    def draw(self, count: int) -> Ints:
        """Draw an element for each of some images, by torch's random numbers of the CPU; returns ``(count,)``."""
        if count < 1:
            raise ShapeError(f"EquivarianceLoss: a batch has at least one image; got {count}")
        return torch.multinomial(self.probabilities, count, replacement=True).numpy()

    def doubled(self, images: Tensor, elements: Ints) -> Tensor:
        """Return images and, behind them, the images moved each by its element, ``(2 B, C, H, W)``."""
        return torch.cat([images, self.group.transform_images(images, elements, interpolation=self.interpolation)])

    def compare(self, taps: Taps, elements: Ints) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the penalty, and the error of each layer.

        Args:
            taps: what has listened to a network that ran on the images that ``doubled`` returns.
            elements: the elements that moved them.

        Raises:
            FieldTypeError: if a layer did not run, or it is not known how its map should move.
            ShapeError: if a map is not of its type.
        """
        if silent := taps.silent:
            raise FieldTypeError(
                f"EquivarianceLoss: {', '.join(silent)} did not run, or returned no tensor: name layers that do. A "
                "compiled network that is also trained without the loss needs "
                "torch._dynamo.config.skip_nnmodule_hook_guards = False"
            )
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.beta > 0):
            carried = carried_by(self.carried, taps)
            errors = {tap.name: self._error(tap, said, elements) for tap, said in zip(taps.taps, carried, strict=True)}
        total = torch.stack(list(errors.values())).sum()
        penalty = self.beta * total if self.beta else torch.zeros_like(total)
        return penalty, {name: error.detach() for name, error in errors.items()}

    def _error(self, tap: Tap, carried: Said | None, elements: Ints) -> Tensor:
        tap.check()
        field_type, value = self._typed(tap, carried)
        if len(value) != 2 * len(elements):
            raise ShapeError(f"{tap.name}: a map of {len(value)} images; the loss ran {2 * len(elements)}")
        fields = field_type.fields(value)  # (2b, n, d, h, w)
        there, back = (field_type.sources(g, *fields.shape[-2:]) for g in (elements, self.group.inverse[elements]))
        if there is None or back is None:
            error, variance, square = self._interpolated(field_type, value, elements), *spread(fields)
        else:
            error, variance, square = permuted_distance(fields.flatten(-2), back, there)
        return relative(error, variance, square) if self.normalized else error

    def _interpolated(self, field_type: FieldType, value: Tensor, elements: Ints) -> Tensor:
        """Return the mean squared difference of maps that are moved by more than permuting their entries."""
        still, moved = value.chunk(2)
        if self.interpolation == "nearest":
            back = field_type.transform_each(moved, self.group.inverse[elements], interpolation="nearest")
            return nn.functional.mse_loss(back, still)
        there = field_type.transform_each(still, elements, interpolation=self.interpolation)
        return mean_within(moved - there, self.group.plane[elements])

    def _typed(self, tap: Tap, carried: Said | None) -> tuple[FieldType, Tensor]:
        """Return what a map is asked to carry, and the map as a tensor of that type, in single precision at least."""
        value = tap.value if tap.value.dtype == torch.float64 else tap.value.float()
        kind = tap.field_type if carried is None else carried
        if kind is not None and not isinstance(kind, FieldType):
            value, kind = kind(value), getattr(kind, "out_type", None)
        if kind is None:
            return _invariants(self.group, tap.name, value)
        return _on(self.group, kind, tap.name), _laid_out(kind, value)

    def __repr__(self) -> str:
        layers = [shown(which) for which in self.layers]
        carried = {shown(which): shown(what) for which, what in self.carried.items()}
        return (
            f"EquivarianceLoss({self.group!r}, {layers}, {self.beta}, carried={carried}, normalized={self.normalized}, "
            f"draw={self.probabilities.tolist()}, interpolation={self.interpolation!r})"
        )


def ien_draw(group: Group) -> Floats:
    """Return the published probabilities of the elements: of a turn, and then of no flip, of rows or of columns.

    Turns are drawn alike, and so are flips. Quarter turns include that by 0, turns of other groups do not. Under
    ``Dihedral(4)`` a rotation has the probability 1/12, and a reflection 2/12.

    Args:
        group: ``Cyclic(n)``, n > 1, or ``Dihedral(n)``, n even.

    Returns:
        The probabilities, ``(order,)``.

    Raises:
        GroupError: if the group is another one.

    Example:
        >>> from equiconv.groups import Dihedral
        >>> (12 * ien_draw(Dihedral(4))).tolist()
        [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0]
    """
    tilted = isinstance(group, Dihedral) and (group.n % 2 or group.axis)  # it does not flip rows and columns
    if not isinstance(group, Cyclic | Dihedral) or group.n == 1 or tilted:
        raise GroupError(f"the published draw is of Cyclic(n), n > 1, or Dihedral(n) with even n; got {group!r}")
    n = group.n
    turns = range(n) if n == 4 else range(1, n)
    flips = (n, n + n // 2) if isinstance(group, Dihedral) else ()  # of rows, and of columns
    drawn = [*turns] + [int(group.table[flip, turn]) for flip in flips for turn in turns]
    return np.bincount(drawn, minlength=group.order) / len(drawn)


def _probabilities(group: Group, draw: ArrayLike | None) -> Tensor:
    numbers = np.ones(group.order) if draw is None else np.asarray(draw, np.float64)
    if numbers.shape != (group.order,) or not np.isfinite(numbers).all() or (numbers < 0).any() or numbers.sum() == 0:
        raise GroupError(
            f"EquivarianceLoss: draw has a number for each of the {group.order} elements of {group!r}, at least 0 and "
            f"not all 0; got {draw!r}"
        )
    return torch.tensor(numbers / numbers.sum())


def _on(group: Group, field_type: FieldType, name: str) -> FieldType:
    """Return the type of the same maps for the group of the loss."""
    try:
        return field_type.under(group)
    except GroupError as error:
        raise FieldTypeError(
            f"{name} has maps of type {field_type!r}, which does not say how {group!r} moves them ({error}): say what "
            "they carry, such as carried=GroupPool(...), whose output is invariant"
        ) from None


def _invariants(group: Group, name: str, x: Tensor) -> tuple[FieldType, Tensor]:
    """Return the type of a map (B, C, H, W) or (B, C) whose channels are invariant, and the map with four axes."""
    if x.dim() not in (2, 4):
        raise FieldTypeError(
            f"{name} has a map of shape {tuple(x.shape)}: channels that are invariant have the shape (B, C, H, W) or "
            "(B, C); say what it carries, such as carried=16 * group.regular"
        )
    return x.shape[1] * group.trivial, x if x.dim() == 4 else x[..., None, None]


def _laid_out(kind: FieldType, x: Tensor) -> Tensor:
    """Return vectors (B, C) as maps, and flat maps of other networks in the layout of a type, if they may be of it."""
    maps = x[..., None, None] if x.dim() == 2 else x
    return kind.unflatten(maps) if maps.dim() == 4 and maps.shape[1] == kind.channels else maps
