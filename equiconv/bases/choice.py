"""The choice of a basis."""

from collections.abc import Callable

from equiconv.bases.basis import SpatialBasis
from equiconv.bases.harmonics import Harmonics
from equiconv.bases.pixels import Pixels
from equiconv.errors import FieldTypeError, ShapeError
from equiconv.groups.group import Group

Basis = str | SpatialBasis | Callable[[tuple[int, int]], SpatialBasis]


def choose_basis(basis: Basis, group: Group, kernel_size: tuple[int, int]) -> SpatialBasis:
    """Return the basis that an argument of a layer means.

    Args:
        basis: ``"pixels"``; ``"harmonics"``; ``"e2cnn"``, those of ``Harmonics.e2cnn``; ``"auto"``, pixels if the group
            keeps the pixel grid, else harmonics; what makes a basis of a kernel size, such as ``Derivatives``; or a
            basis of this kernel size.
        group: the group of the layer.
        kernel_size: rows and columns of the window.

    Raises:
        FieldTypeError: if it is none of these.
        ShapeError: if it is for kernels of another size.
    """
    usual = Pixels if group.keeps_grid else Harmonics
    named = {"pixels": Pixels, "harmonics": Harmonics, "e2cnn": Harmonics.e2cnn, "auto": usual}
    make = named.get(basis) if isinstance(basis, str) else basis
    made = make(kernel_size) if callable(make) else make
    if not isinstance(made, SpatialBasis):
        raise FieldTypeError(
            'basis is "auto", "pixels", "harmonics", "e2cnn", a SpatialBasis, or what makes one of a kernel size; got '
            f"{basis!r}"
        )
    if made.kernel_size != kernel_size:
        raise ShapeError(f"the basis is for kernels of size {made.kernel_size}; kernel_size is {kernel_size}")
    return made
