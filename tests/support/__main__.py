"""Try everything anew, and write ``support.json`` and ``support.md`` into a folder."""

import sys
from pathlib import Path

import torch

from benchmarks.files import write_json, write_text
from benchmarks.provenance import provenance
from support.features import measured
from support.table import markdown, written

if __name__ == "__main__":
    torch.set_num_threads(1)
    outcomes = measured()
    folder = Path(sys.argv[1])
    write_json(folder / "support.json", {"command": "make support", **provenance(), "rows": written(outcomes)})
    write_text(folder / "support.md", markdown(outcomes))
