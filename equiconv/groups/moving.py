"""What moves images: the part of a group that says how each element acts."""

from abc import ABC, abstractmethod

from torch import Tensor

from equiconv.errors import GroupError
from equiconv.groups.action import Action
from equiconv.groups.batches import check_batch, check_image
from equiconv.groups.laws import Floats, Ints
from equiconv.groups.tone import Tone
from equiconv.groups.values import WriteOnce


class MovesImages(WriteOnce, ABC):
    """Move images by the elements of a group, as its ``action`` says."""

    action: Action
    order: int

    def __init_subclass__(cls) -> None:
        for name in ("transform_image", "transform_images"):
            if name in vars(cls):
                raise GroupError(
                    f"{cls.__name__}.{name}: how elements move images is not overridden; pass plane, color or a Tone "
                    "to Group(table, ...), by which layers move kernels and images too"
                )

    @abstractmethod
    def check_element(self, g: int) -> int:
        """Return ``g``, or raise GroupError if it is not an element."""

    @property
    def plane(self) -> Floats:
        """How elements move the plane: matrices on (x right, y up), shape ``(order, 2, 2)``."""
        return self.action.plane

    @property
    def color(self) -> Floats:
        """How elements move the colors by matrices on (R, G, B), shape ``(order, 3, 3)``."""
        return self.action.color

    @property
    def tone(self) -> Tone:
        """By how much elements shift colors along the axes of a color model, before ``color``."""
        return self.action.tone

    @property
    def moves_plane(self) -> bool:
        """Whether any element moves the plane."""
        return self.action.moves_plane

    @property
    def moves_color(self) -> bool:
        """Whether any element moves the colors."""
        return self.action.mixes_colors or not self.is_linear

    @property
    def is_linear(self) -> bool:
        """Whether elements move images by ``plane`` and ``color`` alone; else the first layer moves the images."""
        return not self.tone.moves

    @property
    def keeps_grid(self) -> bool:
        """Whether all elements send pixels to pixels: quarter turns and flips along the axes or diagonals."""
        return self.action.keeps_grid

    def transform_image(self, x: Tensor, g: int) -> Tensor:
        """Move an image by the element ``g``: colors by ``tone`` and ``color``, pixels by ``plane``.

        Args:
            x: images, shape ``(..., C, H, W)``; C = 3 if the group moves colors. Values from 0 to 1 if it shifts more
                than their hue along a color model.
            g: the element.

        Returns:
            The moved images; exact for quarter turns and flips, else interpolated bicubically with zeros from outside.
            Colors are not clipped: ``HueShift(n)`` keeps all of them within the RGB cube for n = 3 only.

        Raises:
            GroupError: if g is not an element.
            ShapeError: if x has fewer than three axes, or colors move and C is not 3 or x holds whole numbers.
        """
        return self.action.transform(check_image(self, x), self.check_element(g))

    def transform_images(self, x: Tensor, elements: Ints, *, interpolation: str = "bicubic") -> Tensor:
        """Move each image of a batch by an element of its own, as ``transform_image`` does.

        Args:
            x: images, shape ``(B, ..., C, H, W)``; square if an element exchanges rows and columns.
            elements: those of the group, shape ``(B,)``.
            interpolation: of angles off the grid, ``"bicubic"``, ``"bilinear"`` or ``"nearest"``.

        Returns:
            The moved images, of the shape of x.

        Raises:
            GroupError: if there is not one element for each image.
            ShapeError: as of ``transform_image``; if they are no batch, or not square; if nothing interpolates so.
        """
        return self.action.transform_each(x, check_batch(self, x, elements, interpolation), interpolation)
