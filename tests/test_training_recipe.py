"""Recipes: what they refuse, and their schedules."""

import math

import pytest
import torch
from torch import nn

from benchmarks.training import Recipe
from equiconv import EquiconvError
from equiconv.groups import Cyclic
from equiconv.models import create


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs is an integer, at least 1; got 0"),
        ({"epochs": 1, "optimizer": "adagrad"}, "optimizer is one of adam, sgd; got 'adagrad'"),
        ({"epochs": 1, "schedule": "x"}, "schedule is one of constant, onecycle"),
        ({"epochs": 1, "learning_rate": 0.0}, "learning_rate is above 0"),
        ({"epochs": 1, "learning_rate": float("nan")}, "learning_rate is at least 0 and below inf; got nan"),
        ({"epochs": 1.5}, "epochs is an integer, at least 1; got 1.5"),
        ({"epochs": 1, "momentum": 1.0}, "momentum is at least 0 and below 1; got 1.0"),
        ({"epochs": 9, "schedule": "milestones"}, "milestones are epochs in rising order"),
        ({"epochs": 9, "schedule": "milestones", "milestones": (3, 2)}, "milestones are epochs in rising order"),
        ({"epochs": 9, "milestones": (3,)}, 'for schedule="milestones"'),
        (
            {"epochs": 9, "schedule": "cosine", "warmup": 1},
            "a warm-up is for the schedules constant, step, decay, milestones",
        ),
        ({"epochs": 9, "warmup": -1}, "warmup is at least 0 and below inf; got -1"),
        ({"epochs": 9, "told_for": 4.5}, "told_for is an integer, at least 0; got 4.5"),
        ({"epochs": 9, "rate_batch": -1}, "rate_batch is an integer, at least 0; got -1"),
        ({"epochs": 1, "penalties": {"bias": (0, 1)}}, "for convolution, hidden, output, other; got bias"),
        ({"epochs": 1, "penalties": {"hidden": (1,)}}, r"pairs \(L1, L2\).*; got hidden = \(1,\)"),
        ({"epochs": 1, "penalties": {"hidden": (0, -1)}}, "at least 0"),
        ({"epochs": 1, "penalties": {"hidden": 1e-7}}, "got hidden = 1e-07"),
    ],
)
def test_recipes_that_make_no_sense(options, message):
    with pytest.raises(EquiconvError, match=message):
        Recipe(**options)


def rates(recipe, steps, count):
    """Return the learning rate of each step."""
    optimizer = recipe.make_optimizer(nn.Linear(1, 1))
    schedule = recipe.make_schedule(optimizer, steps)
    found = []
    for _ in range(count):
        found.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return found


def test_the_cycle():
    found = rates(Recipe(10, learning_rate=5e-3, schedule="cycle", every=8, lowest=1e-5), 10, 100)
    assert found[0] == pytest.approx(1e-5)
    assert max(found) == found[20] == pytest.approx(5e-3)
    assert found[10] == pytest.approx((5e-3 + 1e-5) / 2)
    assert found[50] == pytest.approx((5e-3 + 1e-5) / 2)
    assert found[80:] == pytest.approx([1e-5] * 20)


IEN = {"weight_decay": 1e-7, "learning_rate": 5e-3, "schedule": "cycle", "every": 70, "lowest": 1e-5}


def published_cycle(length, low=1e-5, high=5e-3):
    """Return the learning rate of each step as it is published of implicit equivariance."""
    rise = length // 4
    up = [high - (high - low) / 2 * (1 + math.cos(math.pi * t / rise)) for t in range(rise + 1)]
    down = [
        low + (high - low) / 2 * (1 + math.cos(math.pi * (t - rise) / (length - rise))) for t in range(rise + 1, length)
    ]
    return up + down


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_the_schedule_of_implicit_equivariance_is_the_published_one(steps):
    recipe = Recipe(90, batch_size=32, **IEN)
    found, length = rates(recipe, steps, 90 * steps), 70 * steps
    assert found[:length] == pytest.approx(published_cycle(length), rel=1e-9)
    rise = length // 4
    assert found[0] == pytest.approx(1e-5)
    assert found[rise] == max(found) == pytest.approx(5e-3)
    last = math.pi**2 / 4 * (5e-3 - 1e-5) / (length - rise) ** 2  # of the cosine, a step before its end
    assert found[length - 1] - 1e-5 == pytest.approx(last, rel=1e-2)
    assert found[length:] == pytest.approx([1e-5] * 20 * steps), "published: the rate of the last step of the cycle"
    for broken in ({"every": 60}, {"lowest": 1e-4}, {"learning_rate": 1e-3}, {"schedule": "cosine"}):
        other = rates(Recipe(90, **IEN | broken), steps, length)
        assert other != pytest.approx(published_cycle(length), rel=1e-9)


def test_its_weight_decay_is_added_to_the_gradient():
    recipe = Recipe(90, **IEN | {"weight_decay": 0.1})
    net = nn.Linear(1, 1, bias=False)
    nn.init.ones_(net.weight)
    optimizer = recipe.make_optimizer(net)
    assert type(optimizer) is torch.optim.Adam
    assert recipe.changed({"weight_decay": 1e-7}).make_optimizer(net).defaults["weight_decay"] == 1e-7
    weight, seen = 1.0, [0.3, -0.2]
    for gradient in seen:
        net.weight.grad = torch.full((1, 1), gradient)
        optimizer.step()
    first = second = 0.0
    for step, gradient in enumerate(seen, start=1):
        whole = gradient + 0.1 * weight
        first, second = 0.9 * first + 0.1 * whole, 0.999 * second + 0.001 * whole**2
        weight -= 5e-3 * first / (1 - 0.9**step) / (math.sqrt(second / (1 - 0.999**step)) + 1e-8)
    assert net.weight.item() == pytest.approx(weight, abs=1e-6)


def test_milestones():
    recipe = Recipe(9, learning_rate=1.0, schedule="milestones", milestones=(2, 3))
    assert rates(recipe, 5, 20) == pytest.approx([1.0] * 10 + [0.1] * 5 + [0.01] * 5)


IMAGENET = {"learning_rate": 0.1, "optimizer": "sgd", "schedule": "milestones", "milestones": (30, 60, 80)}
IMAGENET |= {"warmup": 5, "told_for": 90, "rate_batch": 256}


def published(epochs, batch, steps):
    """Return the learning rate of each step as the published script of ImageNet has it."""
    s, found = epochs / 90, []
    for epoch in range(epochs):
        for step in range(steps):
            warm = (1 + step + epoch * steps) / (5 * steps * s) if epoch < 5 * s else 1
            found.append(0.1 * batch / 256 * 0.1 ** (epoch // (30 * s) + (epoch >= 80 * s)) * min(1, warm))
    return found


@pytest.mark.parametrize(("epochs", "batch"), [(90, 256), (90, 1024), (45, 64), (180, 256), (7, 256), (1, 256)])
def test_the_schedule_of_imagenet_is_the_published_one(epochs, batch):
    recipe = Recipe(epochs, batch_size=batch, **IMAGENET)
    assert rates(recipe, 4, 4 * epochs) == pytest.approx(published(epochs, batch, 4))


@pytest.mark.parametrize(
    "broken", [{"warmup": 0}, {"warmup": 4}, {"told_for": 0}, {"rate_batch": 0}, {"milestones": (30, 60)}, {"gamma": 1}]
)
def test_every_entry_of_that_schedule_has_its_part(broken):
    recipe = Recipe(45, batch_size=64, **IMAGENET | broken)
    assert rates(recipe, 4, 180) != pytest.approx(published(45, 64, 4))


def test_a_warm_up_before_steps():
    recipe = Recipe(9, learning_rate=1.0, schedule="step", every=2, warmup=1.5)
    assert rates(recipe, 2, 10) == pytest.approx([1 / 3, 2 / 3, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01])
    assert rates(Recipe(9, learning_rate=1.0, warmup=2), 2, 5) == pytest.approx([0.25, 0.5, 0.75, 1, 1])


def test_epochs_are_stretched_without_a_warm_up_too():
    recipe = Recipe(4, learning_rate=1.0, schedule="step", every=4, told_for=8)
    assert rates(recipe, 1, 4) == pytest.approx([1, 1, 0.1, 0.1])


def test_values_of_the_command_line():
    words = {"epochs": "3", "learning_rate": "0.5", "compiled": "true", "schedule": "milestones", "milestones": "1,2"}
    expected = Recipe(3, learning_rate=0.5, compiled=True, schedule="milestones", milestones=(1, 2))
    assert Recipe(1).changed(words) == expected


def test_decay():
    recipe = Recipe(9, learning_rate=1.0, schedule="decay", every=2, gamma=0.5)
    assert rates(recipe, 5, 25) == pytest.approx([1.0] * 15 + [0.5] * 5 + [0.25] * 5)


def small_network():
    return create("steerable-cnn-small", Cyclic(4), width=0.1, fields="irreps").double()


def names_by_kind(net):
    """Return what penalties are for, told by names: the head is linear, batch norm, ELU, linear."""
    kinds = {}
    for name, parameter in net.named_parameters():
        conv = name.startswith("features") and name.endswith("weight") and parameter.dim() == 3
        hidden, output = name == "head.0.weight", name == "head.3.weight"
        kinds[name] = "convolution" if conv else "hidden" if hidden else "output" if output else "other"
    assert list(kinds.values()).count("convolution") == 6
    return kinds


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_penalties_are_added_to_the_gradients_of_their_kind(optimizer):
    penalties = {"convolution": (0.3, 0.2), "hidden": (0.1, 0.0), "output": (0.0, 0.5)}
    recipe = Recipe(1, optimizer=optimizer, learning_rate=0.1, weight_decay=0.4, penalties=penalties)
    net, other = small_network(), small_network()
    other.load_state_dict(net.state_dict())
    kinds, twins = names_by_kind(net), dict(other.named_parameters())
    penalized, plain = (
        recipe.make_optimizer(net),
        Recipe(1, optimizer=optimizer, learning_rate=0.1).make_optimizer(other),
    )
    for _ in range(3):
        for name, parameter in net.named_parameters():
            parameter.grad = torch.randn_like(parameter)
            absolute, square = penalties.get(kinds[name], (0.0, 0.4))
            kept = twins[name].detach()
            twins[name].grad = parameter.grad + absolute * kept.sign() + square * kept
        penalized.step()
        plain.step()
        for name, parameter in net.named_parameters():
            assert torch.allclose(parameter, twins[name], rtol=1e-9, atol=1e-12), name


def test_a_run_with_penalties_learns_and_goes_on_as_it_would_have(tmp_path):
    from benchmarks.training import CPU, Images, Task, fit

    recipe = Recipe(2, 8, learning_rate=0.01, penalties={"convolution": (1e-3, 1e-3)})
    data = Images(torch.rand(16, 1, 28, 28), torch.arange(16) % 10)

    def trained(folder, *recipes):
        torch.manual_seed(0)
        net = create("steerable-cnn-small", Cyclic(4), width=0.05)
        for each in recipes:
            fit(Task(net, data), each, CPU.fabric("32-true"), folder=folder)
        return net.state_dict()

    whole, without = trained(tmp_path / "a", recipe), trained(tmp_path / "b", Recipe(2, 8, learning_rate=0.01))
    assert any(not torch.equal(whole[name], without[name]) for name in whole)
    resumed = trained(tmp_path / "a", recipe)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_text_is_read_as_what_is_declared_whatever_is_there():
    assert Recipe(9, warmup=5).changed({"warmup": "2.5", "epochs": "3"}) == Recipe(3, warmup=2.5)
    with pytest.raises(EquiconvError, match="epochs of a recipe is int"):
        Recipe(9).changed({"epochs": "2.5"})
