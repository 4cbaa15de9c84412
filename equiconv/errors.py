"""The errors that equiconv raises when it is used wrongly."""

__all__ = [
    "ConversionError",
    "EquiconvError",
    "ExactnessError",
    "ExportError",
    "FieldTypeError",
    "GroupError",
    "SavingError",
    "ShapeError",
]


class EquiconvError(ValueError):
    """Report a mistake of the caller: what was expected, what came, and how to mend it."""


class GroupError(EquiconvError):
    """Report a group, element or subgroup that does not exist, or factors that do not commute."""


class FieldTypeError(EquiconvError):
    """Report representations or field types that do not fit each other or the layer."""


class ShapeError(EquiconvError):
    """Report a tensor shape, kernel size, stride, padding or dilation that cannot be used."""


class ExactnessError(EquiconvError):
    """Report a setting for which equivariance would silently be lost."""


class SavingError(EquiconvError):
    """Report a module that no file can hold, or a file that is broken, too new, or of something else."""


class ConversionError(EquiconvError):
    """Report a part of an ordinary network that has no equivariant counterpart."""


class ExportError(EquiconvError):
    """Report a module that cannot be written as a plain PyTorch module."""
