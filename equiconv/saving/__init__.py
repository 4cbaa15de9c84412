"""Modules in files: the weights, and what rebuilds the module without the code that made it."""

from equiconv.recorded import Recorded
from equiconv.saving.file import load, save
from equiconv.saving.hub import from_pretrained, push_to_hub, save_pretrained

__all__ = ["Recorded", "from_pretrained", "load", "push_to_hub", "save", "save_pretrained"]
