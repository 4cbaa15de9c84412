"""The tables in the pages are those that were measured."""

import json
import re
from functools import partial
from pathlib import Path

import pytest
import torch

from benchmarks.equivariance import markdown as center_errors
from benchmarks.robustness.table import markdown as robustness_markdown
from benchmarks.speed import (
    BUILDS,
    EXPORTED,
    GRID,
    LAYERS,
    NETWORKS,
    PLANS,
    SWEEPS,
    TAUGHT,
    builds_markdown,
    draw_sweeps,
    exported_markdown,
    implicit_markdown,
    layers_markdown,
    networks_markdown,
    plans_markdown,
    rates_markdown,
    sweeps_markdown,
)
from benchmarks.speed.rates import is_taken, pixels, slower, work
from benchmarks.studies.columns import markdown as study_markdown
from benchmarks.table import markdown_table
from docs.headline import LAYERS as SPEED_SHOWN
from docs.headline import with_tables
from equiconv.execution.rates import gain

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "results"


README = (ROOT / "README.md").read_text()


def test_the_tables_of_the_readme_are_those_of_the_committed_runs():
    assert with_tables(README) == README


@pytest.mark.parametrize("number", ["77.8 ± 0.5", "25,210", "1.36 ± 0.03", "5.20", "550 ms", "3,042 ms"])
def test_a_changed_number_of_the_readme_is_seen(number):
    changed = README.replace(f"| {number} |", f"| {number.replace('0', '9').replace('3', '4')} |", 1)
    assert changed != README
    assert with_tables(changed) == README


def test_a_readme_without_a_place_for_a_table_is_refused():
    with pytest.raises(ValueError, match="no place for speed"):
        with_tables(README.replace("<!-- speed:start -->", ""))


def words_of_the_readme(times):
    """Raise AssertionError unless layers are as fast as the dense convolution, and as e2cnn, or faster."""
    assert all(row["forward_backward"] < 1.05 * row["dense_forward_backward"] for row in times.values())
    beside = [row for row in times.values() if "e2cnn_forward_backward" in row]
    assert beside
    assert all(row["forward_backward"] < row["e2cnn_forward_backward"] for row in beside)


def test_the_words_of_the_readme_are_what_was_measured():
    rows = json.loads((RESULTS / "layers.json").read_text())["rows"]
    times = {row["name"]: row["milliseconds"] for row in rows if row["name"] in SPEED_SHOWN}
    words_of_the_readme(times)
    slower = {name: row | {"forward_backward": 1.1 * row["forward_backward"]} for name, row in times.items()}
    with pytest.raises(AssertionError):
        words_of_the_readme(slower)


def dead(text):
    """The files that a text links to, and that are not there; and those of the anchors that no heading has."""
    found = []
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#]+)#?([^)]*)\)", text):
        headings = re.findall(r"^#+ (.*)$", (ROOT / path).read_text(), re.MULTILINE) if anchor else []
        slugs = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
        if not (ROOT / path).is_file() or (anchor and anchor not in slugs):
            found.append(path)
    return found


def test_the_links_of_the_readme_lead_somewhere():
    assert dead(README) == []
    assert dead("[a](docs/which.md#when-it-hurts) [b](docs/gone.md) [c](docs/which.md)") == [
        "docs/which.md",
        "docs/gone.md",
    ]


def test_the_tables_follow_from_the_raw_results():
    compare = json.loads((RESULTS / "compare.json").read_text())
    assert markdown_table(compare["summary"]) == (RESULTS / "compare.md").read_text()
    equivariance = json.loads((RESULTS / "equivariance.json").read_text())
    assert center_errors(equivariance["rows"], "center") == (RESULTS / "equivariance.md").read_text()
    for name in ("steerable", "steerable_e2cnn"):
        steerable = json.loads((RESULTS / f"{name}.json").read_text())
        assert markdown_table(steerable["summary"]) == (RESULTS / f"{name}.md").read_text()


SPEED = {
    "layers": (partial(layers_markdown, other="dense"), [case.name for case in LAYERS]),
    "plans": (plans_markdown, [case.name for case in PLANS]),
    "sweeps": (sweeps_markdown, [point.case.name for point in SWEEPS]),
    "networks": (networks_markdown, [network.name for network in NETWORKS]),
    "builds": (builds_markdown, list(BUILDS)),
    "implicit": (implicit_markdown, [taught.title for taught in TAUGHT]),
    "export": (exported_markdown, [network.name for network in EXPORTED]),
}


@pytest.mark.parametrize("name", SPEED)
def test_the_tables_of_speed_follow_from_the_raw_results(name):
    table, names = SPEED[name]
    report = json.loads((RESULTS / f"{name}.json").read_text())
    assert not report["quick"]
    assert [row["name"] for row in report["rows"]] == names
    assert table(report["rows"]) == (RESULTS / f"{name}.md").read_text()
    if name == "layers":
        assert layers_markdown(report["rows"], "e2cnn") == (RESULTS / "e2cnn.md").read_text()
    if name == "sweeps":
        assert all((RESULTS / f"{plot}.svg").exists() for plot in draw_sweeps(report["rows"]))


PRECISIONS = {"rates": torch.float32, "rates_bfloat16": torch.bfloat16, "rates_float64": torch.float64}


@pytest.mark.parametrize("name", PRECISIONS)
def test_the_tables_of_rates_follow_from_the_raw_results_and_the_rates_in_use(name):
    report = json.loads((RESULTS / f"{name}.json").read_text())
    rows, dtype = report["rows"], PRECISIONS[name]
    assert not report["quick"]
    assert (report["device"], getattr(torch, report["dtype"])) == ("cpu", dtype)
    assert [row["name"] for row in rows] == [case.name for case in GRID]
    assert rates_markdown(rows) == (RESULTS / f"{name}.md").read_text()
    for row, case in zip(rows, GRID, strict=True):
        (_, dense), (plan, effort) = work(case).items()
        assert row["plan"] == plan
        assert row["promised"] == pytest.approx(gain(plan, effort, dense, pixels(case), "cpu", dtype)), case.name


def wrongly_taken(rows):
    """The layers that are slower than dense by more than 5 % though their plan is taken."""
    return [row["name"] for row in rows if is_taken(row) and slower(row) < 1 / 1.05]


@pytest.mark.parametrize("name", PRECISIONS)
def test_no_plan_is_taken_that_was_measured_to_be_slower(name):
    rows = json.loads((RESULTS / f"{name}.json").read_text())["rows"]
    assert not wrongly_taken(rows)
    assert {row["plan"] for row in rows if is_taken(row)}, "some plan is taken"


def test_a_slower_plan_that_is_taken_is_seen():
    ratios = {"training": 1.5, "evaluation": 0.9}
    rows = [{"name": str(promised), "promised": promised, "measured": ratios} for promised in (1.0, 1.1)]
    rows.append({"name": "hardly slower", "promised": 1.1, "measured": ratios | {"evaluation": 0.96}})
    assert wrongly_taken(rows) == ["1.1"]


@pytest.mark.parametrize("name", ["compare", *SPEED, *PRECISIONS, "equivariance", "steerable", "steerable_e2cnn"])
def test_results_say_where_they_come_from(name):
    provenance = json.loads((RESULTS / f"{name}.json").read_text())["provenance"]
    assert len(provenance["commit"]) == 40, "measured on a clean commit"
    assert provenance["versions"]["torch"]


STUDIES = ["rotmnist", "rotmnist-25k", "rotmnist-25k_validation"]
COLORED = ["colormnist-longtailed", "colormnist-biased-std", "cifar-narrow", "color", "color-digits"]
TAUGHT_STUDIES = ["ien", "ien-few", "ien-compared"]


@pytest.mark.parametrize("name", STUDIES + COLORED + TAUGHT_STUDIES)
def test_the_tables_and_plots_of_studies_follow_from_the_raw_results(name):
    report = json.loads((RESULTS / f"{name}.json").read_text())
    assert not report["quick"]
    assert report["part"] == ("validation" if name.endswith("validation") else "test")
    assert study_markdown(report) == (RESULTS / f"{name}.md").read_text()
    done = [cell["group"] for cell in report["cells"]]
    assert [done.count(row["name"]) for row in report["rows"]] == [row["seeds"] for row in report["rows"]]
    for run in report["runs"]:
        assert len(run["provenance"]["commit"]) == 40, "measured on a clean commit"


@pytest.mark.parametrize("name", ["robustness", "color-moved", "color-digits-moved"])
def test_the_tables_of_robustness_follow_from_the_raw_results(name):
    report = json.loads((RESULTS / f"{name}.json").read_text())
    assert robustness_markdown(report) == (RESULTS / f"{name}.md").read_text()
    assert len(report["runs"][0]["provenance"]["commit"]) == 40, "measured on a clean commit"


def test_what_was_chosen_is_the_best_on_validation_data():
    tested, tried = (json.loads((RESULTS / f"{name}.json").read_text()) for name in STUDIES[1:])
    errors = {row["name"]: row["error"] for row in tried["rows"] if not row["augment"]}
    assert None not in errors.values()
    assert min(errors, key=errors.__getitem__) in {row["name"] for row in tested["rows"] if row["seeds"]}
    assert all(row["parameters"] <= 25_000 for row in tested["rows"])
