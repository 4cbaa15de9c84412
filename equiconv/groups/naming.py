"""Names that rebuild what they name."""


def enclosed(value: object) -> str:
    """Return the repr of ``value``, in parentheses if it is a sum or a product."""
    text, depth = repr(value), 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter in "+*" and depth == 0:
            return f"({text})"
    return text
