"""Recipes: what they refuse, and their schedules."""

import pytest
import torch
from torch import nn

from benchmarks.training import Recipe
from equiconv import EquiconvError


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
    ],
)
def test_recipes_that_make_no_sense(options, message):
    with pytest.raises(EquiconvError, match=message):
        Recipe(**options)


def rates(recipe, steps, count):
    """Return the learning rate of each step."""
    optimizer = recipe.make_optimizer([nn.Parameter(torch.zeros(1))])
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


def test_milestones():
    recipe = Recipe(9, learning_rate=1.0, schedule="milestones", milestones=(2, 3))
    assert rates(recipe, 5, 20) == pytest.approx([1.0] * 10 + [0.1] * 5 + [0.01] * 5)


def test_values_of_the_command_line():
    words = {"epochs": "3", "learning_rate": "0.5", "compiled": "true", "schedule": "milestones", "milestones": "1,2"}
    expected = Recipe(3, learning_rate=0.5, compiled=True, schedule="milestones", milestones=(1, 2))
    assert Recipe(1).changed(words) == expected
