"""Arrays that are made once, kept on disk and checked whenever they are read."""

import hashlib
import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from equiconv import EquiconvError

__all__ = ["Arrays", "cache_folder", "cached", "digest", "file_digest"]

Arrays = dict[str, NDArray]
DIGEST = "sha256"  # the name of the array that holds the checksum of the others


def cache_folder() -> Path:
    """Return ``EQUICONV_CACHE``, or else the folder ``equiconv`` where the system keeps caches."""
    given = os.environ.get("EQUICONV_CACHE")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "equiconv"


def cached(name: str, recipe: object, make: Callable[[], Arrays]) -> Arrays:
    """Return the arrays of a recipe: from the cache if they are there and whole, else made and kept.

    One process makes them and the others wait. The file appears complete or not at all; a draft that a killed process
    left is never read, and removed by the next that makes the arrays.

    Args:
        name: the first part of the file's name.
        recipe: all that determines the arrays; its ``repr`` goes into the file's name.
        make: makes the arrays.

    Raises:
        EquiconvError: if the folder cannot be written.
    """
    key = hashlib.sha256(repr(recipe).encode()).hexdigest()[:16]
    path = cache_folder() / f"{name}-{key}.npz"
    _make_folder(path.parent)
    with FileLock(path.with_suffix(".lock")):
        found = _read(path)
        if found is None:
            found = make()
            _write(path, found)
    return found


def digest(arrays: Arrays) -> str:
    """Return a SHA-256 of the names, types, shapes and values of arrays."""
    found = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        found.update(repr((name, array.dtype.str, array.shape)).encode())
        found.update(array.tobytes())
    return found.hexdigest()


def file_digest(*paths: Path) -> str:
    """Return a SHA-256 of the contents of files."""
    parts = []
    for path in paths:
        with path.open("rb") as stream:
            parts.append(hashlib.file_digest(stream, "sha256").hexdigest())
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, os.strerror(13))
    except OSError as error:
        raise EquiconvError(
            f"the cache {folder} cannot be written ({error.strerror}): set EQUICONV_CACHE to a folder that can"
        ) from None


def _read(path: Path) -> Arrays | None:
    """Return what a file holds; None if there is none, or it is not what was written."""
    if not path.exists():
        return None
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        stored = str(arrays.pop(DIGEST))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        stored, arrays = "", {}
    if stored == digest(arrays):
        return arrays
    warnings.warn(f"{path} is damaged and is made anew", stacklevel=4)
    return None


def _write(path: Path, arrays: Arrays) -> None:
    draft = path.with_name(f".{path.name}.draft")  # the lock is held: nobody else writes it
    try:
        with draft.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays, **{DIGEST: np.array(digest(arrays))})
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
