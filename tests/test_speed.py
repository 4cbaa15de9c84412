"""The speed benchmark measures what it says; no number of it is a test."""

import json

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.peers import e2cnn_layer
from benchmarks.speed import CASES, HEADERS, QUICK, markdown, measure
from equiconv.errors import EquiconvError
from equiconv.groups import Cyclic, HueShift


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
        assert min(row["milliseconds"].values()) > 0
        assert {"expand", "build", "dense_build", "dense_forward_backward"} <= set(row["milliseconds"])
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert len(lines) == 2 + len(QUICK)
    assert {line.count("|") for line in lines} == {len(HEADERS) + 1}
    assert "quick: the layers are too small" in capsys.readouterr().out


def test_no_rounds(tmp_path, capsys):
    assert main(["speed", "--rounds", "0", "--out", str(tmp_path)]) == 2
    assert "--rounds is at least 1; got 0" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_ratios():
    times = {"build": 1, "expand": 2, "forward": 30, "forward_backward": 90}
    dense = {"dense_build": 2, "dense_forward": 20, "dense_forward_backward": 60}
    peer = {"e2cnn_build": 100, "e2cnn_expand": 4, "e2cnn_forward": 60, "e2cnn_forward_backward": 90}
    row = {"name": "a*b", "channels": [3, 4], "milliseconds": times | dense}
    line = markdown([row], "dense").splitlines()[2]
    for cell in ("a\\*b", "1.0 ms (0.5 x)", "2.0 ms (10.0 % of forward)", "30.0 ms (1.5 x)", "90.0 ms (1.5 x)"):
        assert cell in line
    assert len(markdown([row], "e2cnn").splitlines()) == 2
    row["milliseconds"] |= peer
    line = markdown([row], "e2cnn").splitlines()[2]
    for cell in ("1.0 ms (0.01 x)", "2.0 ms (0.5 x)", "30.0 ms (0.5 x)", "90.0 ms (1 x)"):
        assert cell in line


def test_peers_are_the_same_layer():
    pytest.importorskip("sympy", reason="e2cnn is not installed")
    case = next(case for case in QUICK if case.harmonics and case.group == Cyclic(8))
    row = measure(case, 1, ["e2cnn"])
    assert row["milliseconds"]["e2cnn_forward"] > 0
    theirs = e2cnn_layer(case.group, case.fields, case.kernel)()
    assert theirs.weights.numel() == case.layer().weight.numel()
    assert tuple(theirs.expand_parameters()[0].shape) == tuple(case.layer().kernel().shape)
    with pytest.raises(EquiconvError, match="no counterpart"):
        e2cnn_layer(HueShift(3), 2, 3)
