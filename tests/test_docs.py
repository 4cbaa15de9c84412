"""What pages say in words is what was measured, and drawings show themselves in notebooks."""

import copy
import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread

from docs.measured import table, tables
from equiconv import viz
from equiconv.groups import P4
from equiconv.layers import GroupConv2d
from equiconv.testing import equivariance_profile

RESULTS = Path(__file__).parent.parent / "docs" / "results"
ERROR = "test error (%)"


def number(cell):
    """The mean of a cell such as ``1.3 ± 0.4`` or ``53.8 ± 1.6, 49.1``, and the worst if there is one."""
    mean, _, worst = cell.partition(", ")
    return float(mean.split(" ± ")[0]), float(worst) if worst else None


def mean(cell):
    return number(cell)[0]


def words_of_which(found):
    """Raise AssertionError unless the sentences of "Which symmetry do I need?" hold."""
    compared = found["compare"]
    upright = {name: mean(row["upright"]) for name, row in compared.items()}
    assert min(upright, key=upright.__getitem__) == "Trivial"
    assert upright["P4"] < upright["HueShift(3)*P4M"], "a larger group pays more"
    for name, moved in (("P4", "rotated"), ("HueShift(3)", "hue-shifted"), ("HueShift(3)*P4", "both")):
        assert compared[name][moved] == compared[name]["upright"], "to the last digit"
        assert mean(compared["Trivial"][moved]) > 10 * mean(compared[name][moved])
    errors = {
        name: {row: mean(cells[ERROR]) for row, cells in rows.items() if cells[ERROR] != "-"}
        for name, rows in found.items()
        if ERROR in next(iter(rows.values()))
    }
    assert errors["rotmnist"]["gc-P4CNN"] < errors["rotmnist"]["P4CNN"] < errors["rotmnist"]["Z2CNN"]
    longtailed, biased = errors["colormnist_longtailed"], errors["colormnist_biased_std"]
    assert longtailed["hue-turn"] < longtailed["CECNN"] < longtailed["Z2CNN"]
    assert biased["CECNN, std 24"] > biased["Z2CNN, std 24"]
    assert biased["CECNN, std 0"] < biased["Z2CNN, std 0"], "the other way round"
    assert errors["cifar_narrow"]["CE"] > errors["cifar_narrow"]["plain"]
    hues = {name: number(row["hue: mean, worst (%)"]) for name, row in found["robustness"].items()}
    assert hues["plain-jitter"] > hues["CE"] > hues["plain"]
    assert all(hues["plain-jitter"][1] > hues[name][1] for name in ("CE", "plain"))
    taught = errors["ien_compared"]
    assert taught["built in"] < min(taught["shown x2 epochs"], taught["taught x2 epochs"])


def test_a_table_is_that_of_the_raw_results():
    report = json.loads((RESULTS / "cifar-narrow.json").read_text())
    for row in report["rows"]:
        if row["seeds"]:
            assert mean(table("cifar-narrow")[row["name"]][ERROR]) == pytest.approx(row["error"], abs=0.005)


def test_the_words_of_the_page_are_what_was_measured():
    words_of_which(tables())


@pytest.mark.parametrize(
    ("name", "row", "column", "cell"),
    [
        ("compare", "P4", "upright", "1.0 ± 0.1"),
        ("compare", "HueShift(3)*P4", "both", "2.7 ± 0.7"),
        ("rotmnist", "Z2CNN", ERROR, "1.99"),
        ("cifar-narrow", "CE", ERROR, "30.00 ± 0.3"),
        ("colormnist-biased-std", "CECNN, std 0", ERROR, "2.00 ± 0.3"),
        ("robustness", "CE", "hue: mean, worst (%)", "53.8 ± 1.6, 60.0"),
        ("ien-compared", "taught x2 epochs", ERROR, "2.00"),
    ],
)
def test_other_numbers_would_be_seen(name, row, column, cell):
    changed = copy.deepcopy(tables())
    changed[name.replace("-", "_")][row][column] = cell
    with pytest.raises(AssertionError):
        words_of_which(changed)


def test_the_fourier_basis_gains_with_the_number_of_hues():
    rows = json.loads((RESULTS / "sweeps.json").read_text())["rows"]
    gains = {
        row["value"]: row["milliseconds"]["nn.Conv2d"] / row["milliseconds"]["fourier"]
        for row in rows
        if row["sweep"] == "order"
    }
    assert gains[2] < 1 < gains[4] < gains[12]
    assert gains[12] > 3, "several times as fast"


def test_a_drawing_shows_itself_in_a_notebook():
    lift = GroupConv2d(P4().image, P4().regular, 3)
    image = torch.rand(3, 9, 9)
    figures = [
        viz.orbit(P4(), image),
        viz.kernels(lift),
        viz.fields(lift, image, 1),
        viz.wheel({"P4": [1.0, 0.5]}, [0, 180]),
        viz.profile(equivariance_profile(lift, P4(), torch.rand(2, 3, 9, 9), angles=())),
    ]
    for figure in figures:
        assert figure._repr_png_().startswith(b"\x89PNG")
    assert not hasattr(Figure(), "_repr_png_"), "a plain figure does so only after pyplot was imported"


def test_the_png_of_a_drawing_is_its_picture():
    shown, other = (viz.orbit(P4(), torch.full((1, 8, 8), value)) for value in (0.2, 0.9))
    saved = BytesIO()
    shown.savefig(saved, format="png")
    saved.seek(0)
    expected = imread(saved)
    assert np.array_equal(imread(BytesIO(shown._repr_png_())), expected)
    assert not np.array_equal(imread(BytesIO(other._repr_png_())), expected)
