"""Make e2cnn 0.2.3 run on today's NumPy and PyTorch."""

import re
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

from equiconv.errors import EquiconvError

__all__ = ["repair"]

REPAIRS = [
    (rb"\.tostring\(\)", b".tobytes()"),  # removed in NumPy 2.3: every basis of SO(2), O(2), D_n and mirrors hashes so
    (rb"np\.array\((\w+), copy=False\)", rb"np.asarray(\1)"),  # refused for scalars since NumPy 2.0
    (rb"\bnp\.float\b", b"float"),  # removed in NumPy 1.24
    (rb"mask\.astype\(np\.uint8\)", b"mask.astype(bool)"),  # PyTorch takes boolean masks only
    (rb"norms\.to\(torch\.uint8\)", b"norms.to(torch.bool)"),
]


class _RepairingLoader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        """Compile the repaired source; the files of the package, and their cached bytecode, stay as they are."""
        path = self.get_filename(fullname)
        source = self.get_data(path)
        for pattern, replacement in REPAIRS:
            source = re.sub(pattern, replacement, source)
        return self.source_to_code(source, path)


class _RepairingFinder(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Find modules of e2cnn, to be loaded repaired."""
        if name.split(".")[0] != "e2cnn":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _RepairingLoader(spec.loader.name, spec.loader.path)
        return spec


def repair() -> None:
    """Let the next ``import e2cnn`` load it with what today's NumPy and PyTorch refuse replaced.

    Five patterns in its source are replaced in memory while it is imported; its mathematics and its files are not
    touched. Without this, e2cnn 0.2.3 builds convolutions for cyclic groups only.

    Raises:
        EquiconvError: if e2cnn was imported before.

    Example:
        >>> from equiconv.interop.e2cnn import repair
        >>> repair()
    """
    if any(isinstance(finder, _RepairingFinder) for finder in sys.meta_path):
        return
    if "e2cnn" in sys.modules:
        raise EquiconvError("call equiconv.interop.e2cnn.repair() before the first import of e2cnn")
    sys.meta_path.insert(0, _RepairingFinder())
