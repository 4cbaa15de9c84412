"""How elements move images: the plane, the colors by matrices, and the colors along the axes of a color model."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from equiconv.errors import GroupError
from equiconv.groups import laws
from equiconv.groups.laws import Floats, Ints, frozen, snapped
from equiconv.groups.moves import Bools, is_signed_permutation, move_colors, move_plane, move_planes
from equiconv.groups.tone import Tone
from equiconv.groups.values import WriteOnce


class Action(WriteOnce):
    """Hold how each of n elements moves images: by its tone, then its color matrix, then its matrix on the plane.

    Args:
        plane: orthogonal matrices on (x right, y up), ``(n, 2, 2)``.
        color: orthogonal matrices on (R, G, B), ``(n, 3, 3)``.
        tone: the shifts along the axes of a color model.
    """

    def __init__(self, plane: Floats, color: Floats, tone: Tone) -> None:
        self.plane: Floats = frozen(snapped(np.asarray(plane, np.float64)), np.float64)
        self.color: Floats = frozen(snapped(np.asarray(color, np.float64)), np.float64)
        self.tone = tone

    @classmethod
    def still(cls, order: int) -> "Action":
        """Return the action of elements that leave images alone."""
        return cls(np.tile(np.eye(2), (order, 1, 1)), np.tile(np.eye(3), (order, 1, 1)), Tone.still(order))

    @cached_property
    def mixes_colors(self) -> bool:
        """Whether any element moves the colors by its matrix."""
        return not np.allclose(self.color, np.eye(3), atol=laws.TOLERANCE)

    @cached_property
    def moves_plane(self) -> bool:
        """Whether any element moves the plane."""
        return not np.allclose(self.plane, np.eye(2), atol=laws.TOLERANCE)

    @cached_property
    def keeps_grid(self) -> bool:
        """Whether all elements send pixels to pixels."""
        return is_signed_permutation(self.plane)

    def check_law(self, table: Ints, generators: tuple[int, ...]) -> None:
        """Raise GroupError unless the elements move images as a product table says."""
        for matrices, dim, what in ((self.plane, 2, "plane"), (self.color, 3, "color")):
            laws.check_action(table, generators, matrices, dim, what)
        self.tone.check_law(table, generators)
        if not self.commutes_with(self, generators, generators):
            raise GroupError("the color matrices and the shifts along the color model do not commute")

    def commutes_with(self, other: "Action", mine: Sequence[int], its: Sequence[int]) -> bool:
        """Tell whether elements move colors to the same ones whether those of another action come first or last.

        Colors that are moved by matrices, and others by shifts, are compared on a sample of them; matrices and matrices
        are by ``matrices_commute``, and shifts commute.
        """
        if not (self.mixes_colors and other.tone.moves) and not (other.mixes_colors and self.tone.moves):
            return True
        colors = torch.from_numpy(np.random.default_rng(0).random((64, 3, 1, 1)))
        pairs = [(self, a, other, b) for a in mine for b in its] + [(other, b, self, a) for a in mine for b in its]
        return all(
            torch.allclose(
                move_colors(by.tone.transform(colors, b), of.color[a]),
                by.tone.transform(move_colors(colors, of.color[a]), b),
                atol=1e-6,
            )
            for of, a, by, b in pairs
        )

    def __getitem__(self, elements: Ints | list[int]) -> "Action":
        return Action(self.plane[elements], self.color[elements], self.tone[elements])

    def __matmul__(self, other: "Action") -> "Action":
        return Action(self.plane @ other.plane, self.color @ other.color, self.tone.joined(other.tone))

    def alike(self, other: "Action") -> Bools:
        """Tell which of m other elements move images as which of these, ``(m, n)``."""
        apart = [abs(mine - its[:, None]) for mine, its in ((self.plane, other.plane), (self.color, other.color))]
        near = np.maximum(*(matrices.max((2, 3), initial=0) for matrices in apart)) < laws.TOLERANCE  # (m, n)
        return near & self.tone.alike(other.tone)

    def transform(self, x: Tensor, g: int) -> Tensor:
        """Move images ``(..., C, H, W)`` by element g."""
        x = self.tone.transform(x, g) if self.tone.moves else x
        x = move_colors(x, self.color[g]) if self.mixes_colors else x
        return move_plane(x, self.plane[g])

    def transform_each(self, x: Tensor, elements: Ints, interpolation: str) -> Tensor:
        """Move each of a batch of images ``(B, ..., C, H, W)`` by an element of its own, ``(B,)``."""
        x = self.tone.transform(x, elements) if self.tone.moves else x
        x = move_colors(x, self.color[elements]) if self.mixes_colors else x
        return move_planes(x, self.plane[elements], interpolation)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Action):
            return NotImplemented
        return (
            self.plane.shape == other.plane.shape
            and np.allclose(self.plane, other.plane, atol=laws.TOLERANCE)
            and np.allclose(self.color, other.color, atol=laws.TOLERANCE)
            and self.tone == other.tone
        )

    def __hash__(self) -> int:
        return hash(self.plane.shape)
