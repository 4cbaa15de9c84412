"""The rates by which execution plans are chosen: what the benchmark computes of its measurements."""

import json

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.speed import GRID, rates_markdown
from benchmarks.speed.cases import tiny
from benchmarks.speed.rates import in_use, is_taken, pixels, rate, slower, work
from equiconv.execution.choice import GAIN
from equiconv.execution.plan import Work
from equiconv.execution.rates import RATES, gain


@pytest.mark.parametrize(("dtype", "stem"), [("float32", "rates"), ("float64", "rates_float64")])
def test_the_command_writes_the_rates_of_each_precision(dtype, stem, tmp_path):
    options = ["--sections", "rates", "--quick", "--rounds", "1", "--dtype", dtype, "--out", str(tmp_path)]
    assert main(["speed", *options]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {f"{stem}.json", f"{stem}.md"}
    report = json.loads((tmp_path / f"{stem}.json").read_text())
    assert report["dtype"] == dtype
    assert report["command"].startswith("python -m benchmarks speed --sections rates --rounds 1 --quick")
    assert (tmp_path / f"{stem}.md").read_text() == rates_markdown(report["rows"])
    cases = tiny(GRID)
    assert [row["name"] for row in report["rows"]] == [case.name for case in cases]
    for row, case in zip(report["rows"], cases, strict=True):
        check(row, case, getattr(torch, dtype))


def check(row, case, dtype):
    plan, works = row["plan"], {name: Work(**effort) for name, effort in row["work"].items()}
    assert works == work(case)
    assert row["promised"] == gain(plan, works[plan], works["dense"], pixels(case), dtype=dtype)
    assert row["rate"] == RATES["cpu", dtype].traffic[plan]
    dense, times = (row["milliseconds"][name] for name in ("dense", plan))
    assert row["measured"]["training"] == dense["forward_backward"] / times["forward_backward"]
    assert row["measured"]["evaluation"] == dense["evaluation"] / times["evaluation"]
    others = works[plan], works["dense"], pixels(case), in_use("cpu", dtype)
    assert row["rates"] == {name: rate(value, *others) for name, value in row["measured"].items()}


def test_every_plan_is_measured_on_layers_of_its_own():
    assert len(set(GRID)) == len(GRID)
    assert {case.executions[-1] for case in GRID} == {plan for rates in RATES.values() for plan in rates.traffic}


@pytest.mark.parametrize("measured", [0.2, 1.0, 3.0])
def test_the_rate_of_a_measurement_promises_that_measurement(measured, monkeypatch):
    for case in tiny(GRID):
        (_, dense), (plan, effort) = work(case).items()
        found = rate(measured, effort, dense, 100, in_use("cpu", torch.float32))
        monkeypatch.setitem(RATES["cpu", torch.float32].traffic, plan, found)
        assert gain(plan, effort, dense, 100) == pytest.approx(measured)
        monkeypatch.setitem(RATES["cpu", torch.float32].traffic, plan, found * 1.1 + 1)
        assert gain(plan, effort, dense, 100) != pytest.approx(measured)


def test_what_is_taken_is_what_auto_takes():
    taken = set()
    for case in GRID:
        works, plan, layer = work(case), case.executions[-1], case.layer("auto")
        row = {"promised": gain(plan, works[plan], works["dense"], pixels(case))}
        with torch.no_grad():
            assert (layer.plan_for(torch.zeros(case.input_shape(layer))) == plan) == is_taken(row), case.name
        taken.add((plan, is_taken(row)))
    assert taken == {(plan, decision) for plan, _ in taken for decision in (True, False)}


def made_up(plan, promised, training, evaluation, rates, used=30.0):
    return {
        "name": "a * b",
        "input": [16, 48, 8, 9],
        "plan": plan,
        "promised": promised,
        "measured": {"training": training, "evaluation": evaluation},
        "rate": used,
        "rates": dict(zip(("training", "evaluation"), rates, strict=True)),
    }


def test_the_tables_of_rates():
    rows = [
        made_up("fourier", 1.5, 1.6, 1.4, (26.0, 34.0)),
        made_up("fourier", GAIN, 2.0, 1.2, (20.0, 24.4)),
        made_up("steered", 0.0, 0.5, 2.5, (-3.0, 90.0), used=None),
    ]
    layers, summary = (part.strip().splitlines() for part in rates_markdown(rows).split("<!-- by plan -->"))
    assert layers[2:] == [
        "| a \\* b | 16x 8x9 | fourier | 1.50 x | 1.60 x | 1.40 x | yes |",
        "| a \\* b | 16x 8x9 | fourier | 1.05 x | 2.00 x | 1.20 x | no |",
        "| a \\* b | 16x 8x9 | steered | - | 0.50 x | 2.50 x | no |",
    ]
    assert summary[2:] == [
        "| fourier | 30 | 25 | 34 | 1 of 2 | 1.40 x | 1.20 x |",
        "| steered | - | 44 | 90 | 0 of 1 | - | 0.50 x |",
    ]
    for table in (layers, summary):
        assert len({line.count("|") for line in table}) == 1
    assert [is_taken(row) for row in rows] == [True, False, False]
    assert [slower(row) for row in rows] == [1.4, 1.2, 0.5]
