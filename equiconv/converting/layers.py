"""Normalization, activations, dropout and pooling: what they are on fields."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, fx, nn

from equiconv.converting.draft import FIELDS, IMAGE, INVARIANTS, PLAIN, VECTOR, Cost, Make, Value
from equiconv.converting.ordinary import clone, copied
from equiconv.converting.pooling import Pair
from equiconv.converting.step import Step
from equiconv.converting.widths import Widths, divide
from equiconv.layers import FieldBatchNorm, FieldDropout, FieldGroupNorm
from equiconv.models.blocks import activation

INSTANCE_OPTIONS = ("eps", "momentum", "affine", "track_running_stats")


def place(step: Step, name: str, make: Make, value: Value, *, why: str = "", status: str = "converted") -> fx.Node:
    """Add a module without parameters that knows the type of its input: one for each call."""
    step.check_colors(value)
    known = step.node.op == "call_module"
    name = str(step.node.target) if known else step.within(name)
    was = type(step.draft.twin.get_submodule(name)).__name__ if known else step.what.partition(" in ")[0]
    name = step.draft.unused(name) if name in step.draft.plans else name
    return step.module(name, make, value.node, was=was, why=why, status=status)


def weighted(step: Step, module: nn.Module, make: Make, value: Value, *, parameters: int, why: str = "") -> Value:
    """Add a norm or an activation with parameters, so many for each field."""
    step.check_colors(value)
    name, pieces = str(step.node.target), value.pieces
    if (known := step.again(name, value)) is not None:
        return like(value, known)
    node = step.module(name, make, value.node, was=type(module).__name__, why=why, source=name)
    step.draft.shared[name] = (value, pieces)
    step.draft.costs.append(Cost(lambda widths: parameters * widths(pieces)))
    return Value(node, value.kind, pieces, value.plane, value.flat)


def like(value: Value, node: fx.Node, plane: Pair | None = None) -> Value:
    """Return a value of the same fields, of another node."""
    return Value(node, value.kind, value.pieces, value.plane if plane is None else plane, value.flat)


def check_pointwise(step: Step, value: Value) -> None:
    """Refuse what acts on single entries where the group mixes them."""
    if value.kind == IMAGE and not step.options.image.representation.is_permutation:
        step.refuse(f"the colors of the image are mixed by {step.group!r}; do it behind a convolution")


def check_entries(step: Step, value: Value) -> None:
    """Refuse what acts on every entry, on an image or on fields that the group mixes."""
    check_pointwise(step, value)
    if value.kind == FIELDS and not step.draft.permutes:
        step.refuse("it acts on every entry, and a continuous group mixes them")


def pointwise(step: Step, module: nn.Module, value: Value) -> Value:
    """Keep an activation; on functions on a continuous group it acts on their samples."""
    check_pointwise(step, value)
    make = clone(step)
    if value.kind == FIELDS and not step.draft.permutes:
        return like(value, sampled(step, value, lambda: make(Widths(1))))
    name = str(step.node.target)
    step.constant_cost(name)
    node = step.module(name, make, value.node, status="kept", was=type(module).__name__, why="acts on every entry")
    return like(value, node)


def sampled(step: Step, value: Value, function: Callable[[], Callable[[Tensor], Tensor]]) -> fx.Node:
    """Add an activation of samples of functions on a continuous group."""
    return place(
        step,
        "activation",
        lambda widths: activation(step.draft.type_of(value, widths), function()),
        value,
        why="acts on samples of functions on the group",
    )


def prelu(step: Step, module: nn.PReLU, value: Value) -> Value:
    """Convert ``nn.PReLU``: one slope for all entries of a field."""
    if not step.draft.permutes:
        step.refuse("its slopes are learned, and activations of a continuous group have none; take ReLU")
    if module.num_parameters == 1:
        return pointwise(step, module, value)
    _check_fields(step, value)
    return weighted(step, module, lambda widths: nn.PReLU(widths(value.pieces)), value, parameters=1)


def batch_norm(step: Step, module: nn.BatchNorm2d, value: Value) -> Value:
    """Convert batch norm: one mean and variance for all entries of a field."""
    if value.flat:
        value = _one_pixel(step, value)
    affine, tracked, momentum = module.affine, module.track_running_stats, module.momentum
    options = {"eps": module.eps, "momentum": momentum, "affine": affine, "track_running_stats": tracked}
    if value.kind == PLAIN:
        return copied(step, value)
    if (value.kind == IMAGE and step.group.moves_color) or (value.kind == FIELDS and not step.draft.permutes):
        if momentum is None or not tracked:
            step.refuse("it has no momentum or no running statistics, which FieldBatchNorm has")
        parameters = 2 * affine
        return weighted(
            step,
            module,
            lambda widths: FieldBatchNorm(
                step.draft.type_of(value, widths), eps=module.eps, momentum=momentum, affine=affine
            ),
            value,
            parameters=parameters,
            why="one variance for each field",
        )
    if isinstance(module, nn.SyncBatchNorm):
        stock: Callable[..., nn.Module] = nn.SyncBatchNorm
    else:
        stock = {FIELDS: nn.BatchNorm3d, VECTOR: nn.BatchNorm1d}.get(value.kind, nn.BatchNorm2d)

    def make(widths: Widths) -> nn.Module:
        return stock(module.num_features if value.kind == IMAGE else widths(value.pieces), **options)

    why = "statistics of whole fields" if value.kind == FIELDS else ""
    return weighted(step, module, make, value, parameters=2 * affine, why=why)


def group_norm(step: Step, module: nn.GroupNorm, value: Value) -> Value:
    """Convert ``nn.GroupNorm``: statistics of blocks of whole fields."""
    _check_fields(step, value)
    divide(value.pieces, module.num_groups)
    blocks, eps, affine = module.num_groups, module.eps, module.affine

    def make(widths: Widths) -> nn.Module:
        if value.kind == FIELDS and not step.draft.permutes:
            return FieldGroupNorm(step.draft.type_of(value, widths), channel_groups=blocks, eps=eps, affine=affine)
        return nn.GroupNorm(blocks, widths(value.pieces), eps, affine)

    return weighted(step, module, make, value, parameters=2 * affine, why="statistics of blocks of fields")


def instance_norm(step: Step, module: nn.InstanceNorm2d, value: Value) -> Value:
    """Convert ``nn.InstanceNorm2d``: statistics of single fields."""
    _check_fields(step, value)
    stock = nn.InstanceNorm3d if value.kind == FIELDS else nn.InstanceNorm2d
    if not step.draft.permutes:
        step.refuse("it subtracts the mean of every entry, which a continuous group mixes; take nn.GroupNorm")
    options: dict[str, Any] = {name: getattr(module, name) for name in INSTANCE_OPTIONS}

    def make(widths: Widths) -> nn.Module:
        return stock(widths(value.pieces), **options)

    return weighted(step, module, make, value, parameters=2 * module.affine, why="statistics of whole fields")


def layer_norm(step: Step, module: nn.LayerNorm, value: Value) -> Value:
    """Convert ``nn.LayerNorm`` of a vector of invariants."""
    if value.is_map:
        step.refuse("it normalizes rows or transposed maps; take nn.GroupNorm(1, channels) or nn.BatchNorm2d")
    value = step.vector(value)
    if value.kind == PLAIN or len(module.normalized_shape) != 1:
        return copied(step, value)
    affine, bias = module.elementwise_affine, module.bias is not None

    def make(widths: Widths) -> nn.Module:
        return nn.LayerNorm(widths(value.pieces), module.eps, affine, bias)

    return weighted(step, module, make, value, parameters=affine + bias)


def identity(step: Step, value: Value) -> Value:
    """Keep ``nn.Identity``, so that names stay."""
    name = str(step.node.target)
    return like(value, step.module(name, clone(step), value.node, status="kept", was="Identity"))


def dropout(step: Step, p: float, value: Value, *, entries: bool) -> Value:
    """Convert dropout, of single entries or whole channels: of maps whole fields are dropped."""
    changed = entries and value.plane != (1, 1)
    if value.kind in (IMAGE, FIELDS):
        node = place(
            step,
            "dropout",
            lambda widths: FieldDropout(step.draft.type_of(value, widths), p),
            value,
            why="drops whole fields",
            status="changed" if changed else "converted",
        )
        return like(value, node)
    stock = nn.Dropout2d if value.kind == INVARIANTS else nn.Dropout
    status = "changed" if changed else "kept"
    return like(value, place(step, "dropout", lambda widths: stock(p), value, status=status, why="of invariants"))


def _one_pixel(step: Step, value: Value) -> Value:
    """Return flattened maps if they have one pixel, or refuse."""
    return value if value.plane == (1, 1) else step.vector(value)


def _check_fields(step: Step, value: Value) -> None:
    if value.kind not in (FIELDS, INVARIANTS) or (value.flat and value.plane != (1, 1)):
        step.refuse("it takes what a convolution returns, and got an image or a vector")
