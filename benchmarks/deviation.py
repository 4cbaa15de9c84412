"""How far a network is from equivariant, measured on images that are known between the pixels."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from benchmarks.steerable import COLORS, Network
from benchmarks.symmetries import Symmetry
from benchmarks.waves import PlaneWaves, cropped
from equiconv.groups.laws import Floats

__all__ = ["SIDE", "Inputs", "Protocol", "measure", "summary"]

SIDE = 41  # rows and columns of the output where a whole field is compared
DISC = 16.25  # pixels: the radius within which it is


@dataclass(frozen=True)
class Protocol:
    """Say how much is measured.

    Args:
        seeds: the number of draws of the weights.
        images: the number of images.
        field_images: how many of them are used where a whole field is compared.
        turns: at how many angles off the grid a whole field is compared.
    """

    seeds: int = 6
    images: int = 6
    field_images: int = 3
    turns: int = 4


class Inputs:
    """Render the images moved by every element of a symmetry, once for all networks.

    Args:
        symmetry: the elements.
        images: the images.
        largest: the largest side that will be asked for.
    """

    def __init__(self, symmetry: Symmetry, images: PlaneWaves, largest: int) -> None:
        self._sides = {side % 2: side for side in (largest - 1, largest)}
        self._render = cache(lambda g, side: images.render(symmetry.planes[g], side))

    def moved(self, g: int, side: int) -> Tensor:
        """Return the images moved by element g, ``(images, 3, side, side)``."""
        return cropped(self._render(g, self._sides[side % 2]), side)


def measure(network: Network, symmetry: Symmetry, inputs: Inputs, shrink: int, protocol: Protocol) -> dict:
    """Return the errors of a network, for each draw of the weights, each kind, and each element that is measured.

    An error is ``|f(g x) - rho(g) f(x)| / |rho(g) f(x)|``, Euclidean over images, channels and pixels.

    Args:
        network: the network.
        symmetry: its symmetry.
        inputs: the images.
        shrink: by how many rows and columns the output is smaller than the input.
        protocol: how much is measured.

    Returns:
        ``center``: of the point about which the images turn, for all elements; nothing is interpolated anywhere.
        ``invariant``: of the mean over a soft disc of the largest entry of each regular field, or of the norms of
        irreps, for the elements in ``elements``. ``field``: of the whole disc, the output being turned by cubic
        splines, for the same elements, first draw only. ``exact``: of all pixels, the images being white noise, for the
        elements that send pixels to pixels, first draw only.
    """
    off = [g for g, grid in enumerate(symmetry.on_grid) if not grid]
    turned = off[:: max(1, -(-len(off) // protocol.turns))] if off else []
    errors: dict[str, list] = {"center": [], "invariant": []}
    with torch.no_grad():
        for seed in range(protocol.seeds):
            network.draw(seed)
            errors["center"].append(_center(network, symmetry, inputs, shrink))
            outputs = {g: network.run(inputs.moved(g, SIDE + shrink)[: protocol.field_images]) for g in [0, *turned]}
            means = {g: _invariants(y, symmetry) for g, y in outputs.items()}
            errors["invariant"].append([_relative(means[g], means[0]) for g in turned])
            if seed == 0:
                field = [_field(outputs[g], outputs[0], network.rho[g], symmetry.planes[g]) for g in turned]
                exact = [_exact(network, symmetry, g, shrink) for g, grid in enumerate(symmetry.on_grid) if grid]
    return errors | {"elements": turned, "field": field, "exact": exact}


def _relative(found: Tensor, expected: Tensor) -> float:
    return float(f"{float((found - expected).norm() / expected.norm()):.4g}")  # no more digits mean anything


def _center(network: Network, symmetry: Symmetry, inputs: Inputs, shrink: int) -> list[float]:
    count = len(symmetry.planes)
    outputs = [network.run(inputs.moved(g, 1 + shrink))[..., 0, 0] for g in range(count)]  # (b, c) each
    return [_relative(outputs[g], outputs[0] @ network.rho[g].T) for g in range(count)]


def _invariants(y: Tensor, symmetry: Symmetry) -> Tensor:
    """Return the mean of what the group leaves alone in each field (b, c, h, w): ``(b, n)``.

    The mean fades towards the edge of the disc. A sharp edge on pixels would itself change it with the angle, by a few
    tenths of a percent.
    """
    sizes = symmetry.hidden.sizes
    if len(sizes) == 1:
        kept = y.unflatten(1, (-1, symmetry.hidden.dim)).amax(2)  # (b, n, h, w)
    else:
        fields = y.unflatten(1, (-1, symmetry.hidden.dim)).split(sizes, 2)
        kept = torch.stack([part.norm(dim=2) for part in fields], 2).flatten(1, 2)
    fading = torch.cos(torch.pi / 2 * (_radius(y.shape[-1]) / DISC).clamp(max=1)).square()
    return (kept * fading).sum((-2, -1)) / fading.sum()


def _radius(side: int) -> Tensor:
    offsets = torch.arange(side) - (side - 1) / 2
    return torch.hypot(offsets[:, None], offsets)


def _field(found: Tensor, still: Tensor, rho: Tensor, plane: Floats) -> float:
    expected = torch.einsum("dc,bchw->bdhw", rho, _turned(still, plane))
    disc = _radius(still.shape[-1]) < DISC
    return _relative(found[..., disc], expected[..., disc])


def _turned(y: Tensor, plane: Floats) -> Tensor:
    """Return fields moved by any matrix of the plane, by cubic splines: each pixel is taken from where it came."""
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])  # (row, column) = turn (x, y) up to the center
    back = turn @ np.linalg.inv(plane) @ turn.T
    center = np.full(2, (y.shape[-1] - 1) / 2)
    maps = y.flatten(0, 1).numpy()
    moved = [ndimage.affine_transform(one, back, center - back @ center, order=3) for one in maps]
    return torch.from_numpy(np.stack(moved)).view_as(y)


def _exact(network: Network, symmetry: Symmetry, g: int, shrink: int) -> float:
    """Return the error at an element that sends pixels to pixels, which moves input and output without loss."""
    noise = torch.randn(2, COLORS, 12 + shrink, 12 + shrink, generator=torch.Generator().manual_seed(0))

    def move(x: Tensor) -> Tensor:
        turned = torch.rot90(x, round(symmetry.degrees[g] / 90), (-2, -1))
        return turned.flip(-2) if symmetry.mirrored[g] else turned

    expected = torch.einsum("dc,bchw->bdhw", network.rho[g], move(network.run(noise)))
    return _relative(network.run(move(noise)), expected)


def summary(errors: dict, symmetry: Symmetry) -> dict[str, list[float]]:
    """Return, for each kind, the median over the draws of the mean over the elements off the grid, and the largest.

    Args:
        errors: what ``measure`` returned.
        symmetry: the symmetry it was given.
    """
    off = [g for g, grid in enumerate(symmetry.on_grid) if not grid]
    kinds = {"exact": [errors["exact"]]}
    if off:
        kinds["center"] = [[draw[g] for g in off] for draw in errors["center"]]
        kinds |= {"invariant": errors["invariant"], "field": [errors["field"]]}
    return {kind: [float(np.median(np.mean(rows, 1))), float(np.max(rows))] for kind, rows in kinds.items()}
