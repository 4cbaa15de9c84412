"""Sums and products of maps, with each other, with numbers and with tensors that the network holds."""

import operator
from typing import Any

import torch
from torch import fx

from equiconv.converting.draft import FIELDS, IMAGE, INVARIANTS, PLAIN, Value
from equiconv.converting.layers import check_entries, check_pointwise, like
from equiconv.converting.ordinary import copied
from equiconv.converting.shapes import same_size
from equiconv.converting.step import Step
from equiconv.converting.widths import fix, size_of, tie

SUMS = {"add": operator.add, "sub": operator.sub}
PRODUCTS = {"mul": operator.mul, "multiply": operator.mul, "div": operator.truediv, "truediv": operator.truediv}
EXTREMES = {"maximum": torch.maximum, "minimum": torch.minimum}
BINARY = {**SUMS, **PRODUCTS, **EXTREMES}


def combined(step: Step, name: str) -> Value:
    """Convert sums and products, of maps or with a number."""
    fixed = [node for node in step.node.all_input_nodes if node.op == "get_attr"]
    if len(fixed) == 1 and len(step.node.args) == 2 and not step.node.kwargs:
        return _with_tensor(step, name, fixed[0])
    given = list(step.arguments("input", "other").values())
    values = [each for each in given if isinstance(each, Value)]
    if not all(isinstance(each, Value | int | float) for each in given):
        step.refuse("it combines maps with something else than maps or numbers")
    if any(value.kind == PLAIN for value in values):
        return copied(step, *values)
    if len(values) == 2:
        return _of_two(step, name, *values)
    divided = name in ("div", "truediv") and given[0] is not values[0]
    if name in SUMS or divided:
        check_entries(step, values[0])
    args = [each.node if isinstance(each, Value) else each for each in given]
    return like(values[0], step.function(BINARY[name], *args))


def _with_tensor(step: Step, name: str, fixed: fx.Node) -> Value:
    """Convert a sum or product with a tensor that the network holds."""
    value = step.given(next(node for node in step.node.all_input_nodes if node is not fixed))
    if not isinstance(value, Value) or not value.is_map:
        return copied(step, *([value] if isinstance(value, Value) else []))
    tensor = step.held(fixed)
    if value.plane != step.shape[2:] or tuple(tensor.shape[-2:]) not in ((), (1,), (1, 1)):
        step.refuse("it combines maps with a parameter or a buffer that differs from pixel to pixel")
    if value.kind == INVARIANTS and tensor.shape[-2:] == (1, 1):
        fix(value.pieces)
        other: Any = step.attribute(fixed)
    elif _is_number(tensor):
        other = tensor.flatten()[0].item()
    else:
        step.refuse("it combines maps with a parameter, or with a buffer of several values, one for each channel")
    if value.kind != INVARIANTS and (name in SUMS or (name in ("div", "truediv") and step.node.args[0] is fixed)):
        check_entries(step, value)
    args = [value.node if each is not fixed else other for each in step.node.args]
    return like(value, step.function(BINARY[name], *args))


def _of_two(step: Step, name: str, a: Value, b: Value) -> Value:
    kinds = {a.kind, b.kind}
    if a.flat != b.flat or (a.is_map != b.is_map):
        a, b = (step.vector(each) if each.flat else each for each in (a, b))
        kinds = {a.kind, b.kind}
    if len(kinds) > 1 and kinds != {FIELDS, INVARIANTS}:
        step.refuse(f"it combines values of different kinds: {a.kind} and {b.kind}")
    if a.flat and a.plane != b.plane:
        step.refuse("it combines flattened maps of different sizes")
    mixes = len(kinds) == 2 and (name not in PRODUCTS or (name in ("div", "truediv") and b.kind == FIELDS))
    if (name not in SUMS and kinds == {FIELDS}) or mixes:
        check_entries(step, a if a.kind == FIELDS else b)
    if name not in SUMS and kinds == {IMAGE}:
        check_pointwise(step, a)
    if same_size(a, b):
        tie(a.pieces, b.pieces)
    elif 1 not in (size_of(a.pieces), size_of(b.pieces)):
        step.refuse("the numbers of channels differ")
    larger = a if size_of(a.pieces) >= size_of(b.pieces) else b
    nodes = [
        step.function(torch.unsqueeze, each.node, 2) if len(kinds) == 2 and each.kind == INVARIANTS else each.node
        for each in (a, b)
    ]
    kind = FIELDS if FIELDS in kinds else a.kind
    plane = (step.shape[2], step.shape[3]) if a.is_map else a.plane
    return Value(step.function(BINARY[name], *nodes), kind, larger.pieces, plane, a.flat)


def _is_number(tensor: torch.Tensor) -> bool:
    """Tell whether a tensor is no parameter, and has one value everywhere."""
    if isinstance(tensor, torch.nn.Parameter) or tensor.is_meta or not tensor.numel():
        return False
    return bool((tensor == tensor.flatten()[0]).all())
