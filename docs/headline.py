"""The tables of the README, from the committed results: ``python -m docs.headline`` writes them anew."""

import json
import re
from pathlib import Path

from docs.measured import RESULTS, table

README = Path(__file__).parent.parent / "README.md"

SYMMETRIES = ("Trivial", "P4", "HueShift(3)", "HueShift(3)*P4")
MOVES = ("upright", "rotated", "hue-shifted", "both")
DIGITS = {
    "Z2CNN": "no group",
    "P4CNN": "`P4()`",
    "gc-P4CNN": "`P4()`, separable",
    "gc-C8CNN": "`Cyclic(8)`, separable",
}
ERROR, PUBLISHED = "test error (%)", "published error (%)"
LAYERS = {
    "Dihedral(4): 64 -> 64": "`P4M()`, 64 to 64 fields, 3x3",
    "Dihedral(4): 64 -> 64, gc": "the same, separable",
    "HueShift(3): 64 -> 64": "`HueShift(3)`, 64 to 64",
    "HueShift(3) * Dihedral(4): 16 -> 16": "`HueShift(3) * P4M()`, 16 to 16",
    "Cyclic(8): 16 -> 16, 5x5 harmonics": "`Cyclic(8)`, 16 to 16, 5x5",
    "Cyclic(16): 32 -> 32, 7x7 harmonics": "`Cyclic(16)`, 32 to 32, 7x7",
}


def symmetries() -> list[str]:
    """What a symmetry that is built in brings where images move: errors of networks of equal size."""
    found = table("compare")
    rows = [[_code(name), *(found[name][move] for move in MOVES)] for name in SYMMETRIES]
    return _table(["trained upright, in one family of colors; tested:", *MOVES], rows)


def accuracy() -> list[str]:
    """Errors on turned digits beside the published ones of the same networks."""
    found = table("rotmnist-25k") | {name: row for name, row in table("rotmnist").items() if row["seeds"] != "0"}
    rows = [
        [text, found[name]["parameters"], found[name][ERROR], found[name].get(PUBLISHED, "-")]
        for name, text in DIGITS.items()
    ]
    return _table(["trained on 12,000 turned digits", "parameters", "equiconv", "published"], rows)


def speed() -> list[str]:
    """Times of a forward and backward pass, beside the dense convolution of the same shape and e2cnn."""
    report = json.loads((RESULTS / "layers.json").read_text())
    times = {row["name"]: row["milliseconds"] for row in report["rows"]}
    rows = [
        [text, *(_time(times[name].get(f"{who}forward_backward")) for who in ("dense_", "", "e2cnn_"))]
        for name, text in LAYERS.items()
    ]
    return _table(["forward and backward", "`nn.Conv2d`, same shape", "equiconv", "e2cnn"], rows)


TABLES = {"symmetries": symmetries, "accuracy": accuracy, "speed": speed}


def with_tables(text: str) -> str:
    """Return the text of the README with the tables in their places, between two comments each."""
    for name, made in TABLES.items():
        place = re.compile(rf"(?<=<!-- {name}:start -->\n).*?(?=\n<!-- {name}:end -->)", re.DOTALL)
        if not place.search(text):
            raise ValueError(f"the README has no place for {name}: <!-- {name}:start -->, a line, <!-- {name}:end -->")
        text = place.sub("\n".join(made()).replace("\\", "\\\\"), text)
    return text


def _time(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds:,.0f} ms"


def _code(name: str) -> str:
    if name == "Trivial":
        return "no group"
    called = " * ".join(part if part.endswith(")") else f"{part}()" for part in name.split("*"))
    return f"`{called}`"


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Return the lines of a table in Markdown; numbers are on the right."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] + ["--:"] * (len(head) - 1), *rows)]


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
