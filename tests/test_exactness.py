"""The table of what is exact is what happens, and another table would be seen."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from benchmarks.exactness import (
    GROUPS,
    HUES,
    SETTINGS,
    Cell,
    Setting,
    clipping_markdown,
    markdown,
    measure,
    measure_clipping,
    read,
)
from benchmarks.exactness.settings import ODD
from equiconv.groups import P4, Cyclic
from equiconv.layers import GroupConv2d

RESULTS = Path(__file__).parent.parent / "docs" / "results"
REPORT = json.loads((RESULTS / "exactness.json").read_text())
CELLS = read(REPORT["rows"])
NAMES = {f"{setting.part}: {setting.title}": setting for setting in SETTINGS}
AGAIN = [  # what is measured again: cheap, and of every kind
    *(("Flip()", name) for name in NAMES if name.startswith(("kernel", "stride", "pooling", "nonlinearity"))),
    *(("HueShift(4)", name) for name in NAMES if name.startswith("stride")),
    ("P4()", "kernel: 3x5"),
    ("P4()", "stride and size: 3x3, stride 2, even size"),
    ("Cyclic(8)", "kernel: 3x3"),
    ("Cyclic(8)", "basis of a 5x5 kernel: Pixels"),
    ("Cyclic(8)", "pooling and enlarging: max 2x2, even size"),
    ("SO2(2)", "nonlinearity, norm, group pooling: ReLU, regular"),
]


def alike(found, said):
    """Raise AssertionError unless two cells say the same: kind, refusal, message, and errors to two digits."""
    assert (found.kind, found.refusal, found.message) == (said.kind, said.refusal, said.message)
    for one, other in ((found.on_grid, said.on_grid), (found.off_grid, said.off_grid)):
        assert (one is None) == (other is None)
        assert one is None or one == pytest.approx(other, rel=0.02, abs=1e-10)


def test_the_tables_follow_from_the_raw_results():
    assert markdown(CELLS) == (RESULTS / "exactness.md").read_text()
    assert clipping_markdown(REPORT["clipping"]) == (RESULTS / "clipping.md").read_text()
    assert list(CELLS) == list(GROUPS)
    assert all(list(row) == list(NAMES) for row in CELLS.values())
    assert len(REPORT["provenance"]["commit"]) == 40, "measured on a clean commit"


@pytest.mark.parametrize("group", dict.fromkeys(group for group, _ in AGAIN))
def test_a_part_of_the_table_measured_again(group):
    on = GROUPS[group]()
    for name in (name for each, name in AGAIN if each == group):
        alike(measure(on, NAMES[name]), CELLS[group][name])


@pytest.mark.parametrize(
    ("group", "name", "wrong"),
    [
        ("Flip()", "kernel: 3x3", {"on_grid": 0.1}),
        ("P4()", "kernel: 3x5", {"refusal": "", "message": "", "on_grid": 1e-16}),
        ("P4()", "stride and size: 3x3, stride 2, even size", {"message": "no"}),
        ("P4()", "stride and size: 3x3, stride 2, even size", {"on_grid": 0.5}),
        ("Cyclic(8)", "kernel: 3x3", {"off_grid": 1e-16}),
        ("Cyclic(8)", "kernel: 3x3", {"off_grid": 0.02}),
    ],
)
def test_a_wrong_cell_is_seen(group, name, wrong):
    found = CELLS[group][name]
    alike(found, found)
    with pytest.raises(AssertionError):
        alike(found, replace(found, **wrong))


def check_that_nothing_is_silent(cells):
    """Raise AssertionError if something that is not refused is not exact where pixels are sent to pixels."""
    for group, row in cells.items():
        for name, cell in row.items():
            assert cell.kind != "approximate", f"{name} on {group}"


def test_nothing_inexact_passes_in_silence():
    check_that_nothing_is_silent(CELLS)
    passed = copy.deepcopy(CELLS)
    passed["P4()"]["stride and size: 3x3, stride 2, even size"] = Cell(1.0)
    with pytest.raises(AssertionError, match=r"even size on P4\(\)"):
        check_that_nothing_is_silent(passed)


def not_turned(group, _):
    """A layer whose kernel is not turned for one of the elements."""
    layer = GroupConv2d(group.image, 2 * group.regular, 3)
    kernel = layer.kernel().detach().clone()
    kernel[1] = kernel[0]
    broken = nn.Conv2d(3, len(kernel), 3, bias=False)
    broken.weight = nn.Parameter(kernel)
    found = nn.Sequential(broken, nn.Unflatten(1, (2, group.order)))
    found.in_type, found.out_type = layer.in_type, layer.out_type
    return found


@pytest.mark.parametrize("group", [P4(), Cyclic(8)], ids=str)
def test_a_broken_layer_is_not_called_exact(group):
    cell = measure(group, Setting("kernel", "broken", not_turned, ODD))
    assert cell.kind == "approximate"
    assert markdown({name: dict.fromkeys(NAMES, cell) for name in ("a",)}).count("**") == 2 * len(NAMES)


def check_words_on_clipping(rows):
    assert all(value < 1e-9 for value in rows["HueShift(3)"].values()), "exact, within the cube, and that of HSV"
    for name, row in rows.items():
        assert name == "HueShift(3)" or min(row.values()) > 1e-3
        assert row["photographs"] <= row["cube"]


def test_what_clipping_does_measured_again():
    rows = REPORT["clipping"]
    assert list(rows) == [f"HueShift({n})" for n in HUES]
    check_words_on_clipping(rows)
    for n in (3, 4):
        assert measure_clipping(n) == pytest.approx(rows[f"HueShift({n})"], rel=1e-3, abs=1e-9)
    with pytest.raises(AssertionError):
        check_words_on_clipping(rows | {"HueShift(3)": rows["HueShift(4)"]})


def words_of_conventions(cells):
    """Raise AssertionError unless the sentences below the tables hold."""
    for group in ("Cyclic(8)", "Dihedral(6)", "SO2(2)", "O2(2)"):
        error = {name: cell.off_grid for name, cell in cells[group].items()}
        usual = error["basis of a 5x5 kernel: Harmonics"]
        assert usual < 0.01
        assert 2 * usual < error["basis of a 5x5 kernel: Harmonics.e2cnn"] < 5 * usual
        assert error["basis of a 5x5 kernel: Harmonics.complete"] > 0.1
        padded = [error[f"padding of a 5x5 kernel: {mode}"] for mode in ("zeros", "reflect", "replicate", "circular")]
        assert min(padded) > 3 * error["padding of a 5x5 kernel: none"]
        assert 2 * error["kernel: 3x3"] < error["stride and size: 3x3, stride 2, odd size"]
        assert 2 * error["kernel: 3x3"] < error["kernel: 3x3, dilation 2"]
        assert error["nonlinearity, norm, group pooling: FieldBatchNorm, training"] > 0.05


def test_the_words_below_the_tables_are_what_was_measured():
    words_of_conventions(CELLS)
    turned = copy.deepcopy(CELLS)
    turned["SO2(2)"]["basis of a 5x5 kernel: Harmonics.complete"] = Cell(1e-16, 0.001)
    with pytest.raises(AssertionError):
        words_of_conventions(turned)
