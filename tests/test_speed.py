"""The speed benchmark measures what it says; no number of it is a test."""

import json

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.speed import CASES, HEADERS, QUICK


@pytest.mark.parametrize("case", [*QUICK, *CASES], ids=lambda case: f"{case.name} at {case.size}")
def test_the_dense_convolution_has_the_expanded_shape(case):
    layer, dense = case.layer(), case.dense()
    assert layer.kernel().shape == dense.weight.shape
    x = torch.randn(1, dense.in_channels, case.size, case.size)
    with torch.no_grad():
        dense.weight.copy_(layer.kernel())
        dense.bias.copy_(layer.expanded_bias())
        torch.testing.assert_close(layer(layer.in_type.unflatten(x)).flatten(1, 2), dense(x), rtol=1e-4, atol=1e-4)


def test_run_writes_the_table_and_where_it_comes_from(tmp_path, capsys):
    assert main(["speed", "--quick", "--rounds", "1", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "speed.json").read_text())
    assert [row["name"] for row in report["rows"]] == [case.name for case in QUICK]
    assert report["quick"] is True
    assert report["provenance"]["versions"]["torch"]
    for row in report["rows"]:
        times, ratios = row["milliseconds"], row["ratio_to_dense"]
        assert min(times.values()) > 0
        assert ratios["expand"] == times["expand"] / times["dense_forward"]
        assert ratios["forward_backward"] == times["forward_backward"] / times["dense_forward_backward"]
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert len(lines) == 2 + len(QUICK)
    assert {line.count("|") for line in lines} == {len(HEADERS) + 1}
    assert "quick: the layers are too small" in capsys.readouterr().out


def test_no_rounds(tmp_path, capsys):
    assert main(["speed", "--rounds", "0", "--out", str(tmp_path)]) == 2
    assert "--rounds is at least 1; got 0" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
