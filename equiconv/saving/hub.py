"""Modules in folders of the Hugging Face Hub, and on the Hub."""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from equiconv.errors import SavingError
from equiconv.groups import FieldType
from equiconv.saving.file import OWN, described, load, write

__all__ = ["from_pretrained", "push_to_hub", "save_pretrained"]

REPOSITORY = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
TEXT = """---
library_name: equiconv
tags: {tags}
---

# {name}

{what}

| | |
|---|---|
{types}| parameters | {parameters:,} |
| equiconv | {version} |

```python
from equiconv.saving import from_pretrained

net = from_pretrained({place}{known})
```
"""


def save_pretrained(module: nn.Module, folder: str | Path, *, name: str | None = None) -> None:
    """Write a module to a folder as repositories of the Hugging Face Hub are.

    ``model.safetensors`` is the file of ``save``, from which alone the module is loaded. ``config.json`` repeats what
    rebuilds it, for readers, and ``README.md`` is a model card with the group, the types and the number of parameters.
    A card that is there already stays as it is.

    Args:
        module: what ``save`` takes.
        folder: made if there is none.
        name: of the repository, for the card; None takes the name of the folder.

    Raises:
        SavingError: if no file can hold the module.

    Example:
        >>> import tempfile
        >>> from equiconv.groups import P4
        >>> from equiconv.models import CNN
        >>> folder = tempfile.mkdtemp()
        >>> save_pretrained(CNN(P4(), 2), folder)
        >>> net = from_pretrained(folder)
    """
    if not isinstance(module, nn.Module):
        raise SavingError(f"save_pretrained takes a module; got {module!r}")
    config, tensors = described(module)
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    write(config, tensors, place / WEIGHTS)
    (place / CONFIG).write_text(json.dumps(config, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    if not (place / CARD).exists():
        text = card(module, config, name or place.resolve().name)
        (place / CARD).write_text(text, encoding="utf-8")


def from_pretrained(
    name: str | Path,
    *,
    revision: str | None = None,
    token: str | None = None,
    cache_dir: str | Path | None = None,
    device: str | torch.device = "cpu",
    known: Iterable[Callable[..., Any]] = (),
) -> nn.Module:
    """Load a module from a folder of ``save_pretrained``, or from a repository of the Hugging Face Hub.

    As with ``load``, nothing that comes from there is executed.

    Args:
        name: a folder, as a path or its text; or a repository, ``"user/name"``, if there is no such folder.
        revision: branch, tag or commit of the repository.
        token: for a private repository; None takes the one of ``hf auth login``.
        cache_dir: where files from the Hub are kept; None takes the usual place.
        device: where the weights go.
        known: your own classes and functions that the file may name.

    Returns:
        The module, in the mode in which it was saved.

    Raises:
        SavingError: as of ``load``; if it is neither a folder nor the name of a repository; or if huggingface_hub is
            needed, and not installed.
        OSError: if there is no such repository, or the Hub cannot be reached.
    """
    if name != "" and Path(name).is_dir():
        return load(Path(name) / WEIGHTS, device=device, known=known)
    if Path(name).is_file():
        raise SavingError(f"{name} is a file, which equiconv.load reads; from_pretrained reads folders")
    if not isinstance(name, str) or not REPOSITORY.fullmatch(name):
        raise SavingError(
            f"{str(name)!r} is no folder here, and not looked for on the Hub: repositories are given as a text, "
            '"user/name"'
        )
    path = _hub(token).hf_hub_download(name, WEIGHTS, revision=revision, cache_dir=cache_dir)
    return load(path, device=device, known=known)


def push_to_hub(
    module: nn.Module,
    name: str,
    *,
    message: str = "Upload the model",
    private: bool | None = None,
    revision: str | None = None,
    token: str | None = None,
) -> str:
    """Write a module to a repository of the Hugging Face Hub, which is made if there is none.

    The model card of the repository stays as it is if there is one.

    Args:
        module: what ``save`` takes.
        name: of the repository, ``"user/name"``.
        message: of the commit.
        private: whether a repository that is made is private; None takes the usual setting of the user.
        revision: the branch; None takes the main one.
        token: to write with; None takes the one of ``hf auth login``.

    Returns:
        The address of the commit.

    Raises:
        SavingError: if no file can hold the module, or huggingface_hub is not installed.
        OSError: if the Hub cannot be reached, or refuses.
    """
    api = _hub(token)
    with TemporaryDirectory() as folder:
        save_pretrained(module, folder, name=name)
        repository = api.create_repo(name, private=private, exist_ok=True).repo_id
        kept = [CARD] if api.file_exists(repository, CARD, revision=revision) else None
        commit = api.upload_folder(
            repo_id=repository, folder_path=folder, commit_message=message, revision=revision, ignore_patterns=kept
        )
    return str(commit.commit_url)


def card(module: nn.Module, config: dict[str, Any], name: str) -> str:
    """Return a model card.

    Args:
        module: what it is about.
        config: its description.
        name: of the repository.
    """
    types = _types(module) or next(filter(None, map(_types, module.modules())), None)
    kind, groups, rows = type(module).__name__, [], ""
    if types is not None:
        groups = [repr(types[0].group)]
        rows = f"| group | `{groups[0]}` |\n| input | `{types[0]}` |\n| output | `{types[1]}` |\n"
    known = ", ".join(sorted(_own(config)))
    return TEXT.format(
        tags=json.dumps(["equivariance", "equiconv", "pytorch", *groups]),
        name=kind,
        what=f"A `{kind}`, " + ("a network that is equivariant by construction." if groups else "saved by equiconv."),
        types=rows,
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        version=config["version"],
        place=json.dumps(name),
        known=f", known=[{known}]" if known else "",
    )


def _own(data: Any) -> set[str]:
    """Return the names of the classes and functions of the caller in a description."""
    if isinstance(data, list):
        return set().union(*map(_own, data))
    if not isinstance(data, dict):
        return set()
    names = [data.get(key) for key in ("class", "function")]
    own = {name.removeprefix(OWN) for name in names if isinstance(name, str) and name.startswith(OWN)}
    return own.union(*map(_own, data.values()))


def _types(module: nn.Module) -> tuple[FieldType, FieldType] | None:
    """Return what goes in and comes out of a module, or of a sequence of modules, if it tells."""
    ends = list(module) if isinstance(module, nn.Sequential) and len(module) else [module]
    in_type, out_type = getattr(ends[0], "in_type", None), getattr(ends[-1], "out_type", None)
    return (in_type, out_type) if isinstance(in_type, FieldType) and isinstance(out_type, FieldType) else None


def _hub(token: str | None) -> Any:
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise SavingError("the Hugging Face Hub needs huggingface_hub: install equiconv with its extra hub") from None
    return HfApi(token=token, library_name="equiconv")
