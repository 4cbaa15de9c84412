"""Results of several runs put together as one."""

import json
import sys

import pytest
from test_study_results import small, study_command

from benchmarks.__main__ import main
from benchmarks.files import write_json

pytestmark = pytest.mark.usefixtures("inline")

RUN = sys.modules["benchmarks.studies.run"]  # the package has a function of that name


def join(folder, *files, rows="Z2CNN,P4CNN,gc-P4CNN-small"):
    words = ["--rows", rows, "--out", str(folder), "--join", *map(str, files)]
    return main(["study", "rotmnist", *words])


def test_runs_are_put_together(monkeypatch, tmp_path):
    monkeypatch.setattr(RUN, "load", small)
    a, b, both = (tmp_path / name for name in "abc")
    assert study_command(a, "--rows", "gc-P4CNN-small,Z2CNN", "--set", "precision=64-true") == 0
    assert study_command(b, "--rows", "Z2CNN", "--first-seed", "2", "--set", "precision=64-true") == 0
    files = [str(folder / "results.json") for folder in (b, a)]
    assert join(both, *files) == 0
    first, second, whole = (json.loads((folder / "results.json").read_text()) for folder in (a, b, both))
    errors = {(c["group"], c["seed"]): c["error"]["test"] for c in first["cells"] + second["cells"]}
    assert [(cell["group"], cell["seed"]) for cell in whole["cells"]] == [
        *(("Z2CNN", 1), ("Z2CNN", 2), ("gc-P4CNN-small", 1))
    ]
    rows = {row["name"]: row for row in whole["rows"]}
    assert rows["Z2CNN"]["seeds"] == 2
    assert rows["Z2CNN"]["error"] == pytest.approx(50 * (errors["Z2CNN", 1] + errors["Z2CNN", 2]))
    assert rows["P4CNN"]["seeds"] == 0
    assert [whole["runs"][cell["run"]]["command"] for cell in whole["cells"]] == [
        run["command"] for run in (*first["runs"], *second["runs"], *first["runs"])
    ]
    assert join(tmp_path / "again", both / "results.json") == 0
    assert json.loads((tmp_path / "again" / "results.json").read_text()) == whole
    older = {name: value for name, value in second["recipe"].items() if name not in ("penalties", "warmup")}
    write_json(tmp_path / "older.json", {**second, "recipe": older, "data": {**second["data"], "train_by_class": None}})
    assert join(tmp_path / "again", files[1], tmp_path / "older.json") == 0

    def told(*paths):
        assert join(tmp_path / "no", *paths, rows="Z2CNN") == 2

    assert study_command(tmp_path / "no", "--join", files[0]) == 2
    told(files[0], files[0])
    rows = [{**row, "options": {"width": 7}} for row in second["rows"]]
    write_json(tmp_path / "other.json", {**second, "rows": rows})  # the study was another then
    told(tmp_path / "other.json")
    write_json(tmp_path / "other.json", {name: value for name, value in second.items() if name != "failures"})
    told(tmp_path / "other.json")
    write_json(tmp_path / "other.json", {**second, "recipe": {**second["recipe"], "epochs": 7}})
    told(files[1], tmp_path / "other.json")
    write_json(tmp_path / "other.json", {**second, "recipe": {**older, "warmup": 1}})
    told(files[1], tmp_path / "other.json")
    write_json(tmp_path / "other.json", {**second, "data": {**second["data"], "fingerprint": "another"}})
    told(files[1], tmp_path / "other.json")
    write_json(tmp_path / "other.json", {**second, "augment": {"mirror": 0.5}})
    told(files[1], tmp_path / "other.json")
    write_json(tmp_path / "other.json", {**second, "normalize": ["gray"]})
    told(files[1], tmp_path / "other.json")
    write_json(tmp_path / "other.json", {**second, "study": "colors"})
    told(tmp_path / "other.json")
    write_json(tmp_path / "other.json", [1])
    told(tmp_path / "other.json")
    told(tmp_path / "missing.json")
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    "words",
    [
        *("--seeds 2", "--first-seed 2", "--epochs 3", "--set epochs=2", "--curves hue", "--validation 0.2", "--quick"),
        *("--finished", "--log tensorboard", "--engine ray", "--accelerator cuda", "--workers 2"),
    ],
)
def test_what_results_that_are_put_together_do_not_go_by_is_refused(words, tmp_path, capsys):
    given = ["study", "rotmnist", "--join", str(tmp_path / "a.json"), "--out", str(tmp_path / "out")]
    assert main([*given, *words.split()]) == 2
    assert f"--join takes results as they are; got {words.split()[0]}: leave it out" in capsys.readouterr().err
