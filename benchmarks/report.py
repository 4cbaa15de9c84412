"""The report: one self-contained HTML page, the plots as files, the table in Markdown."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.data import Dataset, float_batch
from benchmarks.data.conditions import CONDITIONS, moved
from benchmarks.files import write_json, write_text
from benchmarks.pages import Plot, write_page
from benchmarks.plots import PLOTS, draw
from benchmarks.table import columns, markdown_table

__all__ = ["write_report"]

EXAMPLES = 10


def write_report(folder: Path, results: dict[str, Any], data: Dataset) -> None:
    """Write ``results.json``, ``table.md``, the plots and ``report.html``, each atomically.

    Args:
        folder: where to write.
        results: the content of ``results.json``.
        data: the data set, for the example images.
    """
    rows = results["summary"]
    plots = [Plot(name, *PLOTS[name], svg) for name, svg in draw(rows).items()]
    examples = {name: _strip(data, index) for index, name in enumerate(CONDITIONS)}
    write_text(folder / "table.md", markdown_table(rows))
    write_page(folder, "compare.html.j2", plots, [results], **results, columns=columns(rows), examples=examples)
    write_json(folder / "results.json", results)


def _strip(data: Dataset, condition: int) -> str:
    """Return one test image of each of the first classes, moved as a condition moves them, as a PNG data URL."""
    moves = list(CONDITIONS.values())[condition]
    first = [int(np.flatnonzero(data.test_labels == label)[0]) for label in np.unique(data.test_labels)[:EXAMPLES]]
    images = float_batch(data.test_images[first], 3)
    shown = [moved(image[None], moves[index % len(moves)])[0] for index, image in enumerate(images)]
    pixels = (255 * torch.cat(shown, -1).clamp(0, 1)).round().byte().permute(1, 2, 0).numpy()
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
