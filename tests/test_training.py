"""The training engine: what it computes, and that nothing is lost."""

import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.training import Checkpoint, Hardware, Images, Recipe, Task, fit
from equiconv import EquiconvError
from equiconv.groups import P4
from equiconv.layers import FieldDropout, GroupConv2d, GroupPool

ROOT = Path(__file__).parent.parent


def network():
    torch.manual_seed(1)
    kind = 4 * P4().regular
    layers = GroupConv2d(3 * P4().trivial, kind, 3), nn.ReLU(), FieldDropout(kind, 0.2), GroupPool(kind)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


def task(**options):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (50, 3, 8, 8), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, 3, (50,), generator=generator)
    return Task(network(), Images(images, labels), **options)


def train(recipe, folder=None, **options):
    one = task(**options)
    history = fit(one, recipe, Hardware().fabric(recipe.precision), folder=folder)
    return one.net, history


def losses(history):
    return [epoch["loss"] for epoch in history]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


RECIPE = Recipe(3, batch_size=16, learning_rate=0.05, schedule="onecycle", weight_decay=1e-4)


def test_the_same_seed_gives_the_same_numbers():
    net, history = train(RECIPE)
    again, history_again = train(RECIPE)
    assert losses(history) == losses(history_again)
    assert same(net, again)
    assert losses(train(RECIPE, seed=1)[1]) != losses(history)
    assert history[-1]["loss"] < history[0]["loss"]


def test_one_step_is_that_of_plain_pytorch():
    recipe = Recipe(1, batch_size=50, optimizer="sgd", learning_rate=0.1, momentum=0.0, weight_decay=0.01)
    one = task()
    one.net[2] = nn.Identity()
    expected = network()
    expected[2] = nn.Identity()
    loss = nn.functional.cross_entropy(expected(one.data.images.float() / 255), one.data.labels)
    loss.backward()
    with torch.no_grad():
        for parameter in expected.parameters():
            parameter -= 0.1 * (parameter.grad + 0.01 * parameter)
    history = fit(one, recipe, Hardware().fabric("32-true"))
    assert history[0]["loss"] == pytest.approx(loss.item())
    for a, b in zip(one.net.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_accumulated_gradients_are_those_of_the_whole_batch():
    nets = []
    for accumulate in (1, 3):
        one = task()
        one.net[2] = nn.Identity()
        fit(one, Recipe(2, batch_size=20, optimizer="sgd", learning_rate=0.1, accumulate=accumulate), fabric())
        nets.append(one.net)
    for a, b in zip(*(net.parameters() for net in nets), strict=True):
        torch.testing.assert_close(a, b)


def fabric(precision="32-true"):
    return Hardware().fabric(precision)


@pytest.mark.parametrize("schedule", ["onecycle", "step", "cosine", "cycle", "constant"])
def test_a_run_that_was_cut_off_goes_on_to_the_bit(tmp_path, schedule):
    recipe = Recipe(4, batch_size=16, learning_rate=0.05, schedule=schedule, every=2)
    net, history = train(recipe)

    def fail(net):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(net)
        return {}

    seen = []
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path, validate=fail)
    assert len(Checkpoint(tmp_path / "last.pt", {}).path.read_bytes())
    resumed, numbers = train(recipe, tmp_path)
    assert losses(numbers) == losses(history)
    assert [epoch["learning_rate"] for epoch in numbers] == [epoch["learning_rate"] for epoch in history]
    assert same(net, resumed)
    again, numbers = train(recipe, tmp_path)  # nothing is left to do
    assert losses(numbers) == losses(history)
    assert same(net, again)


SCRIPT = """
import sys
sys.path[:0] = [{tests!r}, {root!r}]
import pathlib, time
from test_training import RECIPE, Hardware, fit, task
def wait(net):
    print("epoch", flush=True)
    time.sleep({seconds})
    return {{}}
folder = pathlib.Path({folder!r})
print([epoch["loss"] for epoch in fit(task(validate=wait), RECIPE, Hardware().fabric("32-true"), folder=folder)])
"""


def test_a_killed_process_loses_one_epoch_at_most(tmp_path):
    code = SCRIPT.format(tests=str(ROOT / "tests"), root=str(ROOT), folder=str(tmp_path), seconds=60)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        while not process.stdout.readline().startswith("epoch"):
            pass
        os.kill(process.pid, signal.SIGKILL)  # in the first epoch: nothing is kept yet, and nothing is broken
    assert not list(tmp_path.glob("*.pt"))
    code = SCRIPT.format(tests=str(ROOT / "tests"), root=str(ROOT), folder=str(tmp_path), seconds=0.5)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL) as process:
        while not (tmp_path / "last.pt").exists():
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    net, history = train(RECIPE, tmp_path)
    expected, numbers = train(RECIPE)
    assert losses(history) == losses(numbers)
    assert same(net, expected)


PARALLEL = """
import sys
sys.path[:0] = [{tests!r}, {root!r}]
import torch
from test_training import SHARED, Hardware, fit, shared
torch.set_num_threads(1)
recipe = SHARED[{name!r}]
one = shared(recipe)
fabric = Hardware(devices=2).fabric("32-true")
history = fit(one, recipe, fabric)
if fabric.is_global_zero:
    torch.save([[epoch["loss"] for epoch in history], one.net.state_dict()], {out!r})
"""


def shared(recipe):
    """Return a task without random numbers of each process; what is compiled is small, because it takes long."""
    one = task()
    if recipe.compiled:
        return replace(one, net=nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.ReLU(), nn.Linear(8, 3)))
    one.net[2] = nn.Identity()
    return one


SHARED = {"odd": replace(RECIPE, batch_size=7), "compiled": replace(RECIPE, batch_size=26, accumulate=2, compiled=True)}


@pytest.mark.parametrize("name", SHARED)
def test_two_processes_are_one(name, tmp_path):
    """Also where batches cannot be split evenly: 50 images, 7 a batch, 1 left, so that one process has none."""
    script, out = tmp_path / "parallel.py", tmp_path / "out.pt"
    script.write_text(PARALLEL.format(tests=str(ROOT / "tests"), root=str(ROOT), name=name, out=str(out)))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone", str(script)]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found, state = torch.load(out)
    one = shared(SHARED[name])
    history = fit(one, replace(SHARED[name], compiled=False), fabric())
    assert found == pytest.approx(losses(history), rel=1e-5)
    for name, value in one.net.state_dict().items():
        torch.testing.assert_close(state[name], value, rtol=1e-3, atol=1e-5)


def test_a_compiled_network_learns_the_same_and_its_state_is_that_of_a_plain_one(tmp_path):
    recipe = replace(RECIPE, batch_size=25, compiled=True)
    plain = task()
    plain.net[2] = nn.Identity()  # compiled code draws other random numbers
    expected = losses(fit(plain, replace(recipe, compiled=False), fabric()))

    def interrupt(net):
        called.append(hasattr(net._forward_module, "_orig_mod"))
        if len(called) == 2:
            raise KeyboardInterrupt
        return {}

    called = []
    one = task(validate=interrupt)
    one.net[2] = nn.Identity()
    with pytest.raises(KeyboardInterrupt):
        fit(one, recipe, fabric(), folder=tmp_path)
    assert called == [True, True]
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    assert state["net"].keys() == plain.net.state_dict().keys()
    resumed = task()
    resumed.net[2] = nn.Identity()
    history = fit(resumed, recipe, fabric(), folder=tmp_path)
    assert losses(history) == pytest.approx(expected, rel=1e-5)
    assert losses(history)[:1] == losses(state["history"])
    for a, b in zip(resumed.net.parameters(), plain.net.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_another_run_is_refused(tmp_path):
    train(RECIPE, tmp_path)
    with pytest.raises(EquiconvError, match=r"of another run .*seed: 0 there, 1 here"):
        train(RECIPE, tmp_path, seed=1)
    (tmp_path / "last.pt").write_bytes(b"half")
    with pytest.raises(EquiconvError, match="not a checkpoint that can be read"):
        train(RECIPE, tmp_path)


def test_a_loss_that_is_not_finite_stops(tmp_path):
    def poison(images):
        return images * (math.nan if len(seen) > 4 else 1)

    seen = []

    def note(images):
        seen.append(1)
        return poison(images)

    with pytest.raises(FloatingPointError, match="the loss became nan in epoch 2: a smaller learning rate"):
        train(RECIPE, tmp_path, prepare=note)
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    assert len(state["history"]) == 1
    assert all(value.isfinite().all() for value in state["net"].values())


def test_half_written_files_are_never_seen(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "last.pt", {"a": 1})
    checkpoint.save({"x": torch.ones(3)})

    def broken(obj, file):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save({"x": torch.zeros(3)})
    assert torch.equal(checkpoint.load()["x"], torch.ones(3))


@pytest.mark.parametrize("options", [{"precision": "bf16-mixed"}, {"precision": "64-true"}, {"channels_last": True}])
def test_other_ways_to_compute(options):
    expected = losses(train(RECIPE)[1])
    found = losses(train(Recipe(3, batch_size=16, learning_rate=0.05, schedule="onecycle", **options))[1])
    assert found == pytest.approx(expected, rel=0.05)
