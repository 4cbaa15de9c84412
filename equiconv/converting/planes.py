"""What changes the plane: pooling, resizing, padding, averages."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from equiconv.converting.draft import FIELDS, INVARIANTS, Value
from equiconv.converting.layers import check_entries, like, place
from equiconv.converting.ordinary import clone
from equiconv.converting.pooling import SymmetricPool, Windows
from equiconv.converting.sizes import Resize, holds_none
from equiconv.converting.step import Step
from equiconv.layers import AdaptivePool, Upsample
from equiconv.layers.window import check_equal


def pool(step: Step, windows: Windows, mode: str, value: Value) -> Value:
    """Convert pooling over windows of the plane."""
    step.check_maps(value)
    plane, exact = (step.shape[2], step.shape[3]), step.options.exact
    moved = exact and step.group.moves_plane and not windows.fit(value.plane)
    mode, why = allowed_mode(step, mode, value)
    why += ["windows moved to lie symmetrically on images of every size"] if moved else []
    node = place(
        step,
        f"{mode}_pool",
        lambda widths: SymmetricPool(step.draft.type_of(value, widths), windows, mode=mode, exact=exact),
        value,
        why="; ".join(why),
        status="changed" if why else "converted",
    )
    return like(value, node, plane)


def allowed_mode(step: Step, mode: str, value: Value) -> tuple[str, list[str]]:
    """Return the mode of a pooling, and what to tell of it."""
    if mode == "max" and value.kind == FIELDS and not step.draft.permutes:
        return "mean", ["mean, since the group is continuous, and maxima of samples are not exact"]
    return mode, []


def adaptive_pool(step: Step, size: Any, mode: str, value: Value) -> Value:
    """Convert pooling to a number of windows."""
    step.check_maps(value)
    sizes = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if not all(isinstance(each, int) for each in sizes):
        step.refuse(f"its output_size is not two numbers, but {size!r}")
    mode, why = allowed_mode(step, mode, value)
    exact = step.options.exact
    with step.named():
        check_equal(step.group, sizes, "output_size", exact)
    exact = exact and step.group.keeps_grid
    node = place(
        step,
        f"{mode}_pool",
        lambda widths: AdaptivePool(step.draft.type_of(value, widths), sizes, mode=mode, exact=exact),
        value,
        why="; ".join(why),
        status="changed" if why else "converted",
    )
    return like(value, node, (step.shape[2], step.shape[3]))


def upsample(step: Step, options: Mapping[str, Any], value: Value, read: Any = None) -> Value:
    """Convert enlarging by interpolation; ``read`` is a size that is read from other maps."""
    step.check_maps(value)
    size, scale, mode = options["size"], options["scale_factor"], options["mode"]
    corners = options.get("align_corners")
    if mode not in ("nearest", "nearest-exact", "bilinear", "bicubic"):
        step.refuse('the modes are "nearest", "bilinear" and "bicubic"')
    if read is not None and holds_none(read):
        step.refuse("size is read from something else than the height and width of maps")
    whole = all(new % old == 0 for new, old in zip(step.shape[2:], value.plane, strict=True))
    exact = step.options.exact and step.group.moves_plane
    if mode == "nearest" and not whole and exact:
        step.refuse('mode="nearest" takes pixels to the left and above where sizes are no multiples: "nearest-exact"')
    if read is not None or corners or (mode == "nearest" and not whole):
        return _resized(step, value, Resize(mode, corners=corners, scale=scale, exact=exact), read or size)
    mode = "nearest" if mode == "nearest-exact" else mode
    place_of: dict[str, Any] = {"size": size} if scale is None else {"scale": scale}
    node = place(
        step,
        "upsample",
        lambda widths: Upsample(step.draft.type_of(value, widths), **place_of, mode=mode, exact=step.options.exact),
        value,
    )
    return like(value, node, (step.shape[2], step.shape[3]))


def _resized(step: Step, value: Value, resize: Resize, size: Any) -> Value:
    with step.named():
        if resize.scale is not None:
            check_equal(step.group, pair_of(resize.scale), "scale_factor", resize.exact)
        elif size is not None and not step.is_read(step.node.args[1:]) and step.node.op == "call_module":
            check_equal(step.group, pair_of(size), "size", resize.exact)
    node = place(step, "upsample", lambda widths: resize, value)
    node.args = (value.node,) if size is None else (value.node, pair_of(size) if isinstance(size, int) else size)
    return like(value, node, (step.shape[2], step.shape[3]))


def pair_of(value: Any) -> Any:
    """Return two numbers for one."""
    return tuple(value) if isinstance(value, list | tuple) else (value, value)


def zero_pad(step: Step, module: Any, value: Value) -> Value:
    """Keep ``nn.ZeroPad2d`` and its like where they add as much on all sides."""
    step.check_maps(value)
    if step.group.moves_plane and step.options.exact and len(set(module.padding)) > 1:
        step.refuse(f"it adds {module.padding} pixels, and not as many on all sides: turned images are cut elsewhere")
    if getattr(module, "value", 0) and value.kind != INVARIANTS:
        check_entries(step, value)
    plane = (step.shape[2], step.shape[3])
    if value.kind != FIELDS:
        return like(value, place(step, "pad", clone(step), value, status="kept"), plane)
    flat = like(value, step.function(torch.flatten, value.node, 1, 2))  # (b, n*d, h, w), as the original takes
    node = place(step, "pad", clone(step), flat, status="kept")
    return like(value, step.function(torch.unflatten, node, 1, (-1, step.group.regular.dim)), plane)


def averaged(step: Step, value: Value, *, function: Callable[..., Tensor], keepdim: bool) -> Value:
    """Convert a mean or a maximum over the whole plane."""
    if value.kind == FIELDS and function is torch.amax and not step.draft.permutes:
        step.refuse("maxima of functions on a continuous group are not exact; take the mean")
    pooled = like(value, step.function(function, value.node, (-2, -1), keepdim=True), (1, 1))
    if keepdim:
        return pooled
    return step.vector(pooled)
