"""Groups that move colors."""

import numpy as np

from equiconv.groups import irreps
from equiconv.groups.group import Group
from equiconv.groups.laws import Floats
from equiconv.groups.plane import check_count

__all__ = ["HueShift"]


def hue_rotations(angles: Floats) -> Floats:
    """Return the rotations ``(n, 3, 3)`` of RGB about the gray axis; a positive angle (radians) turns red to green."""
    c, s = np.cos(angles)[:, None, None], np.sin(angles)[:, None, None]
    gray = np.full((3, 3), 1 / 3)
    cross = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / np.sqrt(3)
    return c * np.eye(3) + (1 - c) * gray + s * cross


class HueShift(Group):
    """Shift the hue by multiples of 360/n degrees: C_n acting on RGB as a rotation about the gray axis.

    Element s sends red towards green by s steps. For n = 3 it permutes the channels, R -> G -> B -> R, and is the hue
    shift of HSV exactly. For other n it is linear in RGB: HSV's hue shift differs from it between the multiples of 120
    degrees, and saturated colors leave the RGB cube.

    Args:
        n: the number of hues, at least 1.

    Raises:
        GroupError: if n is not a positive integer.

    Example:
        >>> from equiconv.groups import HueShift
        >>> HueShift(3).color[1].tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]

    Source:
        Lengyel et al., Color Equivariant Convolutional Networks (NeurIPS 2023), equation 4.
    """

    def __init__(self, n: int) -> None:
        self.n = check_count(n, "HueShift")
        super().__init__(irreps.cyclic_table(n), color=hue_rotations(2 * np.pi * np.arange(n) / n))

    @property
    def arguments(self) -> tuple[object, ...]:
        """The number of hues."""
        return (self.n,)
