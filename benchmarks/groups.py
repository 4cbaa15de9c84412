"""Read groups from the command line, such as ``HueShift(3)*P4,P4M``: parsed, never evaluated."""

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from equiconv import O2, P4, P4M, SO2, Cyclic, Dihedral, EquiconvError, Flip, Group, HueShift, Trivial
from equiconv.groups import Color, Luminance, Saturation, Value
from equiconv.groups.color import SPACES

__all__ = ["KNOWN", "NamedGroup", "parse_groups"]

Argument = int | float | str | bool

KNOWN: dict[str, Callable[..., Group]] = {
    "Trivial": Trivial,
    "P4": P4,
    "P4M": P4M,
    "Cyclic": Cyclic,
    "Dihedral": Dihedral,
    "Flip": Flip,
    "HueShift": HueShift,
    "Saturation": Saturation,
    "Value": Value,
    "Luminance": Luminance,
    "Color": Color,
    "SO2": SO2,
    "O2": O2,
}
COUNTED = ("Cyclic", "Dihedral", "HueShift", "Saturation", "Value", "Luminance")
USAGE = {name: f"{name}(n)" if name in COUNTED else name for name in KNOWN} | {"Color": "Color(n,n,n)"}
LARGEST_NUMBER = 360
LARGEST_ORDER = 256
LARGEST_FREQUENCY = 16


@dataclass(frozen=True)
class NamedGroup:
    """Hold a group and the name that the user gave it."""

    label: str
    group: Group


def parse_groups(text: str) -> tuple[NamedGroup, ...]:
    """Return the groups that a text names.

    Args:
        text: groups separated by commas; each is a name, with arguments in parentheses where it takes any, or a
            product of such names with ``*``. Arguments are numbers, names of color spaces, and True and False by name.

    Returns:
        The groups in the order given, labeled as written, without spaces and empty parentheses.

    Raises:
        EquiconvError: if a name is unknown, the arguments do not fit, anything but names, numbers, ``*`` and commas
            is found, or one group is named twice.

    Example:
        >>> [named.group for named in parse_groups("HueShift(3)*P4, P4M()")]
        [HueShift(3) * Cyclic(4), Dihedral(4)]
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _mistake(f"cannot read {_short(text)} as groups") from None
    nodes = tree.elts if isinstance(tree, ast.Tuple) else [tree]
    if not nodes:
        raise _mistake("no group is named")
    named = tuple(_named(node) for node in nodes)
    _check_distinct(named)
    return named


def _named(node: ast.expr) -> NamedGroup:
    label, group = _build(node)
    return NamedGroup(label, group)


def _build(node: ast.expr) -> tuple[str, Group]:
    match node:
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _product(_build(left), _build(right))
        case ast.Name(id=name):
            return name, _call(_known(name), [], {})
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
            _known(name)
            values = [_space(argument) or _number(argument) for argument in args]
            named = {keyword.arg: _choice(keyword.value) for keyword in keywords if keyword.arg is not None}
            if len(named) == len(keywords):  # no **
                words = [*map(repr, values), *(f"{key}={value!r}" for key, value in named.items())]
                return f"{name}({','.join(words)})" if words else name, _call(name, values, named)
    raise _mistake(f"cannot read {_short(ast.unparse(node))} as a group")


def _product(left: tuple[str, Group], right: tuple[str, Group]) -> tuple[str, Group]:
    label = f"{left[0]}*{right[0]}"
    if left[1].sampled(1).order * right[1].sampled(1).order > LARGEST_ORDER:
        raise _mistake(f"{label} has more than {LARGEST_ORDER} elements")
    return label, left[1] * right[1]


def _known(name: str) -> str:
    if name not in KNOWN:
        raise _mistake(f"there is no group {_short(name)}")
    return name


def _call(name: str, values: Sequence[Argument], named: Mapping[str, Argument]) -> Group:
    numbers = [value for value in values if not isinstance(value, str)]
    if name in ("SO2", "O2") and any(number > LARGEST_FREQUENCY for number in numbers):
        raise _mistake(f"{name} takes a largest frequency of at most {LARGEST_FREQUENCY}")
    if name == "Color" and math.prod(numbers) > LARGEST_ORDER:
        raise _mistake(f"{name} has more than {LARGEST_ORDER} elements")
    try:
        return KNOWN[name](*values, **named)
    except TypeError:
        given = ", ".join([*map(repr, values), *(f"{key}={value!r}" for key, value in named.items())]) or "nothing"
        raise _mistake(f"{name} does not take {given} in its parentheses") from None


def _space(node: ast.expr) -> str | None:
    """Return the name of a color space; None if it is none."""
    return node.value if isinstance(node, ast.Constant) and node.value in SPACES else None


def _choice(node: ast.expr) -> str | bool:
    """Return what an argument that has a name may be: a color space, True or False."""
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        return node.value
    if (space := _space(node)) is not None:
        return space
    raise _mistake(f"arguments with a name are {', '.join(SPACES)}, True or False; got {_short(ast.unparse(node))}")


def _number(node: ast.expr) -> int | float:
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as value) if abs(value) <= LARGEST_NUMBER:
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(operand)
    raise _mistake(f"arguments of groups are numbers up to {LARGEST_NUMBER}; got {_short(ast.unparse(node))}")


def _check_distinct(named: tuple[NamedGroup, ...]) -> None:
    for index, one in enumerate(named):
        for other in named[:index]:
            if one.group == other.group:
                raise EquiconvError(f"the groups {other.label} and {one.label} are the same; name it once")


def _mistake(reason: str) -> EquiconvError:
    names = ", ".join(USAGE.values())
    return EquiconvError(
        f'{reason}; known groups: {names}, and products such as "HueShift(3)*P4"; commas separate them'
    )


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
