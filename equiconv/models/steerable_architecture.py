"""The shapes of the steerable networks for digits."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from equiconv.errors import FieldTypeError, ShapeError
from equiconv.groups.values import integer
from equiconv.layers.layer import check_flags, check_function
from equiconv.models.blocks import check_probability

__all__ = ["STEERABLE", "STEERABLE_LARGE", "STEERABLE_SMALL", "SteerableArchitecture", "SteerableLayer"]

PLANE_POOLS = ("blur", "max")
POOLS = ("max", "mean")


@dataclass(frozen=True)
class SteerableLayer:
    """Describe a convolution, and the pooling over the plane behind it.

    Args:
        fields: their number, before it is matched to the group.
        kernel_size: rows and columns of the kernels.
        padding: pixels on each side.
        pool: steps of the pooling in pixels; None pools nothing.
        matched: whether the number of fields follows the group: fields are then fewer where each takes more weights.

    Raises:
        ShapeError: if a number is out of range.

    Example:
        >>> SteerableLayer(32, 5, 2, pool=2).fields
        32
    """

    fields: int
    kernel_size: int
    padding: int = 0
    pool: int | None = None
    matched: bool = True

    def __post_init__(self) -> None:
        for name, value, least in (
            ("fields", self.fields, 1),
            ("kernel_size", self.kernel_size, 1),
            ("padding", self.padding, 0),
            ("pool", 1 if self.pool is None else self.pool, 1),
        ):
            if (number := integer(value)) is None or number < least:
                raise ShapeError(f"{name} of a layer is an integer, at least {least}; got {value!r}")
        check_flags("SteerableLayer", matched=self.matched)


@dataclass(frozen=True)
class SteerableArchitecture:
    """Say how a steerable network is built, whatever its group, its fields and its width.

    Args:
        layers: its convolutions.
        hidden: hidden layers of the head, each as wide as the last convolution has fields.
        dropout: the probability to drop a feature in front of each layer of the head.
        function: the nonlinearity of invariants, and of fields whose entries are permuted.
        bias: convolutions have a bias.
        whole: the number of regular fields for a group is rounded down before that of other fields is taken from it.
        masked: fade out what lies outside the largest disk within the image.
        plane_pool: how maps are pooled between layers: ``"max"``, the largest entry, or the longest vector, of two by
            two pixels; or ``"blur"``, a Gaussian filter.
        plane: ``"max"`` or ``"mean"`` over what is left of the plane in front of the head.
        pool: ``"max"`` or ``"mean"`` of regular fields over the group in front of the head; of functions on a
            continuous group, the norm stands for the maximum.

    Raises:
        ShapeError: if the layers are none, or the number of hidden ones is out of range.
        FieldTypeError: if another option is.

    Example:
        >>> SteerableArchitecture((SteerableLayer(8, 5, 2), SteerableLayer(8, 5))).hidden
        1
    """

    layers: tuple[SteerableLayer, ...]
    hidden: int = 1
    dropout: float = 0.0
    function: Callable[[Tensor], Tensor] = F.elu
    bias: bool = True
    whole: bool = False
    masked: bool = False
    plane_pool: str = "max"
    plane: str = "max"
    pool: str = "max"

    def __post_init__(self) -> None:
        layers = self.layers if isinstance(self.layers, tuple) else ()
        if not layers or not all(isinstance(layer, SteerableLayer) for layer in layers):
            raise ShapeError(f"layers is a tuple of SteerableLayer, at least one; got {self.layers!r}")
        if (count := integer(self.hidden)) is None or count < 0:
            raise ShapeError(f"hidden is a number of layers, at least 0; got {self.hidden!r}")
        check_probability(self.dropout)
        check_function(self.function, "SteerableArchitecture")
        check_flags("SteerableArchitecture", bias=self.bias, whole=self.whole, masked=self.masked)
        for name, known in (("plane_pool", PLANE_POOLS), ("plane", POOLS), ("pool", POOLS)):
            if getattr(self, name) not in known:
                raise FieldTypeError(f"{name} is {' or '.join(map(repr, known))}; got {getattr(self, name)!r}")


STEERABLE = SteerableArchitecture(
    (
        SteerableLayer(24, 7, 1, matched=False),
        SteerableLayer(48, 5, 2, pool=2, matched=False),
        SteerableLayer(48, 5, 2, matched=False),
        SteerableLayer(96, 5, 2, pool=2, matched=False),
        SteerableLayer(96, 5, 2, matched=False),
        SteerableLayer(64, 5, 1, pool=1, matched=False),
    ),
    function=F.relu,
    bias=False,
    masked=True,
    plane_pool="blur",
    plane="mean",
)
STEERABLE_SMALL = SteerableArchitecture(
    (
        SteerableLayer(16, 7, 1, matched=False),
        SteerableLayer(24, 5, 2, pool=2),
        SteerableLayer(32, 5, 2),
        SteerableLayer(32, 5, 2, pool=2),
        SteerableLayer(48, 5, 2),
        SteerableLayer(64, 5, matched=False),
    ),
)
STEERABLE_LARGE = SteerableArchitecture(
    (
        SteerableLayer(24, 9),
        SteerableLayer(32, 7, 3, pool=2),
        SteerableLayer(36, 7, 3),
        SteerableLayer(36, 7, 3, pool=2),
        SteerableLayer(64, 7, 3),
        SteerableLayer(96, 5),
    ),
    hidden=2,
    dropout=0.3,
    whole=True,
)
