"""What the gallery is made with: the order of its examples, and how their figures become pictures of the pages."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst
from sphinx_gallery.sorting import FileNameSortKey

ORDER = ["orbits", "kernels", "lifting", "products", "tones", "vectors", "angles", "taught", "speed"]


class Order(FileNameSortKey):
    """Put the examples in the order that they are read in. An example that is not listed is an error."""

    def __call__(self, filename: str) -> int:
        return ORDER.index(Path(filename).stem)


def drawn(_block: object, variables: dict[str, Any], conf: dict[str, Any]) -> str:
    """Save the figure that is the value of a cell, as a notebook would show it. pyplot does not know those of viz."""
    values = variables["example_globals"]
    figure = values.get("___")
    if not isinstance(figure, Figure):
        return ""
    path = next(variables["image_path_iterator"])
    figure.savefig(path, dpi=110, metadata={"Software": None})
    values["___"] = None  # not to be drawn again, nor to be printed
    return figure_rst([path], conf["src_dir"], figure.get_suptitle())
