"""Sums and products of representations."""

from equiconv.errors import FieldTypeError
from equiconv.groups import irreps
from equiconv.groups.representation import Representation
from equiconv.groups.values import enclosed


def direct_sum(a: Representation, b: Representation) -> Representation:
    """Return the direct sum of two representations of one group, as ``a + b``."""
    if not isinstance(b, Representation):
        raise FieldTypeError(f"a direct sum adds representations; got {b!r}")
    if b.group != a.group:
        raise FieldTypeError(f"a direct sum needs one group; got {a!r} on {a.group!r} and {b!r} on {b.group!r}")
    for rep in (a, b):
        rep.check_linear()
    rho = irreps.direct_sum([a.rho, b.rho])
    return Representation(a.group, rho, name=f"{a!r} + {b!r}", summands=a.summands + b.summands)


def outer_product(a: Representation, b: Representation) -> Representation:
    """Return the outer product of representations of two groups, a representation of their product, as ``a * b``."""
    if not isinstance(b, Representation):
        raise FieldTypeError(f"write the number of fields first, n * representation; got {a!r} * {b!r}")
    if b.group == a.group:
        raise FieldTypeError(
            f"rep * rep is the outer product over two different groups; both are representations of {a.group!r}"
        )
    for rep in (a, b):
        rep.check_linear()
    name, rho = f"{enclosed(a)} * {enclosed(b)}", irreps.outer(a.rho, b.rho)
    return Representation(a.group * b.group, rho, name=name, flat=a.flat and b.flat)
