"""Write files atomically: a reader finds the old file or the new one, never a part."""

import json
import os
from pathlib import Path

__all__ = ["write_json", "write_text"]


def write_text(path: Path | str, text: str) -> None:
    """Write a text file through a temporary neighbor; folders are made as needed."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(target)


def write_json(path: Path | str, obj: object, *, compact: bool = False) -> None:
    """Write JSON, indented unless ``compact``; NaN and infinity are refused, because JSON has neither."""
    write_text(path, json.dumps(obj, indent=None if compact else 1, allow_nan=False) + "\n")
