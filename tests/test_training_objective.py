"""What training makes small: cross entropy, and beside it the loss of implicit equivariance."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from taught import equivariance
from test_training import ROOT, Hardware, fabric, losses, same, task
from torch import nn
from torch.nn import functional as F

from benchmarks.training import CrossEntropy, Images, Implicit, Recipe, fit
from benchmarks.training.feed import UNCOUNTED
from equiconv import EquiconvError
from equiconv.groups import P4, HueShift
from equiconv.layers import ChannelMaxPool

RECIPE = Recipe(3, batch_size=16, learning_rate=0.05, schedule="onecycle")
TURNED = [0, 1, 0, 0]


def network():
    torch.manual_seed(1)
    conv = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3)
    return nn.Sequential(*conv, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))


def taught(net=None, loss=None, **options):
    """Return a task whose objective is the loss; without one, the mean squared error under a quarter turn."""
    own = network() if net is None else net
    loss = loss or equivariance(P4(), ["0", "2"], 2.0, normalized=False, draw=TURNED)
    return replace(task(), net=own, objective=Implicit(own, loss), **options)


def test_cross_entropy_is_that_of_pytorch():
    logits, labels = torch.randn(6, 3, requires_grad=True), torch.tensor([0, 1, 2, UNCOUNTED, 1, 0])
    found = CrossEntropy()(lambda x: x * 1, lambda x: x, logits, labels)
    assert found.total.item() == pytest.approx(5 * F.cross_entropy(logits, labels).item())
    assert found.told == {"loss": found.total}
    assert not found.told["loss"].requires_grad


def plain(net, images, labels, prepare=lambda x: x):
    """Return the mean cross entropy of images and turned ones, and the mean squared error of both layers."""
    both = prepare(torch.cat([images, torch.rot90(images, 1, (-2, -1))]))
    first = net[0](both)
    second = net[2](net[1](first))
    errors = [F.mse_loss(torch.rot90(b, -1, (-2, -1)), a) for a, b in (first.chunk(2), second.chunk(2))]
    return F.cross_entropy(net[3:](second), labels.repeat(2)), errors


def test_the_objective_is_the_plain_formula():
    one, images, labels = taught(), torch.rand(6, 3, 8, 8), torch.randint(3, (6,))
    found = one.objective(one.net, lambda x: 2 * x - 1, images, labels)
    loss, errors = plain(one.net, images, labels, lambda x: 2 * x - 1)
    assert found.total.item() == pytest.approx(6 * (loss + 2 * sum(errors)).item(), rel=1e-5)
    told = {"loss": loss, "penalty": 2 * sum(errors), "penalty of 0": errors[0], "penalty of 2": errors[1]}
    assert {name: value.item() / 6 for name, value in found.told.items()} == pytest.approx(
        {name: value.item() for name, value in told.items()}, rel=1e-5
    )
    assert not any(value.requires_grad for value in found.told.values())


def test_images_that_do_not_count_have_no_share():
    one, images = taught(), torch.rand(1, 3, 8, 8)
    found = one.objective(one.net, lambda x: x, images, torch.tensor([UNCOUNTED]))
    assert found.total.item() == 0
    assert all(value.item() == 0 for value in found.told.values())
    found.total.backward()
    assert all((parameter.grad == 0).all() for parameter in one.net.parameters())


def test_one_step_is_that_of_plain_pytorch():
    one, expected = taught(), network()
    loss, errors = plain(expected, one.data.images.float() / 255, one.data.labels)
    (loss + 2 * sum(errors)).backward()
    with torch.no_grad():
        for parameter in expected.parameters():
            parameter -= 0.1 * parameter.grad
    recipe = Recipe(1, batch_size=50, optimizer="sgd", learning_rate=0.1, momentum=0.0)
    (epoch,) = fit(one, recipe, fabric())
    assert epoch["loss"] == pytest.approx(loss.item(), rel=1e-5)
    assert epoch["penalty"] == pytest.approx(2 * sum(errors).item(), rel=1e-5)
    assert epoch["penalty of 2"] == pytest.approx(errors[1].item(), rel=1e-5)
    for a, b in zip(one.net.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_accumulated_gradients_are_those_of_the_whole_batch():
    nets, found = [], []
    for accumulate in (1, 3):
        one = taught()
        recipe = Recipe(2, batch_size=20, optimizer="sgd", learning_rate=0.1, accumulate=accumulate)
        found.append([epoch["penalty"] for epoch in fit(one, recipe, fabric())])
        nets.append(one.net)
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    for a, b in zip(*(net.parameters() for net in nets), strict=True):
        torch.testing.assert_close(a, b)


def test_a_network_learns_to_be_equivariant():
    penalties = []
    for beta in (0, 10):
        one = taught(loss=equivariance(P4(), ["0", "2"], beta, draw=[0, 1, 1, 1]))
        history = fit(one, replace(RECIPE, epochs=6, learning_rate=0.02), fabric())
        penalties.append([epoch["penalty of 0"] for epoch in history])
        for epoch in history:
            assert epoch["penalty"] == pytest.approx(beta * (epoch["penalty of 0"] + epoch["penalty of 2"]))
    assert penalties[1][-1] < 0.3 * penalties[1][0]
    assert penalties[1][-1] < 0.5 * penalties[0][-1]


def test_a_run_that_was_cut_off_goes_on_to_the_bit(tmp_path):
    def random():
        return taught(loss=equivariance(HueShift(3) * P4(), ["0", "2"]))

    def fail(net):
        if len(seen) == 1:
            raise KeyboardInterrupt
        seen.append(net)
        return {}

    whole, seen = random(), []
    history = fit(whole, RECIPE, fabric())
    with pytest.raises(KeyboardInterrupt):
        fit(replace(random(), validate=fail), RECIPE, fabric(), folder=tmp_path)
    resumed = random()
    numbers = fit(resumed, RECIPE, fabric(), folder=tmp_path)
    assert [{**epoch, "seconds": 0} for epoch in numbers] == [{**epoch, "seconds": 0} for epoch in history]
    assert same(whole.net, resumed.net)
    assert losses(fit(replace(random(), seed=1), RECIPE, fabric())) != losses(history)


def test_another_objective_is_another_run(tmp_path):
    recipe = replace(RECIPE, epochs=1)
    fit(taught(), recipe, fabric(), folder=tmp_path)
    fit(taught(), recipe, fabric(), folder=tmp_path)
    net = network()
    others = [replace(task(), net=net)]
    changes = {"beta": 3.0, "normalized": True, "draw": None, "carried": ChannelMaxPool(4), "layers": "0"}
    for options in ({name: value} for name, value in changes.items()):
        usual = {"layers": ["0", "2"], "beta": 2.0, "normalized": False, "draw": TURNED}
        others.append(taught(loss=equivariance(P4(), **{**usual, **options})))
    for other in others:
        with pytest.raises(EquiconvError, match=r"of another run \(objective: "):
            fit(other, recipe, fabric(), folder=tmp_path)


def doubled_entries(x):
    return 2 * x


def test_an_objective_has_the_same_name_in_another_process():
    """A run goes on in another process only if what tells it from others has no place in the memory."""
    loss = equivariance(P4(), "0", carried=doubled_entries)
    assert "doubled_entries" in repr(taught(loss=loss).objective)
    assert " at 0x" not in repr(taught(loss=loss).objective)


def test_a_penalty_that_is_not_finite_stops(tmp_path):
    def broken(x):
        return x * torch.nan

    one = taught(loss=equivariance(P4(), "0", 0.0, carried=broken))
    with pytest.raises(FloatingPointError, match="became nan in epoch 1"):
        fit(one, RECIPE, fabric())


@pytest.mark.parametrize("options", [{"precision": "bf16-mixed"}, {"precision": "64-true"}, {"channels_last": True}])
def test_other_ways_to_compute(options):
    def penalties(recipe):
        history = fit(taught(), recipe, fabric(recipe.precision))
        return [epoch["penalty"] for epoch in history]

    usual = Recipe(2, batch_size=16, learning_rate=0.01)
    assert penalties(replace(usual, **options)) == pytest.approx(penalties(usual), rel=0.05)


PARALLEL = """
import sys
sys.path[:0] = [{tests!r}, {root!r}]
import torch
from test_training_objective import ODD, Hardware, fit, taught
torch.set_num_threads(1)
one = taught()
fabric = Hardware(devices=2).fabric("32-true")
history = fit(one, ODD, fabric)
if fabric.is_global_zero:
    torch.save([[[epoch["loss"], epoch["penalty"]] for epoch in history], one.net.state_dict()], {out!r})
"""
ODD = replace(RECIPE, epochs=2, batch_size=7)


def test_two_processes_are_one(tmp_path):
    """Also in the last step of an epoch, where one of them has no image."""
    script, out = tmp_path / "parallel.py", tmp_path / "out.pt"
    script.write_text(PARALLEL.format(tests=str(ROOT / "tests"), root=str(ROOT), out=str(out)))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone", str(script)]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found, state = torch.load(out)
    one = taught()
    history = fit(one, ODD, Hardware().fabric("32-true"))
    for a, epoch in zip(found, history, strict=True):
        assert a == pytest.approx([epoch["loss"], epoch["penalty"]], rel=1e-4)
    for name, value in one.net.state_dict().items():
        torch.testing.assert_close(state[name], value, rtol=1e-3, atol=1e-5)
    assert isinstance(one.data, Images)
