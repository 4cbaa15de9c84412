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
    ],
)
def test_recipes_that_make_no_sense(options, message):
    with pytest.raises(EquiconvError, match=message):
        Recipe(**options)


def test_the_cycle():
    recipe = Recipe(10, learning_rate=5e-3, schedule="cycle", every=8, lowest=1e-5)
    optimizer = recipe.make_optimizer([nn.Parameter(torch.zeros(1))])
    schedule = recipe.make_schedule(optimizer, 10)
    rates = []
    for _ in range(100):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(1e-5)
    assert max(rates) == rates[20] == pytest.approx(5e-3)
    assert rates[10] == pytest.approx((5e-3 + 1e-5) / 2)
    assert rates[50] == pytest.approx((5e-3 + 1e-5) / 2)
    assert rates[80:] == pytest.approx([1e-5] * 20)
