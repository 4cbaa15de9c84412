"""Reading checkpoints that others made."""

from argparse import Namespace
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from equiconv.errors import EquiconvError
from equiconv.interop.weights import unwrapped


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """Read the state dict of a file that ``torch.save`` wrote, without running anything that is in it.

    ``torch.load(path, weights_only=True, map_location="cpu")`` reads tensors, numbers, texts and containers of them,
    and refuses everything else that a pickle can hold. Here the settings of a script, an ``argparse.Namespace``, are
    let through too, as they stand in the checkpoints that Lightning writes for CEConv.

    Args:
        path: of the file.

    Returns:
        Tensors by name, on the CPU; those of the entry ``"state_dict"`` if there is one, and without the prefixes of
        wrappers, ``module.`` or ``model.``.

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
        with torch.serialization.safe_globals([Namespace]):
            content = torch.load(path, weights_only=True, map_location="cpu")
    except (UnpicklingError, EOFError, RuntimeError) as error:
        raise EquiconvError(
            f"{path} is not read: it is damaged, or holds more than tensors and settings, which could run code; if you "
            "trust it, load it by torch.load(path, weights_only=False) and pass its state dict"
        ) from error
    return unwrapped(content)
