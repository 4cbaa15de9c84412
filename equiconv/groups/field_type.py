"""Field types: what a feature map is made of, and how it moves."""

from collections.abc import Iterable

import torch
from torch import Tensor

from equiconv.errors import FieldTypeError, ShapeError
from equiconv.groups.batches import check_elements, check_interpolation
from equiconv.groups.group import Group
from equiconv.groups.laws import Ints
from equiconv.groups.moves import move_plane, move_planes, on_grid, pixel_sources, take
from equiconv.groups.representation import Representation
from equiconv.groups.values import WriteOnce, enclosed, integer


class FieldType(WriteOnce):
    """Name the type of a feature map: ``n`` fields, each a copy of one representation.

    Immutable, equal and hashed by value, without data. Feature maps are plain tensors: ``(B, n*d, H, W)`` for images
    and invariant features (``representation.flat``), ``(B, n, d, H, W)`` for everything else, d being ``fiber``.

    Args:
        representation: how one field moves.
        n: the number of fields (multiplicity), at least 1.

    Raises:
        FieldTypeError: if n is not a positive integer.

    Example:
        >>> from equiconv.groups import P4M
        >>> 16 * P4M().regular
        16 * Dihedral(4).regular
        >>> (16 * P4M().regular).channels
        128
    """

    def __init__(self, representation: Representation, n: int) -> None:
        if not isinstance(representation, Representation):
            raise FieldTypeError(f"a field type is made of a representation; got {representation!r}")
        count = integer(n)
        if count is None or count < 1:
            raise FieldTypeError(f"a field type has n >= 1 fields, n an integer; got n = {n!r}")
        self.representation = representation
        self.n = count
        self.fiber = representation.dim
        self.flat = representation.flat
        self.channels = count * self.fiber

    @property
    def group(self) -> Group:
        """The group that acts."""
        return self.representation.group

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the channel axes: ``(n*d,)`` if flat, else ``(n, d)``."""
        return (self.channels,) if self.flat else (self.n, self.fiber)

    def restrict(self, subgroup: Group | Iterable[int]) -> "FieldType":
        """Forget the elements outside a subgroup; tensors of this type are tensors of the result, unchanged."""
        return FieldType(self.representation.restrict(subgroup), self.n)

    def under(self, group: Group) -> "FieldType":
        """Return the type of the same tensors for another group, as ``Representation.under``."""
        return self if group == self.group else FieldType(self.representation.under(group), self.n)

    def check(self, x: Tensor) -> None:
        """Raise ShapeError unless ``x`` is a tensor of this type."""
        sizes = self.shape
        if x.dim() != len(sizes) + 3 or x.shape[1:-2] != sizes:
            layout = f"(B, {', '.join(map(str, sizes))}, H, W)"
            raise ShapeError(f"fields of type {self!r} are tensors of shape {layout}; got {tuple(x.shape)}")

    def flatten(self, x: Tensor) -> Tensor:
        """Return the tensor ``x`` of this type as ``(B, n*d, H, W)``."""
        self.check(x)
        return x if self.flat else x.flatten(1, 2)

    def unflatten(self, x: Tensor) -> Tensor:
        """Return ``x`` of shape ``(B, n*d, H, W)`` in the layout of this type."""
        return x if self.flat else x.unflatten(1, (self.n, self.fiber))

    def fields(self, x: Tensor) -> Tensor:
        """Return the tensor ``x`` of this type as ``(B, n, d, H, W)``, whatever its layout."""
        self.check(x)
        return x.unflatten(1, (self.n, self.fiber)) if self.flat else x

    def like(self, x: Tensor) -> Tensor:
        """Return ``x`` of shape ``(B, n, d, H, W)`` in the layout of this type; the inverse of ``fields``."""
        return x.flatten(1, 2) if self.flat else x

    def transform(self, x: Tensor, g: int) -> Tensor:
        """Move a field by a group element, plane and fiber together: ``(g.x)(p) = rho(g) x(g^-1 p)``.

        Args:
            x: a tensor of this type, 4-D if the type is flat, else 5-D.
            g: the element, ``0 .. order - 1``.

        Returns:
            The moved field; H and W are exchanged by a quarter turn. Exact for quarter turns and flips; other angles
            are interpolated bicubically, with zeros from outside.

        Raises:
            ShapeError: if x is not of this type.
            GroupError: if g is not an element.
        """
        g = self.group.check_element(g)
        fields, rep = self.fields(x), self.representation  # (b, n, d, h, w)
        shifted = fields if rep.is_linear else self.group.tone.transform(fields, g, on_cover=rep.covers)
        moved = move_plane(shifted, self.group.plane[g])
        if rep.is_identity:
            return self.like(moved)
        rho = torch.tensor(rep.rho[g].tolist(), dtype=x.dtype, device=x.device)
        return self.like(torch.einsum("ij,bnjhw->bnihw", rho, moved))

    def transform_each(self, x: Tensor, elements: Ints, *, interpolation: str = "bicubic") -> Tensor:
        """Move each field of a batch by an element of its own, as ``transform`` does.

        Args:
            x: a tensor of this type; its maps are square if an element exchanges rows and columns.
            elements: those of the group, shape ``(B,)``.
            interpolation: of angles off the grid, ``"bicubic"``, ``"bilinear"`` or ``"nearest"``.

        Returns:
            The moved fields, of the shape of x.

        Raises:
            ShapeError: if x is not of this type; if the maps are not square; if nothing interpolates so.
            GroupError: if there is not one element for each field of the batch.
        """
        fields, rep = self.fields(x), self.representation  # (b, n, d, h, w)
        check_interpolation(interpolation)
        elements = check_elements(self.group, elements, len(x))
        if (sources := self.sources(elements, *x.shape[-2:])) is not None:
            return self.like(take(fields.flatten(2), sources).view(fields.shape))
        shifted = fields if rep.is_linear else self.group.tone.transform(fields, elements, on_cover=rep.covers)
        moved = move_planes(shifted, self.group.plane[elements], interpolation)
        if rep.is_identity:
            return self.like(moved)
        rho = torch.tensor(rep.rho[elements].tolist(), dtype=x.dtype, device=x.device).view(-1, rep.dim, rep.dim)
        return self.like(torch.einsum("bij,bnjhw->bnihw", rho, moved))

    def sources(self, elements: Ints, height: int, width: int) -> Ints | None:
        """Return from which entries those of a field come when it moves; None if they are not just permuted.

        Args:
            elements: by which a batch of fields is moved, ``(B,)``.
            height: rows of the maps.
            width: columns of the maps.

        Returns:
            Places in the fiber and the plane of a field together, ``(B, d*H*W)``.
        """
        group, permutation = self.group, self.representation.permutation
        if not self.representation.is_linear or permutation is None or not on_grid(group.plane[elements]).all():
            return None
        fibers = permutation[group.inverse[elements]]  # (b, d)
        pixels = pixel_sources(group.plane[elements], height, width)  # (b, h*w)
        return (fibers[:, :, None] * (height * width) + pixels[:, None]).reshape(
            len(pixels), self.fiber * height * width
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FieldType):
            return NotImplemented
        return self.n == other.n and self.representation == other.representation

    def __hash__(self) -> int:
        return hash((self.n, self.representation))

    def __repr__(self) -> str:
        return f"{self.n} * {enclosed(self.representation)}"

    def __deepcopy__(self, memo: object) -> "FieldType":
        return self


def as_type(value: FieldType | Representation) -> FieldType:
    """Return a field type; a bare representation stands for one field of it."""
    if isinstance(value, Representation):
        return FieldType(value, 1)
    if not isinstance(value, FieldType):
        raise FieldTypeError(f"expected a field type, such as 16 * group.regular; got {value!r}")
    return value
