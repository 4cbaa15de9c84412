"""The steerable networks of the rotated digits, for any group and any kind of fields."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Self

from torch import Tensor, nn

from equiconv.bases import Basis, SpatialBasis, choose_basis
from equiconv.errors import FieldTypeError
from equiconv.groups import FieldType, Group, Representation
from equiconv.groups.values import is_number
from equiconv.layers import BlurPool, DiskMask, GroupConv2d
from equiconv.layers.layer import check_flags
from equiconv.models.blocks import (
    StrongestPool,
    change_group,
    draw_convolutions,
    dropped_factors,
    image_type,
    kept_group,
    normalization,
    one_group_each,
)
from equiconv.models.fields import Kind, count_kernels, fields_of
from equiconv.models.steerable_architecture import STEERABLE, SteerableArchitecture
from equiconv.recorded import Recorded

__all__ = ["SteerableCNN"]

MARGIN, BORDER = 0.01, 0.1  # of the mask: the part of the radius that is faded out, and over how many pixels
SIGMA = 0.66  # pixels, of the Gaussian that pools the plane
WIDEST = 1e3


class SteerableCNN(Recorded):
    """Classify turned images by steerable convolutions: conv, batch norm, nonlinearity, and pooling after some.

    The networks of the published experiments on rotated digits. ``STEERABLE`` is that of the example, which is on
    ``Cyclic(8)`` and for images of 29x29 pixels, such as digits padded by a row and a column: the spatial sizes are 25,
    25 (pooled to 13), 13, 13 (pooled to 7), 7, 5 (pooled to 1). ``STEERABLE_SMALL`` is that of the comparison of groups
    and fields, for 28x28: 24, 24 (12), 12, 12 (6), 6, 2. ``STEERABLE_LARGE`` is that of the lowest errors, for 28x28:
    20, 20 (10), 10, 10 (5), 5, 1. On ``Trivial()`` they are ordinary networks.

    Kinds of fields, and what invariants are made of them in front of the head:

    - ``"regular"``: functions on the group, on a continuous group band-limited ones, where the nonlinearity acts on
      their samples. Pooled over the group.
    - ``"quotient"``: units of five regular fields, two on the cosets of each of two groups of rotations, and order // 4
      invariants; on finite groups with these rotations, the half and quarter turns, or ``("quotient", 8, 4)`` as in
      the published large network.
    - ``"scalar"``: every layer lifts to regular fields, and pools over the group.
    - ``"vector"``: every layer makes regular fields, and of each the vector that points where its maximum is.
    - ``"irreps"``: irreps, each as often as in the regular representation, scaled by soft thresholds of their norms.
      The last layer makes those of dimension 1 only, and features of their absolute values.
    - ``"squashed"``: the same, with norms squashed to below 1.
    - ``"gated"``: the same, but each irrep is multiplied by a gate that comes with it.

    Equivariance:
        Exact on the pixel grid: the logits are invariant under every element of the group; in training with dropout the
        law holds for the distribution. Other angles are approximate. Where layers change to a smaller group,
        ``in_type`` and ``out_type`` name what is left: that group, and the factors that were pooled over and do not
        move the plane. Images of 29, 33, 37, ... pixels fit the blurring of ``STEERABLE``, those of 28, 32, 36, ...
        pixels the other two; ExactnessError is raised for others, unless ``exact=False``.

    Args:
        group: the group of all layers, or one for each: ``[O2(3)] * 3 + [Cyclic(8)] * 3`` becomes discrete halfway.
            Where a later group is made of some of the factors of the one before, regular fields are pooled over the
            others; any other subgroup, and other fields, go on with the fields as they are.
        width: a factor on the numbers of fields and of hidden features of the architecture. In ``STEERABLE`` the
            fields do not depend on the group: with sqrt(8 / n) a group of order n has about as many parameters as one
            of order 8 with width 1. The other two fit their numbers of fields to the group and the kind of fields.
        architecture: the layers.
        fields: the kind of fields, or a tuple of the kind and its numbers.
        in_channels: 3 for RGB images, any other number for channels that no element moves.
        classes: the number of classes.
        basis: what the kernels are made of, as in ``GroupConv2d``. The published networks have ``Harmonics.e2cnn``.
        exact: refuse image sizes that lose equivariance; False lets them pass.

    Shapes:
        Input: ``(B, in_channels, H, W)``, H and W at least 29 for ``STEERABLE``, 24 for ``STEERABLE_SMALL`` and 28 for
        ``STEERABLE_LARGE``. Output: logits ``(B, classes)``.

    Initialization:
        That of ``GroupConv2d`` and ``torch.nn.Linear``. The convolutions of the published networks have normal
        coefficients: ``net.initialize(he_normal_)``.

    Raises:
        GroupError: if the group is none, or a layer's group is not a subgroup of the one before, or it has not the
            rotations of the quotients.
        FieldTypeError: if the group moves colors and the images are not RGB, the kind of fields is unknown or does not
            fit the group, or an option is out of range.
        ShapeError: if there is not one group for each layer; in ``forward``, if the image is too small.
        ExactnessError: in ``forward``, if the image size would lose equivariance.

    Example:
        >>> from equiconv.groups import Cyclic
        >>> net = SteerableCNN(Cyclic(8))
        >>> sum(p.numel() for p in net.parameters())
        2067434

    Source:
        Weiler and Cesa, General E(2)-Equivariant Steerable CNNs (NeurIPS 2019), section 3 and appendix H, as in the
        code of their experiments; ``STEERABLE`` is the example that comes with their library.
    """

    def __init__(
        self,
        group: Group | Sequence[Group],
        width: float = 1.0,
        *,
        architecture: SteerableArchitecture = STEERABLE,
        fields: Kind = "regular",
        in_channels: int = 1,
        classes: int = 10,
        basis: Basis = "auto",
        exact: bool = True,
    ) -> None:
        super().__init__()
        check_flags("SteerableCNN", exact=exact)
        if not isinstance(architecture, SteerableArchitecture):
            raise FieldTypeError(f"architecture is a SteerableArchitecture, such as STEERABLE; got {architecture!r}")
        if not is_number(width, 0, WIDEST) or width == 0:
            raise FieldTypeError(f"width is a factor on the number of fields, above 0; got {width!r}")
        layers = architecture.layers
        groups = one_group_each(group, len(layers), "layer")
        kinds = [fields_of(fields, each, architecture.function, architecture.pool) for each in groups]
        dropped = dropped_factors if kinds[0].over_factors else _none_dropped
        current, kept = image_type(groups[0], in_channels), kept_group(groups, dropped)
        self.in_type, self.out_type = current.restrict(kept), classes * kept.trivial
        modules: list[nn.Module] = [DiskMask(current, margin=MARGIN, sigma=BORDER)] if architecture.masked else []
        make = partial(GroupConv2d, bias=architecture.bias, basis=basis)
        for number, (kind, layer) in enumerate(zip(kinds, layers, strict=True), 1):
            pooling, current = change_group(current, kind.group, dropped(current.group, kind.group), architecture.pool)
            n = kind.copies(
                width * layer.fields, layer.kernel_size, basis, matched=layer.matched, whole=architecture.whole
            )
            last = number == len(layers)
            makes = partial(_makes, current, choose_basis(basis, kind.group, (layer.kernel_size,) * 2))
            made, features = kind.last(n, makes) if last else (kind.activations(n, makes), [])
            conv = make(current, made[0].in_type, layer.kernel_size, padding=layer.padding)
            current = made[-1].out_type
            pools = _plane_pools(current, layer.pool, architecture.plane_pool, last=last, exact=exact)
            modules.extend([*pooling, conv, normalization(conv.out_type), *made, *pools, *features])
            current = features[-1].out_type if features else current
        self.plane = architecture.plane
        self.features = nn.Sequential(*modules)
        self.head = _head(current.channels, max(1, round(width * layers[-1].fields)), classes, architecture)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``(B, classes)`` of images ``(B, in_channels, H, W)``."""
        y = self.features(x).flatten(1, -3)  # (b, features, h, w)
        return self.head(y.mean((-2, -1)) if self.plane == "mean" else y.amax((-2, -1)))

    def initialize(self, function: Callable[[GroupConv2d], object]) -> Self:
        """Draw all convolutions anew.

        Args:
            function: what changes a convolution in place, such as ``equiconv.init.he_normal_``.

        Returns:
            The network.
        """
        draw_convolutions(self, function)
        return self


def _makes(in_type: FieldType, basis: SpatialBasis, representation: Representation) -> bool:
    """Tell whether any kernel makes fields of a representation."""
    return count_kernels(representation, in_type.representation, basis) > 0


def _none_dropped(before: Group, after: Group) -> list[Group]:
    """Return no factor."""
    return []


def _plane_pools(field_type: FieldType, steps: int | None, mode: str, *, last: bool, exact: bool) -> list[nn.Module]:
    """Return the pooling behind a layer, if any; the filter of the last one does not reach beyond the map."""
    if steps is None:
        return []
    if mode == "max":
        return [StrongestPool(field_type, steps, exact=exact)]
    ends = 0 if last else None
    return [BlurPool(field_type, stride=steps, padding=ends, padding_mode="zeros", sigma=SIGMA, exact=exact)]


def _head(features: int, width: int, classes: int, architecture: SteerableArchitecture) -> nn.Sequential:
    """Return linear layers with batch norm between them."""
    sizes = [features] + [width] * architecture.hidden
    dropout = [nn.Dropout(architecture.dropout)] if architecture.dropout else []
    modules: list[nn.Module] = []
    for before, after in pairwise(sizes):
        modules.extend([*dropout, nn.Linear(before, after), nn.BatchNorm1d(after), nn.ELU()])
    return nn.Sequential(*modules, *dropout, nn.Linear(sizes[-1], classes))
