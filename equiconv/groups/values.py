"""What the values of the library share: they are written once, and shown by what rebuilds them."""

import operator


class WriteOnce:
    """Refuse to change an attribute that is set: objects are compared and hashed by value."""

    def __setattr__(self, name: str, value: object) -> None:
        if name in self.__dict__:
            raise AttributeError(
                f"{type(self).__name__} objects do not change; make a new one instead of setting {name}"
            )
        super().__setattr__(name, value)


def integer(value: object) -> int | None:
    """Return ``value`` as an int, NumPy's integers too; None if it is anything else, such as a bool."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def is_number(value: object, least: float, most: float) -> bool:
    """Tell whether ``value`` is a real number from ``least`` to ``most``."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most


def enclosed(value: object) -> str:
    """Return the repr of ``value``, in parentheses if it is a sum or a product."""
    text, depth = repr(value), 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter in "+*" and depth == 0:
            return f"({text})"
    return text
