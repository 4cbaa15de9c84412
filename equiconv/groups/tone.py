"""Tones: how elements shift colors along the axes of a color model."""

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from equiconv.errors import GroupError
from equiconv.groups.color_models import CIRCLE, HSV, INTERVAL, LINE, ColorModel
from equiconv.groups.laws import TOLERANCE, Floats, Ints, frozen
from equiconv.groups.moves import Bools
from equiconv.groups.values import WriteOnce

__all__ = ["Tone"]

PERIODS = {CIRCLE: 1.0, INTERVAL: 2.0, LINE: np.inf}


class Tone(WriteOnce):
    """Say by how much each element of a group shifts colors along the axes of a color model.

    An interval from 0 to 1, such as saturation, has no shifts that could be undone: they lead out of it. It is covered
    twice by a circle of period 2, on which shifts are a group; a point t of the circle is the color t, or 2 - t beyond
    1. A color starts on the first sheet, 0 to 1. Moved images are folded back: exact as long as no color is moved
    beyond an end of its interval, where it is reflected. Of coordinates on the cover shifts are exact always.

    Args:
        model: the coordinates of colors.
        shift: of each element, ``(order, 3)``: in turns along a circle, else in the unit of the axis.
        truncated: for each axis, whether it is cut off at its ends instead of covered; no group acts so.

    Raises:
        GroupError: if one of these is not as said.

    Example:
        >>> from equiconv.groups import Saturation
        >>> Saturation(4).tone.shift[:, 1].tolist()
        [0.0, 0.5, 1.0, 1.5]
    """

    def __init__(self, model: ColorModel, shift: Floats, *, truncated: Sequence[bool] = (False,) * 3) -> None:
        if not isinstance(model, ColorModel):
            raise GroupError(f"a tone is on a color model, such as HSV(); got {model!r}")
        if len(model.axes) != 3 or not set(model.axes) <= set(PERIODS):
            raise GroupError(f"a color model has three axes, each one of {', '.join(PERIODS)}; got {model.axes!r}")
        self.model = model
        self.periods = tuple(PERIODS[axis] for axis in model.axes)
        self.shift = _checked(shift)
        moved: list[bool] = np.asarray(self.shift.any(0)).tolist()
        cuts = [cut for cut in truncated if isinstance(cut, bool)]
        if len(cuts) != 3 or any(cut and axis != INTERVAL for cut, axis in zip(cuts, model.axes, strict=True)):
            raise GroupError(
                f"truncated is True or False for each of {model.axes}, only intervals have ends; got {truncated!r}"
            )
        self.truncated = tuple(cut and some for cut, some in zip(cuts, moved, strict=True))
        self.folds = tuple(axis == INTERVAL and some for axis, some in zip(model.axes, moved, strict=True))
        self.wraps = tuple(
            some and not cut and math.isfinite(period)
            for some, cut, period in zip(moved, self.truncated, self.periods, strict=True)
        )

    @classmethod
    def still(cls, order: int) -> "Tone":
        """Return the tone of elements that shift nothing."""
        return cls(HSV(), np.zeros((order, 3)))

    @cached_property
    def moves(self) -> bool:
        """Whether any element shifts colors."""
        return bool((self._apart(np.zeros(3)) > TOLERANCE).any())

    @cached_property
    def turns_hue_only(self) -> bool:
        """Whether nothing but the hue is shifted."""
        return self.model.hue is not None and not self.shift[:, 1:].any()

    @cached_property
    def scales(self) -> bool:
        """Whether colors that are made darker by one factor are shifted as the bright ones, but for the factor."""
        colors = torch.from_numpy(np.random.default_rng(0).random((64, 3, 1, 1)))
        return all(
            torch.allclose(self.transform(colors / 2, int(g)), self.transform(colors, int(g)) / 2, atol=1e-6)
            for g in self.distinct[0]
        )

    def check_law(self, table: Ints, generators: Sequence[int]) -> None:
        """Raise GroupError unless the shifts add up as a product table says; it is enough to ask the generators."""
        if len(self.shift) != len(table):
            raise GroupError(f"tone: expected a shift for each of {len(table)} elements; got {len(self.shift)}")
        for g in (0, *generators):
            if (self[table[g]]._apart(self.shift[g] + self.shift) > TOLERANCE).any():
                raise GroupError(
                    "tone: the shifts do not add up as the group multiplies: shift(a.b) = shift(a) + shift(b)"
                )

    def _apart(self, shift: Floats) -> Floats:
        """Return how far each shift is from another one, up to whole periods."""
        apart = np.abs(self.shift - shift)
        bounded = np.where(np.isinf(self.periods), 0, self.periods)
        return np.abs(apart - bounded * np.round(apart / np.array(self.periods)))

    def __getitem__(self, elements: Ints | Sequence[int]) -> "Tone":
        shift = self.shift[np.asarray(elements)]
        return Tone(self.model, shift, truncated=self.truncated)

    def joined(self, other: "Tone") -> "Tone":
        """Return the tone of shifting by both, element by element.

        Raises:
            GroupError: if they are on two color models; then they do not commute.
        """
        if not other.moves or not self.moves:
            return self if self.moves else other
        truncated = [a or b for a, b in zip(self.truncated, other.truncated, strict=True)]
        return Tone(self.shared_model(other), self.shift + other.shift, truncated=truncated)

    def shared_model(self, other: "Tone") -> ColorModel:
        """Return the color model along which both shift; models that agree on the hue share its shifts.

        Raises:
            GroupError: if there is none.
        """
        hues = self.model.hue == other.model.hue and (self.turns_hue_only or other.turns_hue_only)
        if self.moves and other.moves and self.model != other.model and not hues:
            raise GroupError(f"shifts along {self.model!r} and along {other.model!r} do not commute; take one model")
        return other.model if self.turns_hue_only and other.moves else self.model

    def alike(self, other: "Tone") -> Bools:
        """Tell which of n elements of another tone shift colors as which of these, ``(n, order)``."""
        if not self.is_comparable(other):
            mine, its = (np.asarray(tone._apart(np.zeros(3)).max(1) < TOLERANCE) for tone in (self, other))
            return np.asarray(its[:, None] & mine)
        near = [self._apart(shift).max(1) < TOLERANCE for shift in other.shift]
        return np.array(near, bool).reshape(len(other.shift), len(self.shift))

    def is_comparable(self, other: "Tone") -> bool:
        """Tell whether two tones shift along the same axes, in the same way."""
        hues = self.turns_hue_only and other.turns_hue_only and self.model.hue == other.model.hue
        return (self.model == other.model or hues) and self.truncated == other.truncated

    @cached_property
    def distinct(self) -> tuple[Ints, Ints]:
        """Elements with all different shifts ``(n,)``, the identity first, and as which each one shifts."""
        firsts = self.alike(self).argmax(1)
        return np.unique(firsts, return_inverse=True)

    def transform(self, x: Tensor, elements: int | Ints, *, on_cover: bool = False) -> Tensor:
        """Shift the colors of images, or their coordinates on the cover, ``(..., 3, H, W)``.

        Args:
            x: all of them; a batch ``(B, ..., 3, H, W)``, if each has an element of its own.
            elements: one, or one for each of the batch, ``(B,)``.
            on_cover: whether x are coordinates.
        """
        shift = self.shift[elements]
        if not shift.any():
            return x
        by = torch.tensor(shift.tolist(), dtype=torch.promote_types(x.dtype, torch.float32), device=x.device)
        by = by.view(*by.shape[:-1], *(1,) * (x.dim() - 2 - by.dim()), 3, 1, 1)  # (b or nothing, 1, ..., 3, 1, 1)
        return self.moved(x, by) if on_cover else self.shifted(x, by)

    def shifted(self, images: Tensor, shift: Tensor) -> Tensor:
        """Return images ``(..., 3, H, W)`` with their colors shifted by ``(..., 3, 1, 1)``, in float32 at least."""
        wide = images.to(torch.promote_types(images.dtype, torch.float32))
        return self.images(self.moved(self.model.of(wide), shift)).to(images.dtype)

    def moved(self, coordinates: Tensor, shift: Tensor) -> Tensor:
        """Return coordinates on the cover ``(..., 3, H, W)``, moved by ``(..., 3, 1, 1)``."""
        axes, moved = (coordinates + shift.to(coordinates.dtype)).unbind(-3), []
        for t, period, wraps in zip(axes, self.periods, self.wraps, strict=True):
            moved.append(t % period if wraps else t)
        return torch.stack(moved, -3)

    def images(self, coordinates: Tensor) -> Tensor:
        """Return the images that coordinates on the cover stand for, ``(..., 3, H, W)``."""
        folded = []
        for t, folds, cut in zip(coordinates.unbind(-3), self.folds, self.truncated, strict=True):
            within = t.clamp(0, 1) if cut else torch.minimum(t % 2, 2 - t % 2)
            folded.append(within if folds else t)
        return self.model.images(torch.stack(folded, -3))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tone):
            return NotImplemented
        if self is other:
            return True
        same = len(self.shift) == len(other.shift)
        if not same or not (self.moves or other.moves):
            return same
        return self.is_comparable(other) and bool((self._apart(other.shift) < TOLERANCE).all())

    def __hash__(self) -> int:
        return hash(self.shift.shape)

    def __repr__(self) -> str:
        return f"Tone({self.model!r}, {self.shift.tolist()!r}, truncated={self.truncated!r})"


def _checked(shift: object) -> Floats:
    """Return shifts ``(order, 3)``, or raise GroupError if they are none."""
    try:
        found: Floats = frozen(shift, np.float64)
    except (TypeError, ValueError):
        raise GroupError(f"shift: expected numbers, (order, 3); got {shift!r}") from None
    if found.ndim != 2 or found.shape[1] != 3 or not np.isfinite(found).all():
        raise GroupError(f"shift: expected finite numbers, (order, 3), one for each axis; got {shift!r}")
    return found
