"""Keep the state of a training run in one file, which is replaced as a whole or not at all."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from equiconv import EquiconvError

__all__ = ["Checkpoint", "write_state"]


@dataclass(frozen=True)
class Checkpoint:
    """Keep the state of one run.

    Args:
        path: the file.
        identity: what determines the run; a checkpoint of another run is refused.
    """

    path: Path
    identity: Mapping[str, object]

    def save(self, state: Mapping[str, Any]) -> None:
        """Write the state to the disk; a reader finds the old file or the new one."""
        write_state(self.path, {"identity": dict(self.identity), **state})

    def load(self) -> dict[str, Any] | None:
        """Return the state; None if there is none yet.

        Raises:
            EquiconvError: if it is of another run, or not to be read.
        """
        if not self.path.exists():
            return None
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # whatever a broken file makes the reader raise
            raise EquiconvError(f"{self.path} is not a checkpoint that can be read ({error}); remove it") from None
        found = state.pop("identity", {})
        odd = [key for key in {**found, **self.identity} if found.get(key) != self.identity.get(key)]
        if odd:
            changes = ", ".join(
                f"{key}: {found.get(key)!r} there, {self.identity.get(key)!r} here" for key in sorted(odd)
            )
            raise EquiconvError(f"{self.path} is of another run ({changes}); remove it, or choose another folder")
        return dict(state)


def write_state(path: Path, content: Mapping[str, Any]) -> None:
    """Write tensors and plain values to the disk, under another name first: the file appears complete or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        torch.save(dict(content), file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
