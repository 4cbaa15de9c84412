"""What the rows of a study are taught by a loss, and how far their layers are from it while they train."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from benchmarks.groups import parse_groups
from benchmarks.training import Implicit
from equiconv import EquiconvError, Group, Trivial, layers
from equiconv.layers import ChannelMaxPool
from equiconv.losses import EquivarianceLoss, ien_draw
from equiconv.taps import Which, find_layers
from equiconv.testing import equivariance_profile

__all__ = ["Taught", "Watched"]

DRAWS = ("uniform", "others", "ien")


@dataclass(frozen=True)
class Taught:
    """Say which equivariance a loss teaches a network, in words that fit a file.

    Args:
        group: the group, such as ``"HueShift(3)*P4"``.
        beta: the weight of the loss.
        layers: names of modules, or of classes of ``equiconv.layers`` and ``torch.nn``; none takes the ``taps`` of the
            network.
        orders: of a ``ChannelMaxPool`` in front of the comparison; none takes the ``pool`` of a network that has taps.
        pooled: compare the largest entry of each field, which does not move with the fiber.
        normalized: as of ``EquivarianceLoss``.
        draw: ``"uniform"``; ``"others"``, all but the identity; or ``"ien"``, as published.
        interpolation: as of ``EquivarianceLoss``.

    Raises:
        EquiconvError: if there is no such group or draw, the layers are no list, or the maps are pooled twice.
    """

    group: str
    beta: float = 1.0
    layers: tuple[str, ...] = ()
    orders: tuple[int, ...] = ()
    pooled: bool = False
    normalized: bool = True
    draw: str = "uniform"
    interpolation: str = "bicubic"

    def __post_init__(self) -> None:
        if self.draw not in DRAWS:
            raise EquiconvError(f"draw is one of {', '.join(DRAWS)}; got {self.draw!r}")
        if self.pooled and self.orders:
            raise EquiconvError("maps are pooled over fields or over channels, not both: leave out pooled or orders")
        _check_layers(self.layers)
        self.loss(nn.Identity(), ("Identity",))

    def objective(self, net: nn.Module) -> Implicit:
        """Return what a network that is taught so makes small.

        Raises:
            EquiconvError: if it has no layers of that name, or none that a loss listens to by itself.
        """
        taps = self.layers or getattr(net, "taps", ())
        if not taps:
            raise EquiconvError(f"implicit needs layers: {type(net).__name__} does not say which ones")
        return Implicit(net, self.loss(net, taps))

    def check(self, net: nn.Module) -> None:
        """Raise EquiconvError unless a network has these layers."""
        find_layers(net, self.objective(net).equivariance.layers)

    def loss(self, net: nn.Module, names: tuple[str, ...]) -> EquivarianceLoss:
        """Return the loss of a network with layers of these names."""
        group = _group(self.group)
        return EquivarianceLoss(
            group,
            [_layer(name) for name in names],
            self.beta,
            carried=self._carried(net),
            normalized=self.normalized,
            draw=self._draw(group),
            interpolation=self.interpolation,
        )

    def _carried(self, net: nn.Module) -> Callable[[Tensor], Tensor] | None:
        if self.orders:
            return _pooled_channels(self.orders)
        if self.pooled:
            return largest_entries
        return getattr(net, "pool", None) if not self.layers else None

    def _draw(self, group: Group) -> Any:
        return {"uniform": lambda _: None, "others": _others, "ien": ien_draw}[self.draw](group)


@dataclass(frozen=True)
class Watched:
    """Say which equivariance is measured after each epoch, layer by layer.

    Args:
        group: the group; None takes that which a row is taught.
        images: the number of test images, the first ones.
        layers: as of ``Taught``; none takes the ``taps`` of the network, or else all layers.
        orders: of a ``ChannelMaxPool`` in front of the comparison, for networks on ``Trivial``.

    Raises:
        EquiconvError: if there is no such group, the layers are no list, the orders are not integers >= 1, or there are
            not two images.
    """

    group: str | None = None
    images: int = 32
    layers: tuple[str, ...] = ()
    orders: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.group is not None:
            _group(self.group)
        _check_layers(self.layers)
        if self.orders:
            ChannelMaxPool(self.orders)
        if self.images < 2:
            raise EquiconvError(f"images that are watched are at least 2; got {self.images}")

    def of(self, taught: Taught | None) -> "Watched":
        """Return what is watched of a row that is taught so, with its group.

        Raises:
            EquiconvError: if it is taught nothing, and there is no group.
        """
        if self.group is not None:
            return self
        if taught is None:
            raise EquiconvError("watched needs a group for rows that have no implicit, whose group it would be")
        return replace(self, group=taught.group)

    def check(self, net: nn.Module) -> None:
        """Raise EquiconvError unless a network has these layers."""
        find_layers(net, self._which(net))

    def errors(self, net: nn.Module, images: Tensor) -> dict[str, float]:
        """Return the error of each layer, the mean over the elements but the identity.

        Args:
            net: in evaluation mode.
            images: as the network takes them.

        Raises:
            EquiconvError: if it has no group.
        """
        group = _group(self.group)
        pool = getattr(net, "pool", None) if not self.layers else None
        if self.orders and getattr(net, "in_type", 1 * group.trivial).group == Trivial():
            pool = _pooled_channels(self.orders)
        carried: Any = None if pool is None else {nn.Module: pool}
        found = equivariance_profile(net, group, images, layers=self._which(net), carried=carried, angles=(), hues=())
        return dict(zip(found.layers, found.elements[:, 1:].mean(1).tolist(), strict=True))

    def _which(self, net: nn.Module) -> list[Which] | None:
        """Return the layers that are watched; None for all."""
        names = self.layers or getattr(net, "taps", None)
        return None if names is None else [_layer(name) for name in names]


def _pooled_channels(orders: tuple[int, ...]) -> nn.Module:
    """Return what pools the channels of a map (B, C, H, W), or of one of single entries (B, C, 1, H, W)."""
    return nn.Sequential(nn.Flatten(1, -3), ChannelMaxPool(orders))


def largest_entries(x: Tensor) -> Tensor:
    """Return the largest entry of each field (B, n, d, H, W) as an invariant map (B, n, H, W)."""
    return x.amax(2)


def _group(text: str | None) -> Group:
    """Return the one group that a text names."""
    found = parse_groups(text) if text is not None else ()
    if len(found) != 1:
        raise EquiconvError(f"one group is taught or watched; got {text!r}")
    return found[0].group


def _check_layers(names: tuple[str, ...]) -> None:
    if not isinstance(names, tuple) or any(not isinstance(name, str) for name in names):
        raise EquiconvError(f'layers are a list of names, such as ["GroupConv2d"]; got {names!r}')


def _layer(name: str) -> Which:
    """Return the class of that name, or the name of a module."""
    found = (getattr(package, name, None) for package in (layers, nn))
    return next((each for each in found if isinstance(each, type) and issubclass(each, nn.Module)), name)


def _others(group: Group) -> list[int]:
    return [int(g > 0) for g in range(group.order)]
