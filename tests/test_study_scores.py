"""What is counted in the test of a study: every image once, also on a stream, and by several processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from stored import coded, store
from streamed import LABELS, READING, VALUES, Shown, numbers_of, shades, tiny_study

from benchmarks.studies import Row, Study
from benchmarks.studies.columns import markdown
from benchmarks.studies.scores import counted, measured
from benchmarks.studies.streaming import Streaming
from benchmarks.studies.supply import InMemory
from benchmarks.studies.table import summarize
from benchmarks.training import Recipe

ROOT = Path(__file__).parent.parent


@pytest.fixture
def tiny(home, monkeypatch, tmp_path):
    """The study, with images to stream."""
    return tiny_study(home, monkeypatch, tmp_path)


def found(data, curves=()):
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    return measured(Shown(len(data.classes)).eval(), InMemory(data, 3), curves, fabric, lambda _: None)


def test_errors_are_counted_at_first_and_among_five():
    result = found(shades(12, LABELS, VALUES), ("hue-linear",))
    assert result["error"] == {"test": pytest.approx(0.6)}
    among = [abs(label - value) <= 2 or value <= 2 >= label - 2 for label, value in zip(LABELS, VALUES, strict=True)]
    assert among == [True, True, False, True, True, False, True, False, True, True]
    assert result["error_top5"] == pytest.approx(0.3)
    assert result["curves"] == {"hue-linear": pytest.approx([0.4] * 37)}  # gray has no hue
    assert result["curves_top5"] == {"hue-linear": pytest.approx([0.7] * 37)}
    assert result["by_class"]["right"] == [1, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1]
    assert result["by_class"]["images"] == [3, 0, 0, 3, 0, 2, 0, 0, 0, 0, 0, 2]
    assert result["confusion"][3] == [0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0]


def test_few_classes_have_no_top_five_and_many_no_table_of_what_is_taken_for_what():
    few, many = found(shades(10, [1, 2], [1, 3])), found(shades(130, [1, 129], [1, 129]))
    assert not {"error_top5", "curves_top5"} & few.keys()
    assert many["confusion"] is None
    assert many["error_top5"] == 0
    assert sum(many["by_class"]["right"]) == 2


def test_errors_of_categories():
    row, recipe = Row("tiny", "Trivial"), Recipe(1)
    ranges = {"low": ((0, 3),), "rest": ((4, 10), (11, 11))}
    study = Study("s", "s", "shades", 1, 3, 1, recipe, (row,), categories=ranges)
    taken = [0, 0, 3, 3, 5, 9, 11, 7, 6, 6]  # each class has a share of its own
    results = [found(shades(12, LABELS, values)) for values in (taken, LABELS)]
    made = summarize(row, study, results, {"parameters": 1, "macs": 1e6, "peak_memory": 0})
    assert made["categories"]["low"]["error"] == pytest.approx(100 * (3 / 6) / 2)
    assert made["categories"]["rest"]["error"] == pytest.approx(100 * (3 / 4) / 2)
    assert made["error_top5"] == pytest.approx(15)
    header, _, line = markdown({"part": "test", "sweep": None, "rows": [made], "categories": ranges}).splitlines()
    assert "| top-5 error (%) | low (%) | rest (%) |" in header
    assert "| 15.00 ± 21.21 | 25.00 ± 35.36 | 37.50 ± 53.03 |" in line


# -- several processes -----------------------------------------------------------------------------------------------


TOGETHER = """
import sys
sys.path[:0] = [{tests!r}, {root!r}]
import json, os, pathlib
import pytest, torch
import streamed
from benchmarks.__main__ import main
torch.set_num_threads(1)
folder = pathlib.Path({folder!r})
streamed.small(pytest.MonkeyPatch(), folder)
found = [streamed.numbers_of(2), streamed.trained_buffers()]
(folder / f"found-{{os.environ['RANK']}}.json").write_text(json.dumps(found))
sys.exit(main(["study", "tiny", "--engine", "torchrun", "--out", str(folder / "out")]))
"""


def test_two_processes_share_the_test_and_lose_no_image(tiny, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(TOGETHER.format(tests=str(ROOT / "tests"), root=str(ROOT), folder=str(tmp_path)))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone", str(script)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    (first, buffers), (second, same) = (json.loads((tmp_path / f"found-{rank}.json").read_text()) for rank in (0, 1))
    assert first == second == json.loads(json.dumps(numbers_of()))
    assert [sum(result["by_class"]["images"]) for result in first] == [9, 9, 5]
    assert [result["curves"]["hue"][0] for result in first] == pytest.approx([4 / 9, 1 / 3, 1 / 5])
    assert buffers == same
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["failures"] == []
    assert sum(results["cells"][0]["by_class"]["images"]) == 5
    assert "torchrun --nproc_per_node=2" in results["runs"][0]["command"]


def test_every_image_of_the_test_is_one_process_s(tiny):
    streamed = Streaming("imagenet", 32, READING)
    memory = InMemory(shades(12, LABELS, VALUES), 3)
    for supply, expected in ((streamed, [0, 1, 2, 3, 4]), (memory, sorted(LABELS))):
        for world in (1, 2, 3, 11):
            shared = [labels for rank in range(world) for _, labels in supply.tests(rank, world)]
            assert sorted(torch.cat(shared).tolist()) == expected


class Rank:
    """One of two processes, whose counts nobody adds up."""

    global_rank, world_size, device = 0, 2, "cpu"

    def all_reduce(self, counts, reduce_op):
        return counts


def test_a_process_with_most_of_a_stream_moves_all_of_it(tiny, home):
    store(
        home / "imagenet" / "test-00000-of-00002.parquet",
        coded(5, 64).repeat(3, 1),
        range(5),
        [f"n{number}" for number in range(24)],
    )
    (home / "imagenet" / "test-00000-of-00001.parquet").unlink()
    store(
        home / "imagenet" / "test-00001-of-00002.parquet",
        coded(1, 64).repeat(3, 1),
        [7],
        [f"n{number}" for number in range(24)],
    )
    moves = (lambda x: x, lambda x: x)
    _, counts = counted(Shown(24).eval(), Streaming("imagenet", 32, READING), moves, Rank(), lambda _: None)
    assert counts[2].tolist() == [5, 5]
