"""The table of errors under shifts of color, and what it is made by."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.colors import CASES, OURS, Case, error, images
from equiconv.groups import HueShift, Saturation

RESULTS = Path(__file__).parent.parent / "docs" / "results"
X = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))


def test_the_command_writes_its_tables(tmp_path, monkeypatch):
    monkeypatch.delenv("EQUICONV_DATA", raising=False)
    assert main(["colors", "--quick", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "colors.json").read_text())
    assert [reason.split(":")[0] for reason in report["left_out"]] == ["MNIST, colored", "CIFAR-10"]
    assert {cost["hues"] for cost in report["costs"]} == {3, 4, 8}
    assert "`HueShift(4, 'hsv')` | the same |" in (tmp_path / "table.md").read_text()


def test_errors_tell_exact_layers_from_others():
    true = HueShift(4, "hsv")
    assert error(Case(true, true), X) < 1e-5 < 1e-2 < error(Case(HueShift(4), true), X)
    assert (
        error(Case(HueShift(4), HueShift(4)), X) < 1e-5 < 1e-2 < error(Case(HueShift(4), HueShift(4), clipped=True), X)
    )
    cover = Case(Saturation(4), Saturation(4), "cover")
    assert error(cover, X) < 1e-5 < 1e-2 < error(replace(cover, where="images"), X)


def test_the_committed_table_is_measured_anew():
    """The errors on the images that ship with a dependency, of some rows."""
    rows = json.loads((RESULTS / "colors.json").read_text())["rows"]
    assert [row["layer"] for row in rows] == [repr(case.group) for case in CASES]
    x = images()[0][OURS]
    for case, row in list(zip(CASES, rows, strict=True))[:6]:
        found, committed = error(case, x), row["errors"][OURS]
        assert found == pytest.approx(committed, rel=1e-2) or max(found, committed) < 1e-5
        assert row["shift"] == case.title()
    exact = [row for row in rows if row["shift"].endswith("on the cover") or row["layer"].startswith("HueShift(3)")]
    exact += [
        row for row in rows if "'hsv'" in row["layer"] and row["shift"] == "the same" and "Sat" not in row["layer"]
    ]
    assert len(exact) > 12
    assert all(max(row["errors"].values()) < 1e-5 for row in exact)
