"""Reading checkpoints that others made."""

import re
from argparse import Namespace
from codecs import encode
from pathlib import Path, PosixPath, PurePosixPath
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equiconv.errors import EquiconvError
from equiconv.interop.weights import unwrapped

HARMLESS = (Namespace, PosixPath, PurePosixPath, encode)  # by the last one pickles write bytes
KINDS = "?bBhHiIlLqQefdgFDSUO"  # of NumPy's numbers and texts


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """Read the state dict of a file that ``torch.save`` wrote, without running anything that is in it.

    ``torch.load(path, weights_only=True, map_location="cpu")`` reads tensors, numbers, texts and containers of them,
    and refuses everything else that a pickle can hold. Here numbers and arrays of NumPy, paths and the settings of a
    script, an ``argparse.Namespace``, are let through too, as they stand in the checkpoints of many training scripts.

    Args:
        path: of the file.

    Returns:
        Tensors by name, on the CPU, without the prefixes ``module.``, ``model.`` and ``_orig_mod.``; of a dictionary
        with more in it those of the entry ``"state_dict"``, or of the only entry that holds tensors alone.

    Raises:
        EquiconvError: if the file holds what could run code, or no state dict, or is no such file at all.
        OSError: if it cannot be opened.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     torch.save({"module.fc.bias": torch.zeros(2)}, file.name)
        ...     read_checkpoint(file.name)
        {'fc.bias': tensor([0., 0.])}
    """
    try:
        with torch.serialization.safe_globals([*HARMLESS, *_numpy()]):
            content = torch.load(path, weights_only=True, map_location="cpu")
    except (UnpicklingError, EOFError, RuntimeError) as error:
        found = re.search(r"GLOBAL (\S+) was not", str(error))
        what = f"holds {found[1]}, which could run code" if found else "is damaged, or holds what could run code"
        raise EquiconvError(
            f"{path} is not read: it {what}. Tensors and settings alone are read; if you trust the file, load it by "
            "torch.load(path, weights_only=False) and pass its state dict"
        ) from error
    return unwrapped(content)


def _numpy() -> list[Any]:
    """Return what numbers and arrays of NumPy are made of again, by the names that NumPy 1 and 2 write."""
    scalar, array = np.float64(0).__reduce__()[0], np.zeros(0).__reduce__()[0]
    named = [
        (function, f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")
        for function, name in ((scalar, "scalar"), (array, "_reconstruct"))
    ]
    return [*named, np.ndarray, np.dtype, *{type(np.dtype(kind)) for kind in KINDS}]
