"""Pooling over the group."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from equiconv.errors import FieldTypeError, GroupError
from equiconv.groups.field_type import FieldType, as_type
from equiconv.groups.group import Group
from equiconv.groups.laws import left_cosets
from equiconv.groups.representation import Representation
from equiconv.groups.subgroup import as_subgroup
from equiconv.layers.fourier import fourier_samples, sampled_rotations
from equiconv.layers.layer import FieldLayer

__all__ = ["GroupPool", "Restrict", "SubgroupPool"]


class GroupPool(FieldLayer):
    """Pool every field over the group, or over the cosets of a subgroup.

    Equivariance:
        Exact on finite groups: over the whole group ``pool(in_type.transform(x, g))`` is ``pool(x)`` with its pixels
        moved by g; over a subgroup H the fields on the cosets gH move as ``group.quotient(H)``. The maxima of functions
        on a continuous group, over a subgroup, are exact for the elements that are sampled, else approximate: over the
        hues of ``HueShift(3) * SO2(2)``, an error of 0.04.

    Args:
        in_type: fields of permutation representations for the whole group, regular fields for a subgroup. The mean
            over the whole group is also that of band-limited functions, such as regular fields of ``SO2()``.
        over: the subgroup, in any form that ``group.subgroup`` takes (a factor of the group, such as ``HueShift(3)``,
            or elements that generate it); None for the whole group.
        mode: ``"max"`` or ``"mean"``.

    Shapes:
        Input: ``(B, n, d, H, W)``. Output: ``(B, n, H, W)`` over the whole group, else ``(B, n, cosets, H, W)``.

    After pooling over a factor the other factors are left: ``pool.out_type.restrict(P4M())`` is then
    ``n * P4M().regular``, and the next layer can be one on ``P4M()``.

    Raises:
        FieldTypeError: if the fields cannot be pooled so, or the mode is unknown.
        GroupError: if ``over`` is not a subgroup.

    Example:
        >>> from equiconv.groups import HueShift, P4M
        >>> group = HueShift(3) * P4M()
        >>> GroupPool(8 * group.regular).out_type == 8 * group.trivial
        True
        >>> GroupPool(8 * group.regular, over=HueShift(3)).out_type.restrict(P4M()) == 8 * P4M().regular
        True

    Source:
        Cohen and Welling, Group Equivariant Convolutional Networks (ICML 2016), section 6.3 (coset pooling).
    """

    average: Tensor
    back: Tensor
    members: Tensor
    samples: Tensor
    over: Group | list[int] | None

    def __init__(
        self,
        in_type: FieldType | Representation,
        *,
        over: Group | Iterable[int] | None = None,
        mode: str = "max",
    ) -> None:
        in_type = as_type(in_type)
        if mode not in ("max", "mean"):
            raise FieldTypeError(f'GroupPool: mode is "max" or "mean"; got {mode!r}')
        group, representation = in_type.group, in_type.representation
        if over is None:
            if not representation.is_permutation and (mode == "max" or len(representation.fixed) != 1):
                raise FieldTypeError(
                    f"GroupPool pools fields whose entries are permuted, such as regular or quotient; got {in_type!r}: "
                    'use NormPool; or mode="mean", if the fields have one invariant part'
                )
            super().__init__(in_type, in_type.n * group.trivial)
            if not representation.is_permutation:
                fixed = representation.fixed  # (1, d)
                self.add_table("average", fixed / (fixed**2).sum())
            self.over = None
        else:
            if representation != group.regular:
                raise FieldTypeError(f"GroupPool over a subgroup needs regular fields; got {in_type!r}")
            self.over = as_subgroup(over)
            super().__init__(in_type, in_type.n * group.quotient(self.over))
            self._add_cosets(self.over)
        self.mode = mode

    def _add_cosets(self, over: Group | list[int]) -> None:
        """Add the members of each coset, or of a continuous group the samples there and the way back from them."""
        group, rotations = self.in_type.group, sampled_rotations(self.in_type)
        if rotations is None:
            self.add_table("members", np.array(group.subgroup(over).cosets).T)  # (|H|, cosets)
            return
        if not isinstance(over, Group):
            raise GroupError(f"name a subgroup of {group!r} to pool over by a group, such as HueShift(3); got {over!r}")
        part = over.sampled(rotations)
        cosets = np.array(group.sampled(rotations).subgroup(part).cosets)  # (cosets, |H|)
        kind = self.out_type.representation
        values = np.eye(len(cosets)) if kind.is_permutation else fourier_samples(kind, rotations)[cosets[:, 0]]
        scale = cosets.shape[1] ** (0.5 if kind.is_permutation else 1)
        self.add_table("samples", fourier_samples(self.in_type.representation, rotations)[cosets.T])  # (|H|, cosets, d)
        self.add_table("back", scale * values)  # (cosets, d')

    def forward(self, x: Tensor) -> Tensor:
        """Pool a tensor of ``in_type``; return a tensor of ``out_type``."""
        fields = self.in_type.fields(x)  # (b, n, d, h, w)
        whole = self.over is None
        self.settle(x.device)
        if whole and not self.in_type.representation.is_permutation:
            return self.laid_out(torch.einsum("td,bndhw->bnthw", self.average, fields), x)
        continuous = not whole and self.in_type.group.max_frequency is not None
        if continuous:
            fields = torch.einsum("kcd,bndhw->bnkchw", self.samples, fields)
        elif not whole:
            fields = fields[:, :, self.members]  # (b, n, |H|, cosets, h, w)
        pooled = fields.amax(2, keepdim=whole) if self.mode == "max" else fields.mean(2, keepdim=whole)
        return self.laid_out(torch.einsum("cd,bnchw->bndhw", self.back, pooled) if continuous else pooled, x)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.in_type!r}, over={self.over!r}, mode={self.mode!r}"


class SubgroupPool(FieldLayer):
    """Pool regular fields of a group down to regular fields of a subgroup, and go on with the smaller group.

    With U the smallest elements of the cosets Hg, every element is h u in one way. Three steps, on the group as
    strided pooling does them on the plane: the maximum (or mean) over the window g U; the mean over g U^-1, a low-pass
    filter; and the values at the elements of H. What changes too fast on the group for H is removed and not aliased.

    Equivariance:
        Exact on the subgroup: ``pool(in_type.transform(x, h)) == out_type.transform(pool(x), h)`` for every h in H.
        Windows are multiplied from the right, and elements act from the left.

    Args:
        in_type: regular fields, ``n * group.regular``.
        subgroup: H, in any form that ``group.subgroup`` takes.
        mode: ``"max"`` or ``"mean"``, over the window.

    Attributes:
        out_type: ``n * H.regular``, on H: the group itself if ``subgroup`` is one, else the ``Subgroup``.

    Shapes:
        Input: ``(B, n, order, H, W)``. Output: ``(B, n, order of the subgroup, H, W)``.

    Raises:
        FieldTypeError: if the fields are not regular, or the mode is unknown.
        GroupError: if it is not a subgroup.

    Example:
        >>> from equiconv.groups import Cyclic
        >>> SubgroupPool(8 * Cyclic(8).regular, Cyclic(4)).out_type
        8 * Cyclic(4).regular

    Source:
        Xu et al., Group Equivariant Subsampling (NeurIPS 2021), for sampling on a subgroup; the filter is that of
        Zhang, Making Convolutional Networks Shift-Invariant Again (ICML 2019), carried over to the group.
    """

    windows: Tensor

    def __init__(
        self, in_type: FieldType | Representation, subgroup: Group | Iterable[int], *, mode: str = "max"
    ) -> None:
        in_type = as_type(in_type)
        if mode not in ("max", "mean"):
            raise FieldTypeError(f'SubgroupPool: mode is "max" or "mean"; got {mode!r}')
        if not in_type.representation.is_regular:
            raise FieldTypeError(f"SubgroupPool needs regular fields, n * group.regular; got {in_type!r}")
        group = in_type.group
        self.part = group.subgroup(subgroup)
        super().__init__(in_type, in_type.n * self.part.source.regular)
        elements = np.array(self.part.elements)
        rest = np.array([coset[0] for coset in left_cosets(group.table.T, self.part.elements)])  # U
        centers = group.table[elements, group.inverse[rest][:, None]]  # (u, h): h u^-1
        self.add_table("windows", group.table[centers, rest[:, None, None]])  # (v, u, h): h u^-1 v
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        """Pool a tensor of ``in_type``; return a tensor of ``out_type``."""
        fields = self.in_type.fields(x)  # (b, n, g, h, w)
        self.settle(x.device)
        seen = fields[:, :, self.windows]  # (b, n, v, u, |H|, h, w)
        pooled = seen.amax(2) if self.mode == "max" else seen.mean(2)  # (b, n, u, |H|, h, w)
        return self.laid_out(pooled.mean(2), x)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.in_type!r}, {self.part.which!r}, mode={self.mode!r}"


class Restrict(FieldLayer):
    """Forget the elements outside a subgroup, so that the next layer can be one on the smaller group.

    Equivariance:
        Exact on the subgroup: ``restrict(in_type.transform(x, h)) == out_type.transform(x, h)`` for every h in it,
        since the data stay as they are.

    Args:
        in_type: any field type.
        subgroup: in any form that ``in_type.restrict`` takes.

    Attributes:
        out_type: ``in_type.restrict(subgroup)``.

    Raises:
        GroupError: if it is not a subgroup.

    Example:
        >>> from equiconv.groups import P4, P4M
        >>> Restrict(8 * P4M().regular, P4()).out_type
        8 * Dihedral(4).regular.restrict(Cyclic(4))

    Source:
        Weiler and Cesa, General E(2)-Equivariant Steerable CNNs (NeurIPS 2019), section 2.7.
    """

    takes_tones = True

    def __init__(self, in_type: FieldType | Representation, subgroup: Group | Iterable[int]) -> None:
        in_type, self.subgroup = as_type(in_type), as_subgroup(subgroup)
        super().__init__(in_type, in_type.restrict(self.subgroup))

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of ``in_type`` as it is: a tensor of ``out_type``."""
        self.in_type.check(x)
        return x

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.in_type!r}, {self.subgroup!r}"
