"""Modules in files: the weights, and what rebuilds the module without the code that made it."""

from equiconv.recorded import Recorded
from equiconv.saving.file import load, save

__all__ = ["Recorded", "load", "save"]
