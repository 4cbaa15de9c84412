"""Check claims of equivariance: on any module, by code that shares nothing with the groups' own tables.

Images are moved by ``rot90``, ``flip``, a rotation of the colors by SciPy, and SciPy's interpolation for other angles.
"""

import copy
import math
import pickle
from collections.abc import Callable

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation
from torch import Tensor, nn
from torch.nn import functional as F

from equiconv.errors import FieldTypeError, GroupError
from equiconv.groups import Cyclic, Dihedral, DirectProduct, FieldType, Flip, Group, HueShift, Subgroup, Trivial
from equiconv.groups.representation import Representation, as_type

__all__ = ["assert_equivariant", "assert_group_laws", "equivariance_error", "move_image"]

Move = Callable[[Tensor, int], Tensor]


def move_image(group: Group, x: Tensor, g: int) -> Tensor:
    """Move an image by a group element, by code that does not use the tables of the group.

    Args:
        group: one of equiconv's groups, a product or a subgroup of them.
        x: images ``(..., C, H, W)``; colors are moved if C = 3.
        g: the element.

    Returns:
        The moved images. Angles off the grid are interpolated by cubic splines.

    Raises:
        GroupError: if it is not known how the group should move an image; pass ``move`` to the caller then.

    Example:
        >>> from equiconv.groups import P4
        >>> x = torch.arange(9.0).view(1, 3, 3)
        >>> torch.equal(move_image(P4(), x, 1), torch.rot90(x, 1, (-2, -1)))
        True
    """
    match group:
        case DirectProduct():
            for factor in reversed(group.factors):
                g, part = divmod(g, factor.order)
                x = move_image(factor, x, part)
            return x
        case Subgroup():
            return move_image(group.parent, x, group.elements[g])
        case Trivial():
            return x
        case Cyclic():
            return _turned(x, 360 * g / group.n)
        case Dihedral():
            flipped, steps = divmod(g, group.n)
            turned = _turned(x, 360 * steps / group.n)
            return turned.flip(-2) if flipped else turned
        case Flip():
            return _turned(x.flip(-2), math.degrees(2 * group.axis)) if g else x
        case HueShift():
            return _hue_shifted(x, 2 * math.pi * g / group.n)
    raise GroupError(f"it is not known how {group!r} should move an image: pass move=, a function of (image, element)")


def _turned(x: Tensor, degrees: float) -> Tensor:
    quarters = degrees / 90
    if abs(quarters - round(quarters)) < 1e-9:
        return torch.rot90(x, round(quarters), (-2, -1))
    turned = ndimage.rotate(x.numpy(), degrees, axes=(-1, -2), reshape=False, order=3)
    return torch.from_numpy(np.ascontiguousarray(turned)).to(x.dtype)


def _hue_shifted(x: Tensor, angle: float) -> Tensor:
    if x.shape[-3] != 3:
        return x
    matrix = Rotation.from_rotvec(angle * np.ones(3) / math.sqrt(3)).as_matrix()
    return torch.tensordot(torch.from_numpy(matrix).to(x.dtype), x.movedim(-3, 0), 1).movedim(0, -3)


def equivariance_error(
    module: Callable[[Tensor], Tensor],
    in_type: FieldType | Representation | None = None,
    out_type: FieldType | Representation | None = None,
    *,
    size: tuple[int, int] = (9, 9),
    move: Move | None = None,
    seed: int = 0,
) -> float:
    """Measure how far a module is from equivariance, over every element of its group.

    A copy of the module runs in float64, in the mode (training or evaluation) that it is in.

    Args:
        module: a module or function from tensors of ``in_type`` to tensors of ``out_type``, or to ``(B, classes)``.
        in_type: the type of the input; None takes ``module.in_type``.
        out_type: the type of the output, on the same group; None takes ``module.out_type``.
        size: height and width of the test images.
        move: how ``(image, element)`` becomes the moved image, for groups that are not equiconv's own.
        seed: the seed of the test images, and of whatever is random in the module.

    Returns:
        The largest ``|f(g x) - g f(x)| / |f(x) - f(x')|``, x and x' being different images. NaN if an output is not
        finite; infinity if the output is zero, constant, or the same for different inputs, so that nothing was tested.
        For angles off the pixel grid only the inscribed disk counts, and the interpolation of the images is part of the
        error.

    Raises:
        FieldTypeError: if a type is missing, or the two types are of different groups.

    Example:
        >>> from equiconv.groups import P4
        >>> from equiconv.layers import GroupConv2d
        >>> equivariance_error(GroupConv2d(P4().image, 2 * P4().regular, 3)) < 1e-12
        True
    """
    return max(_errors(module, in_type, out_type, size, move, seed), key=lambda e: math.inf if math.isnan(e) else e)


def assert_equivariant(
    module: Callable[[Tensor], Tensor],
    in_type: FieldType | Representation | None = None,
    out_type: FieldType | Representation | None = None,
    *,
    size: tuple[int, int] = (9, 9),
    tolerance: float = 1e-10,
    move: Move | None = None,
    seed: int = 0,
) -> None:
    """Raise AssertionError unless a module is equivariant under every element of its group.

    Args:
        module: a module or function from tensors of ``in_type`` to tensors of ``out_type``, or to ``(B, classes)``.
        in_type: the type of the input; None takes ``module.in_type``.
        out_type: the type of the output, on the same group; None takes ``module.out_type``.
        size: height and width of the test images.
        move: how ``(image, element)`` becomes the moved image, for groups that are not equiconv's own.
        seed: the seed of the test images, and of whatever is random in the module.
        tolerance: the largest relative error allowed, in float64.

    Raises:
        AssertionError: if the error of an element is not below the tolerance, an output is not finite, or the output is
            zero, constant, or the same for different inputs.
        FieldTypeError: if a type is missing, or the two types are of different groups.

    Example:
        >>> from equiconv.groups import HueShift
        >>> from equiconv.layers import GroupConv2d
        >>> assert_equivariant(GroupConv2d(HueShift(3).image, 2 * HueShift(3).regular, 3))
    """
    errors = _errors(module, in_type, out_type, size, move, seed)
    for g, error in enumerate(errors):
        if not error < tolerance:
            what = {"nan": "is not finite", "inf": "is zero, constant or blind to its input"}.get(str(error))
            reason = f"output {what}" if what else f"relative error {error:.3g}, tolerance {tolerance:g}"
            raise AssertionError(f"not equivariant under element {g} of {len(errors)}: {reason}")


def _errors(
    module: Callable[[Tensor], Tensor],
    in_type: FieldType | Representation | None,
    out_type: FieldType | Representation | None,
    size: tuple[int, int],
    move: Move | None,
    seed: int,
) -> list[float]:
    in_type, out_type = in_type or getattr(module, "in_type", None), out_type or getattr(module, "out_type", None)
    if in_type is None or out_type is None:
        raise FieldTypeError("say in_type and out_type: this module does not know them")
    source, target = as_type(in_type), as_type(out_type)
    if source.group != target.group:
        raise FieldTypeError(
            f"one group is tested at a time; got {source!r} and {target!r}: restrict one, or pass out_type on "
            f"{source.group!r}"
        )
    group = source.group
    mover = move or (lambda x, g: move_image(group, x, g))
    if isinstance(module, nn.Module):
        module = copy.deepcopy(module).double()
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(2, 3 * source.n, *size, generator=generator, dtype=torch.float64).unflatten(1, (-1, 3))
    bank = torch.randn(source.fiber, 3, 3, 3, generator=generator, dtype=torch.float64)

    def run(probe: Tensor, g: int) -> Tensor:
        x = _field(source, _moved(mover, probe, g), bank, mover, g)
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            return module(x)

    still = run(images, 0)
    return [_difference(run(images, g), still, target, g, mover) for g in range(group.order)]


def _moved(mover: Move, images: Tensor, g: int) -> Tensor:
    """Return RGB images (b, n, 3, h, w), moved one by one so that every image has its three colors."""
    return mover(images.flatten(0, 1), g).unflatten(0, images.shape[:2])


def _field(source: FieldType, images: Tensor, bank: Tensor, mover: Move, g: int) -> Tensor:
    """Return the fields of the moved images (b, n, 3, h, w): ``sum_h rho(h) h.phi(h^-1.image)``, phi any function.

    This moves as the representation does, by construction, and is generic. RGB images are taken as they are.
    """
    if source.flat and source.fiber == 3 and source.representation == source.group.image:
        return images.flatten(1, 2)
    group, b = source.group, len(images)
    flat = images.flatten(0, 1)  # (b*n, 3, h, w)
    total: Tensor | float = 0.0
    for h in range(group.order):
        back = mover(flat, int(group.inverse[h]))
        response = torch.tanh(F.conv2d(back, bank, padding=1))  # (b*n, d, h, w)
        moved = mover(response[:, :, None], h)[:, :, 0]  # one channel at a time: only the plane moves
        total = total + torch.einsum("ij,bjhw->bihw", _matrix(source, h), moved)
    assert isinstance(total, Tensor)
    return source.like(total.unflatten(0, (b, -1)))


def _difference(moved: Tensor, still: Tensor, target: FieldType, g: int, mover: Move) -> float:
    """Return the relative distance of ``moved`` from ``still`` moved by g."""
    if not (moved.isfinite().all() and still.isfinite().all()):
        return math.nan
    norm = float(still.norm())
    spread = float((still - still.flatten()[0]).norm())
    variation = float((still - still.roll(1, 0)).norm())  # between the two inputs: what a bias adds does not count
    if norm == 0 or spread <= 1e-9 * norm or variation <= 1e-9 * norm:
        return math.inf
    if still.dim() == 2:
        return float((moved - still).norm()) / variation
    fields = target.fields(still.double())  # (b, n, d, h, w)
    turned = torch.einsum("ij,bnjhw->bnihw", _matrix(target, g), fields)
    expected = mover(turned[..., None, :, :], g).squeeze(-3)  # (b, n, d, h, w)
    found = target.fields(moved.double())
    if found.shape != expected.shape:
        return math.inf
    disk = 1.0 if target.group.keeps_grid else _disk(*expected.shape[-2:])
    return float(((found - expected) * disk).norm() / ((expected - expected.roll(1, 0)) * disk).norm())


def _matrix(field_type: FieldType, g: int) -> Tensor:
    return torch.tensor(field_type.representation.rho[g].tolist(), dtype=torch.float64)


def _disk(height: int, width: int) -> Tensor:
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    return ((x**2 + y**2) <= 0.8).double()


def assert_group_laws(group: Group, *, move: Move | None = None) -> None:
    """Raise AssertionError unless a group keeps every law that the library relies on.

    Associativity, identity, inverses; plane and colors move as the product says, and as ``move_image`` does; the irreps
    are representations, irreducible, distinct and complete, and the regular representation splits into them; the group
    is equal to its pickled copy and to what its ``repr`` names.

    Args:
        group: any finite group.
        move: how ``(image, element)`` becomes the moved image, for groups that are not equiconv's own.

    Raises:
        AssertionError: if a law does not hold.

    Example:
        >>> from equiconv.groups import HueShift, P4M
        >>> assert_group_laws(HueShift(3) * P4M())
    """
    table, n = group.table, group.order
    for g in range(n):
        _require(np.array_equal(table[table[:, g]], table[:, table[g]]), f"(a.{g}).b = a.({g}.b)")
        _require(
            table[g, group.inverse[g]] == 0 == table[group.inverse[g], g], f"{g} times its inverse is the identity"
        )
    _require(np.array_equal(table[0], np.arange(n)) and np.array_equal(table[:, 0], np.arange(n)), "0 is the identity")
    _check_moves(group, move or (lambda x, g: move_image(group, x, g)))
    irreps = [irrep.rho for irrep in group.irreps]
    characters = np.array([rho.trace(axis1=1, axis2=2) for rho in irreps])
    gram = characters @ characters.T / n
    _require(np.allclose(gram, np.diag(gram.diagonal()), atol=1e-9), "irreps are distinct")
    _require(
        np.isclose(sum(len(rho[0]) ** 2 / e for rho, e in zip(irreps, gram.diagonal(), strict=True)), n), "complete"
    )
    for rep in (*group.irreps, group.regular, group.vector, group.image):
        products = np.einsum("aij,bjk->abik", rep.rho, rep.rho)
        _require(np.allclose(products, rep.rho[table], atol=1e-9), f"{rep!r} multiplies as the group does")
    indices, basis = group.regular.decompose()
    blocks = [irreps[k] for k in indices]
    _require(sum(len(rho[0]) for rho in blocks) == n, "the irreps in the regular representation fill it")
    diagonal = np.array([_block_diagonal([rho[g] for rho in blocks]) for g in range(n)])
    _require(np.allclose(basis @ diagonal @ basis.T, group.regular.rho, atol=1e-9), "the regular representation splits")
    _require(pickle.loads(pickle.dumps(group)) == group == copy.deepcopy(group), "equal to its copies")


def _check_moves(group: Group, mover: Move) -> None:
    image = torch.randn(3, 7, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for a in range(group.order):
        for what in (group.plane, group.color):
            _require(
                np.allclose(what[a] @ what, what[group.table[a]], atol=1e-9), f"element {a} moves as its products do"
            )
        if group.keeps_grid:
            moved = group.transform_image(image, a)
            _require(torch.allclose(moved, mover(image, a), atol=1e-9), f"element {a} moves an image as it should")


def _block_diagonal(blocks: list[np.ndarray]) -> np.ndarray:
    size = sum(map(len, blocks))
    matrix, start = np.zeros((size, size)), 0
    for block in blocks:
        end = start + len(block)
        matrix[start:end, start:end] = block
        start = end
    return matrix


def _require(held: bool, law: str) -> None:
    if not held:
        raise AssertionError(f"the law does not hold: {law}")
