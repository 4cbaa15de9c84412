"""One file that holds a module: its weights, and what rebuilds it."""

import json
import os
import secrets
from collections.abc import Callable, Iterable
from errno import ENOENT
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from equiconv.errors import EquiconvError, SavingError
from equiconv.version import __version__

__all__ = ["load", "save"]

FORMAT = 1
OWN = "own."  # begins the names of classes and functions of the caller
KEY = "equiconv"  # of the description among the metadata
LONGEST = 2**26  # letters of a description


def save(module: nn.Module, path: str | Path) -> None:
    """Write a module to one file, from which ``load`` rebuilds it without the code that made it.

    The file is in the format of safetensors: the weights under the names of the ``state_dict``, and, as text among the
    metadata, the arguments that rebuild the module. Nothing in it is code. Layers and models of equiconv are saved,
    containers of them, and the usual modules of ``torch.nn``; a class of your own if it subclasses ``Recorded``.

    Parts that were replaced or added after the module was made are kept, and so is one part in several places. Any
    other change is refused, since the arguments would make another module. Kept are the weights in their precision,
    which of them are shared or frozen, which parts are in training and in evaluation, and ``execution``. The file
    appears once it is complete: a program that is stopped leaves none, or the one before.

    Args:
        module: the module.
        path: the file, usually named ``*.safetensors``.

    Raises:
        SavingError: if no file can hold the module, or an argument that made it; it says which.
        OSError: if the file cannot be written.

    Example:
        >>> import tempfile, equiconv, torch
        >>> net = equiconv.GroupConv2d(equiconv.P4().image, 2 * equiconv.P4().regular, 3)
        >>> path = tempfile.mkdtemp() + "/net.safetensors"
        >>> equiconv.save(net, path)
        >>> torch.equal(equiconv.load(path).kernel(), net.kernel())
        True
    """
    if not isinstance(module, nn.Module):
        raise SavingError(f"save takes a module; got {module!r}")
    config, tensors = described(module)
    write(config, tensors, Path(path))


def load(
    path: str | Path,
    *,
    device: str | torch.device = "cpu",
    known: Iterable[Callable[..., Any]] = (),
) -> nn.Module:
    """Rebuild the module of a file that ``save`` wrote.

    Nothing that the file says is executed: classes and functions are taken from a fixed list by their names. A file
    that is broken, asks for more memory than its weights take, or does not fit itself is refused. It is also refused
    if the bases of the kernels are others in this version, so that the weights would mean another function.

    Args:
        path: the file.
        device: where the weights go.
        known: your own classes and functions that the file may name, such as ``[MyNet]``.

    Returns:
        The module, bit for bit, with the same parts in training or evaluation.

    Raises:
        SavingError: if it is no such file, or one of a newer version; or a class of your own is not given; or there
            is no such device.
        EquiconvError: if the file asks for what no module of equiconv is.
        OSError: if the file cannot be read.
    """
    from equiconv.saving.names import Names
    from equiconv.saving.rebuilding import rebuild

    names, place = Names(known), _device(device)
    config, tensors = read(Path(path), place)
    try:
        return rebuild(config, tensors, names, place)
    except EquiconvError as error:
        raise type(error)(f"{path}: {error}") from error


def _device(device: object) -> torch.device:
    try:
        return torch.device(device)  # type: ignore[call-overload]
    except (RuntimeError, TypeError) as error:
        raise SavingError(f"device={device!r} is none: {error}") from None


def described(module: nn.Module) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the description of a module with the versions that made it, and its weights."""
    from equiconv.saving.rebuilding import describe

    config, tensors = describe(module)
    return {"format": FORMAT, "version": __version__, **config}, tensors


def write(config: dict[str, Any], tensors: dict[str, Tensor], path: Path) -> None:
    """Write a file as a whole: beside its place first, then onto it; a link leads to its place."""
    from safetensors.torch import save_file

    place = path.resolve()
    if not place.parent.is_dir():
        raise FileNotFoundError(ENOENT, "there is no such folder", str(place.parent))
    separate = {name: value.cpu().contiguous().clone() for name, value in tensors.items()}
    text = json.dumps(config, allow_nan=False)
    beside = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    try:
        beside.touch()
        mode = (place if place.exists() else beside).stat().st_mode  # safetensors lets nobody else read its files
        save_file(separate, beside, metadata={"format": "pt", KEY: text})
        beside.chmod(mode)
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(place)
    finally:
        beside.unlink(missing_ok=True)


def read(path: Path, device: torch.device) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the description of a module in the present format, and its weights."""
    from safetensors import SafetensorError, safe_open

    path.stat()  # raises an OSError that names the file
    try:
        with safe_open(path, "pt") as file:
            config = parsed((file.metadata() or {}).get(KEY))
            # a copy, since the file lies in the memory of what is read
            return config, {name: file.get_tensor(name).clone().to(device) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise SavingError(f"{path} is no file of safetensors, or a broken one: {error}") from error
    except SavingError as error:
        raise SavingError(f"{path}: {error}") from error


def parsed(text: Any) -> dict[str, Any]:
    """Return a description from its text, in the present format; older ones would be brought to it here."""
    if text is None:
        raise SavingError("the file holds weights, and nothing that tells of what; equiconv.save did not write it")
    try:
        config = json.loads(text, parse_constant=float) if len(text) <= LONGEST else None
    except (ValueError, RecursionError) as error:
        raise SavingError(f"the description of the module is broken: {error}") from None
    found = config.get("format") if isinstance(config, dict) else None
    if isinstance(config, dict) and type(found) is int and found > FORMAT:
        version = str(config.get("version"))[:40]
        raise SavingError(
            f"the file has the format {found}, written by equiconv {version}, and this version reads formats up to "
            f"{FORMAT}: update equiconv"
        )
    if not isinstance(config, dict) or type(found) is not int or found != FORMAT:
        raise SavingError(f"the description of the module is broken: its format is {found!r}")
    return config
