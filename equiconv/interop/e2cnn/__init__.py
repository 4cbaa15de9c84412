"""Run e2cnn 0.2.3 on today's NumPy and PyTorch, and turn its modules into equiconv's."""

from equiconv.interop.e2cnn.conversion import from_e2cnn
from equiconv.interop.e2cnn.fields import field_type_from_e2cnn, fields_from_e2cnn, fields_to_e2cnn
from equiconv.interop.e2cnn.repairing import repair

__all__ = ["field_type_from_e2cnn", "fields_from_e2cnn", "fields_to_e2cnn", "from_e2cnn", "repair"]
